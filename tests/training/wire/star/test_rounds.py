"""Rounds over real connections, with devices as threads: what one process learns, bit by bit."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt import plan  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.setup import set_groups  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402

pytestmark = pytest.mark.train

OPTIONS = [
    Options(local_epochs=2),
    Options(local_epochs=2, momentum=0.9, optimizer_state="keep", batch_norm="local"),
    Options(local_epochs=2, optimizer="adam", learning_rate=0.01, optimizer_state="average"),
    Options(local_steps=3, order="shuffled", cut_gradient="rescaled", batch_norm="frozen"),
]
IDS = ["reset", "keep, local", "average", "shuffled"]
STAR = ["splitfed_v1", "clustered", "vanilla", "splitfed_v2", "federated"]


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
@pytest.mark.parametrize("name", STAR)
def test_rounds_are_those_of_one_process(wired, name, options):
    """The whole state is the same: weights, walks, random numbers, moments, statistics."""
    wanted = wired.scheme_of(name, options)
    tallies = [wanted.round(number) for number in range(2)]
    wired.train(name, options)
    assert wired.errors == {}
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.3, 0.7])
@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2", "federated"])
def test_only_drawn_devices_take_part(wired, name, fraction):
    """The others wait, are not dropped, and the state is that of one process."""
    options = Options(
        local_epochs=2, client_fraction=fraction, optimizer_state="keep", momentum=0.9
    )
    wanted = wired.scheme_of(name, options)
    tallies = [wanted.round(number) for number in range(3)]
    wired.train(name, options, rounds=3)
    assert wired.errors == {}
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies
    sizes = {len(tally.clients) for tally in tallies}
    assert sizes == {max(1, round(fraction * len(wanted.clients)))}
    assert all(tally.dropped == () for tally in wired.tallies)
    for tally, predicted in zip(tallies, wired.server.predicted, strict=True):
        assert {task.owner for task in predicted} == set(tally.clients)


@pytest.mark.slow
@pytest.mark.parametrize("name", STAR)
def test_either_mode_goes_on_from_the_other(wired, name):
    """A state that was taken between rounds is all that both need."""
    options = OPTIONS[2]
    wanted = wired.scheme_of(name, options)
    wanted.round(0)
    state = wanted.state_dict()
    wanted.round(1)
    resumed = wired.scheme_of(name, options)
    resumed.load_state_dict(state)
    wired.train(name, options, rounds=1, scheme=resumed, first=1)
    wired.assert_same_state(wired.scheme, wanted)


ORDER = {
    "splitfed_v1": (
        "model download",
        *(("device forward", "upload", "server", "gradient download", "device backward") * 4),
        "model upload",
    ),
    "clustered": (
        "model broadcast",
        *("device forward", "upload", "server", "gradient download", "device backward"),
        *("device forward", "upload", "server", "gradient download", "device backward"),
        "model upload",
    ),
    "federated": ("model download", *(("device forward", "device backward") * 4), "model upload"),
}
ORDER |= dict.fromkeys(("vanilla", "splitfed_v2"), ORDER["splitfed_v1"])


@pytest.mark.one_quick
@pytest.mark.parametrize("name", STAR)
def test_what_is_recorded_has_the_order_and_the_numbers_of_the_simulator(wired, name):
    """Phases of a device follow one another; batches are numbered as predicted."""
    options = Options(local_steps=2) if name == "clustered" else Options(local_epochs=2)
    wired.train(name, options, rounds=1, time_scale=1e-3)
    (measured,) = wired.server.timelines
    predicted = wired.server.planned.predicted
    tasks = [task for task in measured if task.owner == "d0"]
    found = tuple(task.phase for task in tasks)
    assert found == ORDER[name]

    def numbered(timeline):
        return {
            (task.resource, task.phase, task.batch, task.share)
            for task in timeline
            if task.owner == "d0"
        }

    if name != "splitfed_v1":
        assert numbered(measured) == numbered(predicted)
    else:  # the cuts of this test are not the plan's, but resources and batches are
        assert {row[:3] for row in numbered(measured)} >= {row[:3] for row in numbered(predicted)}


@pytest.mark.one_quick
@pytest.mark.parametrize("name", STAR)
def test_bytes_are_those_of_the_tally(wired, name):
    """Parameters, smashed data, gradients and labels; all else is control and counted apart."""
    options = Options(local_steps=2) if name == "clustered" else Options(local_epochs=2)
    wired.train(name, options, rounds=1)
    sent, traffic = wired.server.sent_bytes, wired.tallies[0].traffic
    assert sent["smashed"] == traffic.smashed
    assert sent["gradient"] == traffic.gradient
    own = [wired.server.copy(n).parts[0].module for n in range(3)]
    parameters = sum(p.numel() * 4 for module in own for p in module.parameters())
    buffers = sum(b.numel() * b.element_size() for module in own for b in module.buffers())
    assert sent["model"] == 2 * parameters
    assert traffic.model_down + traffic.model_up == 2 * parameters
    assert traffic.statistics == 2 * buffers
    known = {"begin", "model", "labels", "smashed", "stream", "gradient", "state"}
    assert set(sent) <= known | ({"turn", "done"} if name == "splitfed_v2" else set())
    planned = planned_bytes(wired.programs[name])
    assert planned["smashed"] == sent["smashed"]
    if name not in ("splitfed_v1", "clustered"):  # plans of this very network, but for its norms
        assert planned["gradient"] == sent["gradient"]
        norm = 4 * 2 * 8  # bytes of its weights, which the plan's network has not
        assert sent["model"] == planned["model_down"] + planned["model_up"] + 2 * 3 * norm


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
@pytest.mark.parametrize("frozen", [(0,), (0, 2), (4, 5)], ids=["first", "two", "server"])
@pytest.mark.parametrize("name", ["splitfed_v1", "clustered", "splitfed_v2"])
@pytest.mark.one_quick
def test_frozen_layers_are_those_of_one_process(wired, name, frozen, options):
    """They come from the server, once, and nothing of them travels in a round.

    By shapes: the first layer has 8 x (9 + 1) weights and 2 x 8 of batch normalisation, of 4 B.
    """
    wanted = wired.scheme_of(name, options, frozen=frozen)
    tallies = [wanted.round(number) for number in range(2)]
    wired.train(name, options, frozen=frozen)
    assert wired.errors == {}
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies
    sent = wired.server.sent_bytes
    first = 4 * (8 * 10 + 16)
    own = [wired.server.copy(n).parts[0].module for n in range(3)]
    trained = sum(4 * p.numel() for m in own for p in m.parameters() if p.requires_grad)
    assert sent["model"] == 2 * 2 * trained
    if name != "splitfed_v1":
        assert trained == (0 if 0 in frozen else 3 * first)
        if 0 in frozen:
            assert sent["gradient"] == 0
            phases = {task.phase for task in wired.server.timelines[0]}
            gone = {"gradient download", "device backward", "model upload"}
            gone |= {"model broadcast", "model download"}
            assert not phases & gone
    fixed = sum(4 * p.numel() for m in own for p in m.parameters() if not p.requires_grad)
    statistics = 4 * 16 + 8 if options.batch_norm == "frozen" else 0
    assert sent["setup"] == fixed + 3 * statistics


def test_rounds_of_an_uncertain_plan_have_their_own_clusters(wired):
    """Clusters and pace are those of the round's sample."""
    document = Scenario.load("digits-clusters").to_dict()
    document["devices"] = [
        {"name": f"d{k}", "compute": "6 MFLOP/s", "samples": 16, "batch_size": 5, "snr_db": snr}
        for k, snr in enumerate((5, 10, 20))
    ]
    document["distributions"] = {"snr": {"kind": "normal", "std_db": 9}, "samples": 4}
    document |= {"clusters": {"sizes": [2, 1], "cut": "pool1"}, "training": {"epochs": 2}}
    made = plan(Scenario.from_dict(document), solver="saa", time_limit_s=5.0)
    program = program_of(made)
    cuts = {client.cuts for client in program.clients}
    assert cuts == {("pool1",)}, "the cut of the test's clients"
    different = next(n for n in range(1, 4) if program.groups_of(n) != program.groups_of(0))
    options, wanted = Options(local_steps=2), wired.scheme_of("clustered", Options(local_steps=2))
    for number in range(different + 1):
        set_groups(wanted, program, number)
        wanted.round(number)
    wired.train("clustered", options, rounds=different + 1, program=program, time_scale=1e-3)
    wired.assert_same_state(wired.scheme, wanted)
    for number in (0, different):
        timeline = wired.server.timelines[number]
        served = [task.owner for task in timeline if task.phase == "server"]
        firsts = [program.clients[group[0]].name for group in program.groups_of(number)]
        assert served == [name for name in firsts for _ in range(2)]
