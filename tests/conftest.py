"""What all tests share: small random problems and a quiet, strict numeric environment."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from splitopt import ClusterAndSpectrum, CutAndResources
from splitopt.latency.pipeline import OwnerParts
from tests import selecting

hypothesis.settings.register_profile("splitopt", deadline=None, max_examples=30)
hypothesis.settings.load_profile("splitopt")


def pytest_addoption(parser):
    """Add the options that leave tests out."""
    selecting.add_options(parser)


def pytest_configure(config):
    """Make tests independent of how they are started.

    PyTorch works on one thread: sums keep their order, and test processes share the cores. What a
    script starts in the background ignores Ctrl-C, and so would the processes that tests interrupt.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    options = config.option
    config.pluginmanager.register(selecting.Limits(options.cases, options.within))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Make all cases slow but the first one of a test that is marked `one_quick`."""
    begun = set()
    for item in items:
        if item.get_closest_marker("one_quick"):
            test = item.nodeid.partition("[")[0]
            if test in begun:
                item.add_marker("slow")
            begun.add(test)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail what is skipped where SPLITOPT_NO_SKIP is set, as all that tests ask for is there."""
    report = yield
    if report.skipped and os.environ.get("SPLITOPT_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and SPLITOPT_NO_SKIP is set: {call.excinfo.value}"
    return report


def pytest_runtest_setup(item):
    """Skip what needs PyTorch where it is not installed, and Gurobi where no licence works.

    The marks say what a test needs; a parameter that names Gurobi says so as well.
    """
    if item.get_closest_marker("train") and importlib.util.find_spec("torch") is None:
        pytest.skip("needs the extra 'train'")
    if item.get_closest_marker("unlicensed"):
        return
    call = getattr(item, "callspec", None)
    values = [] if call is None else call.params.values()
    names = [getattr(value, "name", value) for value in values]
    named = any(isinstance(name, str) and "gurobi" in name.lower() for name in names)
    if named or item.get_closest_marker("gurobi"):
        from splitopt.solvers.backends.licence import licence_problem

        if reason := licence_problem():
            pytest.skip(f"gurobi {reason}")


DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def strict_floats():
    """Overflow and invalid operations raise; a division by zero must be meant."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        yield


def draw_problem(seed=0, devices=4, layers=4, objective="sum", masked=False, decades=2.0):
    """Draw a `CutAndResources` of any size from a seed, times over some decades."""
    rng = np.random.default_rng(seed)
    size = (devices, layers)
    tables = {
        name: 10.0 ** rng.uniform(-decades / 2, decades / 2, size)
        for name in ("download_s", "upload_s", "server_s", "device_s")
    }
    tables["server_s"][:, -1] = 0.0
    allowed = rng.random(size) < 0.7 if masked else np.ones(size, dtype=bool)
    allowed[np.arange(devices), rng.integers(layers, size=devices)] = True
    weights = rng.integers(1, 9, devices).astype(float)
    return CutAndResources(**tables, allowed=allowed, objective=objective, weights=weights)


@pytest.fixture(scope="session")
def random_problem():
    """Return the function that draws a random `CutAndResources`."""
    return draw_problem


def draw_clusters(seed=0, sizes=(4,), subcarriers=8, local_epochs=1, ties=False):
    """Draw a `ClusterAndSpectrum` from a seed; with `ties`, times are few small whole numbers."""
    rng = np.random.default_rng(seed)
    shape = (6, sum(sizes))
    times = rng.integers(0, 4, shape) if ties else rng.exponential(1.0, shape)
    return ClusterAndSpectrum(
        *times.astype(float),
        server_s_per_device=0.1,
        local_epochs=local_epochs,
        subcarriers=subcarriers,
        cluster_sizes=np.array(sizes),
    )


@pytest.fixture(scope="session")
def random_clusters():
    """Return the function that draws a random `ClusterAndSpectrum`."""
    return draw_clusters


@pytest.fixture
def five_identical():
    """Return the document of CPSL's five identical devices in one cluster, with its optimum."""
    path = DATA / "instances" / "cluster_and_spectrum-five-identical.json"
    return json.loads(path.read_text())


@pytest.fixture
def recovered_instance():
    """Return the document of DP-MORA's section 7.2 instance (ResNet-18, leakage limit 0.5)."""
    path = DATA / "instances" / "cut_and_resources-recovered-resnet18.json"
    return json.loads(path.read_text())


@pytest.fixture
def scenario_document():
    """Return the plain data of a small valid scenario file."""
    return {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "lab",
        "model": "dp-mora-resnet18-recovered",
        "devices": [
            {
                "name": "pi",
                "count": 2,
                "compute": "3.62 GFLOP/s",
                "samples": 3000,
                "batch_size": 50,
            },
            {"name": "laptop", "compute": "50 GFLOP/s", "samples": 4000, "batch_size": 40},
        ],
        "links": {"downlink": "100 Mbit/s", "uplink": {"rate": "50 Mbit/s"}},
        "servers": [{"name": "edge", "compute": "200 GFLOP/s"}],
        "training": {"epochs": 5, "rounds": 10},
    }


@pytest.fixture(scope="session")
def three_owners():
    """Return what three owners add to a batch of a pipeline; all numbers are exact in binary."""
    return OwnerParts(
        first_forward_s=np.array([1.0, 3.0, 2.0]),
        last_s=0.5,
        first_backward_s=np.array([2.0, 4.0, 2.5]),
        to_first_s=0.25,
        from_last_s=0.125,
        to_last_s=0.0625,
        from_first_s=0.75,
    )
