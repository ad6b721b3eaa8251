"""Plans of every problem: parties that take part in a run, or one sentence before it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt
from splitopt import InputError, Scenario
from splitopt.problems.registry import PROBLEMS
from splitopt.training.kinds import SCHEME
from splitopt.training.program import program_of
from splitopt.training.validation.measuring import validate
from splitopt.training.wire import launch
from splitopt.training.wire.roles import ROLES, roles_of
from tests import accelerated, replicated
from tests.planning import test_graph_partition as graphs
from tests.planning.test_time_to_accuracy import document as with_curve

pytestmark = pytest.mark.train


class StartedError(Exception):
    """Something was about to be started."""


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch):
    """Raise an error in the place of a run."""

    def started(*given):
        raise StartedError

    monkeypatch.setattr(launch, "run_job", started)


def star(**sections):
    """Return four boards and a server."""
    return Scenario.load("digits-splitfed").to_dict() | sections


def cell(**clusters):
    """Return devices in clusters."""
    found = Scenario.load("digits-clusters").to_dict()
    found["clusters"] |= clusters
    return found


def machines(profile, scenario, folder):
    """Return a scenario of machines for a profile that was drawn."""
    profile.save(folder / "p.json")
    return scenario(folder / "p.json")


VARYING = {"samples": 2, "snr": {"kind": "normal", "std_db": 2}}
ASKED = {
    "cut_and_resources": lambda _: star(),
    "common_cut": lambda _: star(),
    "time_to_accuracy": lambda _: with_curve(batch_size=[4], aggregation_interval=[1]),
    "cluster_and_spectrum": lambda _: cell(cut="pool1"),
    "cut_and_clusters": lambda _: cell(cut="auto"),
    "cut_under_uncertainty": lambda _: cell(cut="auto") | {"distributions": VARYING},
    "pipeline_partition": lambda _: Scenario.load("digits-pipeline").to_dict(),
    "generator_pairing": lambda _: Scenario.load("digits-iotsl").to_dict(),
    "graph_partition": lambda folder: machines(graphs.drawn(1), accelerated.scenario, folder),
    "replicated_pipeline": lambda folder: machines(
        replicated.drawn(1), replicated.scenario, folder
    ),
}
"""Problem -> the scenario of a small plan of it, given a folder."""
REFUSED = {
    "generator_pairing": "cuts no model",
    "graph_partition": "are no parties of their own",
    "replicated_pipeline": "are no parties of their own",
    "time_to_accuracy": "in whose rounds all devices wait for each other",
}
"""Problem -> why its plans are run by no parties; all others are."""


def test_every_problem_is_here():
    """A new problem says whether its plans are run over connections."""
    assert set(ASKED) == set(PROBLEMS)


LONG = ("cut_and_clusters", "cut_under_uncertainty")
"""Whose plans take most of a second to find."""


@pytest.mark.parametrize(
    "problem", [pytest.param(p, marks=[pytest.mark.slow] * (p in LONG)) for p in ASKED]
)
def test_a_plan_has_parties_or_is_refused_before_anything_starts(problem, tmp_path):
    """Nothing is waited for that no process will send."""
    made = splitopt.plan(ASKED[problem](tmp_path), problem=problem)
    if problem not in REFUSED:
        roles = roles_of(program_of(made))
        assert roles.parties(program_of(made))
        with pytest.raises(StartedError):
            validate(made)
        return
    with pytest.raises(InputError, match=REFUSED[problem]) as found:
        validate(made)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("scheme", SCHEME.own)
def test_a_scheme_has_roles_or_is_refused(scheme):
    """Whatever scheme a plan is of, those without ranks are named."""
    program = replace(program_of(splitopt.plan(star())), scheme=scheme, planned_scheme=scheme)
    if scheme in ROLES:
        assert roles_of(program) is ROLES[scheme]
        return
    with pytest.raises(InputError, match=f"scheme: {scheme}, of this plan, is not run over"):
        roles_of(program)


def test_parts_that_are_not_averaged_in_every_round_stay_in_one_process():
    """Over connections they would be, and learn something else than planned."""
    program = program_of(splitopt.plan(with_curve(aggregation_interval=[5])))
    with pytest.raises(InputError, match="aggregation_interval: is 5 in this plan"):
        roles_of(program)
    assert roles_of(replace(program, aggregation_interval=1)) is ROLES["splitfed_v1"]
