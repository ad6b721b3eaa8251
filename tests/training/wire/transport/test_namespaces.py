"""Networks of their own for the processes of a run, where this user may make them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.errors import CapabilityError  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.wire.link_rates import of_devices, of_pipeline  # noqa: E402
from splitopt.training.wire.transport import links, namespaces  # noqa: E402
from splitopt.training.wire.transport.connecting import connect  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelTimeoutError  # noqa: E402
from splitopt.training.wire.transport.links import KernelLink, link_of, paced_by_kernel  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.namespaces import Namespaces, inside  # noqa: E402
from splitopt.training.wire.transport.pacing import Bucket  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def permitted():
    """Skip where namespaces cannot be made, and say why."""
    try:
        namespaces.check_permitted()
    except CapabilityError as error:
        pytest.skip(str(error))


def shown(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_network_of_their_own_with_the_plans_rates(permitted):
    token = Token.new()
    with Namespaces(3, {(1, 0): 1e6, (0, 1): 5e5, (2, 0): float("inf")}) as places:
        assert all(places.path(rank).exists() for rank in range(3))
        classes = shown("tc", "-n", f"{places.name}1", "class", "show", "dev", "eth0")
        (shaped,) = [line for line in classes.splitlines() if "htb 1:2 " in line]
        (kilobits,) = re.findall(r" rate (\d+)Kbit", shaped)
        assert float(kilobits) == pytest.approx(8e3 * 1514 / 1448, rel=1e-3)  # with headers
        assert "htb" not in shown("tc", "-n", f"{places.name}2", "class", "show", "dev", "eth0")
        with inside(places.path(0)):
            listener = listen(places.address(0), 0, token, no_tls=True)
        with listener:
            with pytest.raises(ChannelTimeoutError):  # from outside there is no way in
                connect(places.address(0), listener.port, token, 0.3)
            with inside(places.path(1)):
                one = connect(places.address(0), listener.port, token, 10.0)
            with one, listener.accept(10.0) as two:
                sent = torch.arange(5000)
                transfer = one.send("x", {}, {"v": sent}, bucket=KernelLink(1e6))
                assert torch.equal(two.receive(10.0).tensors["v"], sent)
                assert transfer.payload_bytes == 40_000
                assert two.peer.startswith(places.address(1))
    assert not any(places.path(rank).exists() for rank in range(3))
    assert places.name not in shown("ip", "netns", "list")


def test_what_a_killed_run_left_behind_is_removed_and_nothing_else(permitted):
    code = (
        "import os, signal\n"
        "from splitopt.training.wire.transport.namespaces import Namespaces\n"
        "Namespaces(1, {}).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with Namespaces(1, {}) as mine:
        dead = subprocess.Popen([sys.executable, "-c", code])
        dead.wait()
        prefix = f"{namespaces.PREFIX}{dead.pid}-"
        assert prefix in shown("ip", "netns", "list")
        assert {name.startswith(prefix) for name in namespaces.remove_left_behind()} == {True}
        assert prefix not in shown("ip", "netns", "list")
        assert mine.path(0).exists()


def test_a_failure_half_way_leaves_nothing(permitted, monkeypatch):
    places = Namespaces(2, {(1, 0): 1e6})
    monkeypatch.setattr(
        places, "_shape", lambda *_: (_ for _ in ()).throw(CapabilityError("no htb"))
    )
    with pytest.raises(CapabilityError, match="no htb"):
        places.__enter__()
    assert places.name not in shown("ip", "netns", "list")


@pytest.mark.slow
def test_a_pipeline_in_namespaces_learns_the_same(permitted, plan_of):
    from splitopt.training.wire.launch import run_wire

    plan = plan_of("digits-pipeline")
    run = run_wire(plan, rounds=1, time_scale=0.2, any_speed=True, namespaces=True)
    alone = splitopt.train(plan, rounds=1)
    for name, value in alone.scheme.state_dict().items():
        assert torch.equal(run.scheme.state_dict()[name], value), name
    assert f"{namespaces.PREFIX}{os.getpid()}-" not in shown("ip", "netns", "list")


def test_where_they_are_not_permitted(monkeypatch):
    def refused(*words, check=True):
        if check:
            raise CapabilityError("ip netns add x: Operation not permitted")

    monkeypatch.setattr(namespaces, "_run", refused)
    monkeypatch.setattr(namespaces.shutil, "which", lambda tool: f"/sbin/{tool}")
    monkeypatch.setattr(namespaces.sys, "platform", "linux")
    with pytest.raises(CapabilityError, match="may not make them here") as caught:
        namespaces.check_permitted()
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(namespaces.shutil, "which", lambda tool: None)
    with pytest.raises(CapabilityError, match="ip and tc; install iproute2"):
        namespaces.check_permitted()
    monkeypatch.setattr(namespaces.sys, "platform", "darwin")
    with pytest.raises(CapabilityError, match="a thing of Linux"):
        namespaces.check_permitted()


def test_the_rates_of_a_pipelines_links(plan_of):
    """Owners 1 to 4 and nodes 5 and 6, all links 2 Mbit/s, on a clock of half the speed."""
    rates = of_pipeline(program_of(plan_of("digits-pipeline")), 2.0)
    owners = {(k, 5) for k in range(1, 5)} | {(k, 6) for k in range(1, 5)}
    expected = owners | {(b, a) for a, b in owners} | {(5, 6), (6, 5)}
    assert rates.keys() == expected
    assert all(rate == pytest.approx(2e6 / 8 / 2) for rate in rates.values())


def test_the_rates_of_devices(plan_of):
    """Each has its shares of its own links, on a clock of half the speed."""
    plan, scenario, expected = plan_of("digits-splitfed"), Scenario.load("digits-splitfed"), {}
    for n, device in enumerate(scenario.fleet()):
        for pair, way in (((n + 1, 0), "upload"), ((0, n + 1), "download")):
            link = scenario.link(device, f"{way[:-4]}link").rate
            expected[pair] = plan.decision[f"{way}_share"][n] * link / 8 / 2
    assert of_devices(program_of(plan), 2.0) == pytest.approx(expected)


@pytest.mark.parametrize("scheme", ["vanilla", "splitfed_v2", "federated"])
def test_the_rates_of_devices_of_a_scheme(scheme):
    """Whoever has turns has all of the link in them; whole models go at the planned shares."""
    scenario, expected = Scenario.load("digits-splitfed"), {}
    made = splitopt.plan(scenario, scheme=scheme)
    for n, device in enumerate(scenario.fleet()):
        for pair, way in (((n + 1, 0), "upload"), ((0, n + 1), "download")):
            link = scenario.link(device, f"{way[:-4]}link").rate
            share = made.decision[f"{way}_share"][n]
            assert (share < 1) == (scheme == "federated")
            expected[pair] = share * link / 8 / 2
    assert of_devices(program_of(made), 2.0) == pytest.approx(expected)


def test_a_link_with_more_than_one_rate_is_refused(plan_of):
    """In a cell, what is broadcast goes faster than what goes to one device."""
    with pytest.raises(CapabilityError, match="in one direction, but tc holds"):
        of_devices(program_of(plan_of("digits-clusters")), 1.0)


def test_who_paces(monkeypatch):
    assert isinstance(link_of(1e6), Bucket)
    with paced_by_kernel():
        assert isinstance(link_of(1e6), KernelLink)
        assert link_of(float("inf")) is None
    assert isinstance(link_of(1e6), Bucket)
    assert link_of(float("inf")) is None


@pytest.mark.parametrize("acknowledges", [True, False])
def test_a_sender_waits_until_the_kernel_has_sent(monkeypatch, acknowledges):
    """8 kB at 1 MB/s; a peer that does not acknowledge is waited for as long as its bytes take."""
    moment = [100.0]

    def sleep(seconds):
        moment[0] += seconds

    def queued(_, what):
        if what == links._UNSENT:
            return max(0, 8000 - int(1e6 * (moment[0] - 100)))
        return queued(_, links._UNSENT) or (0 if acknowledges else 2896)

    monkeypatch.setattr(links.time, "monotonic", lambda: moment[0])
    monkeypatch.setattr(links.time, "sleep", sleep)
    monkeypatch.setattr(links, "_queued", queued)
    KernelLink(1e6).drain(None, 5.0)
    done = 100.008 if acknowledges else 100.008 + 2896e-6
    assert done <= moment[0] <= done + 2 * links._SHORTEST_S


def test_a_queue_that_does_not_move(monkeypatch):
    moment = [100.0]
    monkeypatch.setattr(links.time, "monotonic", lambda: moment[0])
    monkeypatch.setattr(links.time, "sleep", lambda s: moment.__setitem__(0, moment[0] + s))
    monkeypatch.setattr(links, "_queued", lambda *_: 1000)
    with pytest.raises(TimeoutError):
        KernelLink(1e6).drain(None, 5.0)
