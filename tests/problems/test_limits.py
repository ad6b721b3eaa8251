"""Limits on leakage and memory bind in every problem, or the plan names what is not checked."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from splitopt import (
    ClusterAndSpectrum,
    CutAndResources,
    CutUnderUncertainty,
    InfeasibleError,
    InputError,
    PipelinePartition,
    Scenario,
    compare_schemes,
    load_profile,
    plan,
)
from splitopt.planning.controller import Controller
from splitopt.problems.cluster_limits import check_cluster_cut, cluster_cuts
from splitopt.problems.memory import server_copies_bytes, server_shared_bytes, unchecked

LEAKAGE = (0.9, 0.7, 0.5, 0.2, 0.05, 0.04, 0.03, 0.02, 0.01, 0.0)
"""Of the ten cuts of resnet18-imagenet, made up for these tests."""
SPLIT = {"spectrum": {"subcarriers": 8, "bandwidth": "1 MHz"}, "clusters": {"size": 2, "cut": 3}}
VARYING = {"distributions": {"samples": 8, "snr": {"kind": "normal", "std_db": 1}}}
NODES = {
    "links": {"downlink": "20 Mbit/s", "uplink": "10 Mbit/s", "nodes": "1 Gbit/s"},
    "nodes": [{"name": "box", "count": 2, "compute": "2 TFLOP/s"}],
    "pipeline": {"first_cut": 3, "last_cut": 9},
}


def scenario(*sections, devices=None, **changes):
    """Return four devices, one of them strict, and a server, with more sections."""
    own = {"compute": "20 GFLOP/s", "samples": 40, "batch_size": 10, "snr_db": 20}
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "limits",
        "model": "resnet18-imagenet",
        "devices": [{"name": "pi", "count": 3, **own}, {"name": "nano", **own}],
        "links": {"downlink": {}, "uplink": {}},
        "servers": [{"name": "edge", "compute": "1 TFLOP/s"}],
        "spectrum": SPLIT["spectrum"],
    }
    for section in (*sections, changes):
        document |= copy.deepcopy(section)
    for name, fields in (devices or {}).items():
        for device in document["devices"]:
            if device["name"] == name:
                device.update(fields)
    return Scenario.from_dict(document)


@pytest.fixture(autouse=True)
def leaky(monkeypatch):
    """Provide the shipped model with a leakage that these tests know."""
    profile = replace(load_profile("resnet18-imagenet"), leakage=np.array(LEAKAGE))
    monkeypatch.setattr(Scenario, "load_model", lambda self: profile)
    return profile


STRICT = {"nano": {"leakage_limit": 0.3}}
"""Cuts 4 to 10 are within it; cut 3 leaks 0.5."""


def test_the_tightest_device_rules_the_clusters():
    """A named cut above the limit of one device is refused, and the others are named."""
    made = plan(scenario(SPLIT, devices=STRICT, privacy={"leakage_limit": 0.6}))
    assert made.result["outcome"] == "infeasible"
    message = made.result["message"]
    assert "clusters.cut is 3 (" in message
    assert "leaks 0.5, and the limit of nano is 0.3" in message
    assert "4 (" in message
    assert "3 (" not in message.split("cuts that would do")[1]
    within = {"clusters": {"size": 2, "cut": 4}}
    assert plan(scenario(SPLIT, within, devices=STRICT)).result["outcome"] == "optimal"


def test_no_cut_at_all_names_the_least_leakage():
    """Where no cut would do the message says what limit can be reached."""
    profile = replace(load_profile("resnet18-imagenet"), leakage=np.array(LEAKAGE) + 0.05)
    limited = scenario(SPLIT, privacy={"leakage_limit": 0.01})
    with pytest.raises(InfeasibleError, match=r"no cut would do: raise the limit to 0\.05"):
        ClusterAndSpectrum.from_scenario(limited, profile)
    free = scenario(SPLIT, privacy={"leakage_limit": 0.01}, clusters={"size": 2})
    with pytest.raises(InfeasibleError, match=r"limit 0\.01 of pi-1; .* 0\.05 at cut 10"):
        CutUnderUncertainty.from_scenario(
            free.model_copy(update={"distributions": scenario(SPLIT, VARYING).distributions}),
            profile,
        )


@pytest.mark.parametrize(
    ("kind", "sections"),
    [
        (CutAndResources, ()),
        (ClusterAndSpectrum, (SPLIT,)),
        (CutUnderUncertainty, (SPLIT, VARYING)),
        (PipelinePartition, (NODES,)),
    ],
)
def test_a_limit_without_leakage_is_refused_by_name(kind, sections):
    """No problem ignores a limit that the profile cannot be compared with."""
    bare = load_profile("resnet18-imagenet")
    limited = scenario(*sections, devices=STRICT)
    with pytest.raises(InputError, match=r"leakage_limit is 0\.3, but the profile"):
        kind.from_scenario(limited, bare)


def test_auto_chooses_among_allowed_cuts_under_uncertainty():
    """A device's own limit counts, and so does its memory."""
    auto = {"clusters": {"size": 2, "cut": "auto"}}
    every = CutUnderUncertainty.from_scenario(scenario(SPLIT, VARYING, auto))
    assert len(every.cuts) == 10
    strict = CutUnderUncertainty.from_scenario(scenario(SPLIT, VARYING, auto, devices=STRICT))
    assert strict.cuts == every.cuts[3:]
    small = {"nano": {"leakage_limit": 0.6, "memory": "210 MB"}}
    found = CutUnderUncertainty.from_scenario(scenario(SPLIT, VARYING, auto, devices=small))
    profile = load_profile("resnet18-imagenet")
    needs = profile.device_memory_fixed_bytes + 10 * profile.device_memory_per_sample_bytes
    expected = [
        name
        for name, need, leakage in zip(profile.layers, needs, LEAKAGE, strict=True)
        if need <= 210e6 and leakage <= 0.6
    ]
    assert expected == list(profile.layers[2:5])  # 206 MB, the next 218 MB
    assert list(found.cuts) == expected


