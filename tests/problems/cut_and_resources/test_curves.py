"""The curves of `CutAndResources`: strict reading, both file formats, filled from a scenario."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Scenario, load_problem


@pytest.fixture
def with_curves(random_problem):
    """Return a problem of 3 devices with curves, some of them negative."""
    rng = np.random.default_rng(0)
    curves = {"quadratic": rng.normal(size=(3, 4, 3)), "reciprocal": rng.normal(size=(3, 4, 2))}
    return CutAndResources(**random_problem(devices=3).data(), curves=curves)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_curves_survive_a_file(tmp_path, with_curves, suffix):
    """Both formats give the same coefficients back, and another objective keeps them."""
    path = tmp_path / f"instance{suffix}"
    with_curves.save(path)
    again = load_problem(path).with_objective("makespan")
    assert set(again.curves) == {"quadratic", "reciprocal"}
    for family, table in with_curves.curves.items():
        assert np.array_equal(again.curves[family], table)


def test_the_document_holds_plain_lists(with_curves):
    """The instance document is JSON: families with N x 4 x k numbers."""
    data = json.loads(json.dumps(with_curves.to_document()))["data"]
    assert np.array(data["curves"]["quadratic"]).shape == (3, 4, 3)


def test_a_problem_without_curves_has_no_such_field(random_problem):
    """The field is optional, and absent where there is nothing to say."""
    assert "curves" not in random_problem().data()


def test_curves_are_copied_and_frozen(with_curves):
    """Changing the caller's array does not change the problem, whose own are read-only."""
    table = np.ones((3, 4, 2))
    fields = {**with_curves.data(), "curves": {"linear": table}}
    problem = CutAndResources(**fields)
    table[:] = 7.0
    assert problem.curves["linear"].max() == 1.0
    with pytest.raises(ValueError, match="read-only"):
        problem.curves["linear"][0] = 2.0


@pytest.mark.parametrize(
    ("curves", "words"),
    [
        ([], "curves: must be an object"),
        ({}, "curves: must be an object"),
        ({"cubic": []}, "the family 'cubic' is unknown"),
        ({"linear": [[1.0, 2.0]]}, "curves.linear: is 1 x 2, it must be 3 x 4 x 2"),
        ({"linear": np.ones((3, 4, 3))}, "curves.linear: is 3 x 4 x 3"),
        ({"linear": np.full((3, 4, 2), np.nan)}, r"curves.linear\[0\]\[0\]\[0\]: is nan"),
        ({"linear": np.ones((3, 4, 2), dtype=bool)}, "curves.linear: must hold numbers"),
    ],
)
def test_bad_curves_are_one_sentence(with_curves, curves, words):
    """Whatever is wrong with the curves is named."""
    data = {**with_curves.data(), "curves": curves}
    with pytest.raises(InputError, match=f"here: data.{words}|{words}") as caught:
        CutAndResources.from_data(data, "sum", "here")
    assert "\n" not in str(caught.value)


def test_an_archive_with_an_entry_beside_its_parts_is_refused(tmp_path, with_curves):
    """`curves` and `curves.linear` cannot both stand in one archive."""
    path = tmp_path / "odd.npz"
    with_curves.save(path)
    with np.load(path) as archive:
        entries = {key: archive[key] for key in archive.files}
    np.savez(path, curves=np.ones(2), **entries)
    with pytest.raises(InputError, match=r"odd.npz: curves.* stands beside an entry"):
        load_problem(path)


def test_a_scenario_fills_the_curves_of_its_profile():
    """A published profile brings curves, a counted one does not."""
    scenario = Scenario.load("dp-mora-resnet18")
    problem = CutAndResources.from_scenario(scenario)
    assert problem.curves["quadratic"].shape == (10, 4, 3)
    assert problem.curves["reciprocal"].shape == (10, 4, 2)
    document = {**scenario.to_dict(), "model": "resnet18-imagenet", "privacy": {}}
    assert CutAndResources.from_scenario(Scenario.from_dict(document)).curves is None