def test_a_named_cut_under_uncertainty_and_in_control_is_refused():
    """The controller takes no cut that a plan would not take."""
    with pytest.raises(InfeasibleError, match=r"clusters\.cut is 3 .* limit of nano is 0\.3"):
        CutUnderUncertainty.from_scenario(scenario(SPLIT, VARYING, devices=STRICT))
    free = scenario(SPLIT, VARYING, {"clusters": {"size": 2}}, devices=STRICT)
    name = load_profile("resnet18-imagenet").layers[2]
    with pytest.raises(InfeasibleError, match=r"^cut is 3 .* limit of nano is 0\.3"):
        Controller.start(free, cut=name)
    fine = load_profile("resnet18-imagenet").layers[3]
    assert Controller.start(free, cut=fine, swaps=2).problem.cuts[0] == fine


def test_device_memory_rules_the_clusters():
    """What does not fit into the smallest device is refused, with the need and the memory."""
    profile = load_profile("resnet18-imagenet")
    need = profile.device_memory_fixed_bytes[2] + 10 * profile.device_memory_per_sample_bytes[2]
    small = {"nano": {"memory": f"{need / 1e6 - 1:.6f} MB"}}
    with pytest.raises(InfeasibleError, match=r"on nano, and its memory is .*1 \("):
        ClusterAndSpectrum.from_scenario(scenario(SPLIT, devices=small))
    large = {"nano": {"memory": f"{need / 1e6 + 1:.6f} MB"}}
    ClusterAndSpectrum.from_scenario(scenario(SPLIT, devices=large))


def test_the_servers_memory_in_clusters_by_hand():
    """One copy for the mini-batches of one cluster: parameters twice, and what layers save."""
    profile = load_profile("resnet18-imagenet")
    behind = 2 * (profile.device_model_bytes[-1] - profile.device_model_bytes[2])
    need = behind + 20 * profile.layer_saved_bytes[3:].sum()
    with pytest.raises(InfeasibleError, match=r"edge needs .* GiB .* for its largest cluster"):
        ClusterAndSpectrum.from_scenario(_with_memory(scenario(SPLIT), need - 1e3))
    ClusterAndSpectrum.from_scenario(_with_memory(scenario(SPLIT), need + 1e3))
    assert server_shared_bytes(profile, 20)[2] == pytest.approx(need)
    auto = scenario(SPLIT, VARYING, {"clusters": {"size": 2}})
    found = cluster_cuts(_with_memory(auto, need + 1e3), profile, last=True)
    assert found == [3, 4, 5, 6, 7, 8, 9, 10]


def test_unequal_batches_are_not_decided_by_guess():
    """Two batches of 20 together or apart is a matter of clusters: refused with both sizes."""
    profile = load_profile("resnet18-imagenet")
    mixed = scenario(SPLIT, devices={"pi": {"batch_size": 4}, "nano": {"batch_size": 40}})
    two = server_shared_bytes(profile, 8 + 2)[2], server_shared_bytes(profile, 44)[2]
    with pytest.raises(InfeasibleError):
        check_cluster_cut(_with_memory(mixed, two[0]), profile, 3)
    check_cluster_cut(_with_memory(mixed, two[1] + 1), profile, 3)
    uneven = scenario(
        SPLIT,
        clusters={"sizes": [1, 3], "cut": 3},
        devices={"pi": {"batch_size": 4}, "nano": {"batch_size": 40}},
    )
    with pytest.raises(InputError, match="depends on who is in it"):
        check_cluster_cut(_with_memory(uneven, server_shared_bytes(profile, 41)[2]), profile, 3)


def _with_memory(given, memory):
    """Return a scenario whose one server has so many bytes."""
    server = given.servers[0].model_copy(update={"memory": float(memory)})
    return given.model_copy(update={"servers": (server,)})


def test_owners_of_a_pipeline_leak_at_their_first_cut():
    """A stated first cut is checked, and an open one chosen among those allowed."""
    made = plan(scenario(NODES, devices=STRICT))
    assert made.result["outcome"] == "infeasible"
    assert "pipeline.first_cut is 3 (" in made.result["message"]
    assert "the limit of nano is 0.3" in made.result["message"]
    open_cut = {"pipeline": {"first_cut": "auto", "last_cut": 9}}
    slow = {name: {"compute": "0.05 GFLOP/s"} for name in ("pi", "nano")}
    assert plan(scenario(NODES, open_cut, devices=slow)).prediction["first_cut"] < 4
    slow["nano"] |= STRICT["nano"]
    assert plan(scenario(NODES, open_cut, devices=slow)).prediction["first_cut"] == 4
    none = {"nano": {"leakage_limit": 0.03}}
    made = plan(scenario(NODES, {"pipeline": {"first_cut": "auto", "last_cut": 6}}, devices=none))
    assert made.result["outcome"] == "infeasible"
    assert "0.03" in made.result["message"]


def test_the_rows_of_a_comparison_keep_all_limits():
    """No scheme is ranked with a cut that a plan would refuse."""
    free = scenario(SPLIT, {"clusters": {"size": 2}}, devices=STRICT)
    found = compare_schemes(free, time_limit_s=8)
    for scheme in ("sl", "sflv1", "sflv2", "cpsl", "dp_mora_sum", "dp_mora_makespan"):
        assert found.row(scheme).leakage <= 0.3
    named = compare_schemes(scenario(SPLIT, devices=STRICT), time_limit_s=8)
    assert named.row("cpsl").status == "infeasible"
    assert "clusters.cut is 3" in named.row("cpsl").reason
    tiny = compare_schemes(_with_memory(scenario(), 1e3), time_limit_s=8)
    for scheme in ("fl", "sl", "sflv1", "sflv2"):
        assert tiny.row(scheme).status == "infeasible"
        assert "GiB" in tiny.row(scheme).reason
        assert "1 kB" in tiny.row(scheme).reason


def test_copies_of_the_server_part_by_hand():
    """A copy per device: twice the parameters behind its cut, and its batch of saved tensors."""
    profile = load_profile("resnet18-imagenet")
    uneven = scenario(devices={"nano": {"batch_size": 4}})
    found = server_copies_bytes(uneven, profile)
    for n, batch in enumerate((10, 10, 10, 4)):
        for cut in (1, 5, 10):
            saved = profile.layer_saved_bytes[cut:].sum()
            model = profile.device_model_bytes[-1] - profile.device_model_bytes[cut - 1]
            assert found[n, cut - 1] == pytest.approx(2 * model + batch * saved)
    assert (found[:, -1] == 0).all()


def test_what_cannot_be_checked_is_named():
    """Memory without a table or a batch size: the same words in every problem."""
    bare = load_profile("cpsl-lenet-paper")
    limited = _with_memory(scenario(devices={"nano": {"memory": "1 kB"}}), 1e3)
    assert unchecked(limited, bare) == [
        "memory limits are not checked: cpsl-lenet-paper has no memory table",
        "the memory of edge is not checked: cpsl-lenet-paper does not say what its layers save "
        "(layer_saved_bytes)",
    ]
    unsized = limited.model_copy(
        update={
            "devices": tuple(d.model_copy(update={"batch_size": None}) for d in limited.devices)
        }
    )
    assert unchecked(unsized, load_profile("resnet18-imagenet")) == [
        "memory is not checked without a batch size: nano",
        "the memory of edge is not checked without a batch size: pi, nano",
    ]


@pytest.mark.parametrize("sections", [(), (SPLIT,), (SPLIT, VARYING)])
def test_plans_name_what_is_not_checked(sections, monkeypatch):
    """The note stands in the plan of every problem, not only where cuts are free."""
    profile = load_profile("resnet18-imagenet")
    bare = replace(profile, device_memory_fixed_bytes=None, device_memory_per_sample_bytes=None)
    monkeypatch.setattr(Scenario, "load_model", lambda self: bare)
    made = plan(scenario(*sections, devices={"nano": {"memory": "1 kB"}}))
    assert any("memory limits are not checked" in note for note in made.notes)
    if VARYING in sections:
        controller = Controller.start(
            scenario(*sections, devices={"nano": {"memory": "1 kB"}}), cut=profile.layers[2]
        )
        report = controller.replay(controller.draw_rounds(1), ("static",))
        assert any("memory limits are not checked" in note for note in report.notes)
