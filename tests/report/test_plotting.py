"""Pictures of values: what they show is what the values say, and what cannot be drawn is said."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

import splitopt
from splitopt import CapabilityError, InputError, Result
from splitopt.planning.comparison.rows import NAMES
from splitopt.planning.comparison.sweeping import Sweep
from splitopt.planning.staircase import leakage_staircase
from splitopt.report.alike import with_alike_rows
from splitopt.report.charts import MANY_COLOURS, distinct_styles
from splitopt.report.comparison import scheme_styles
from splitopt.report.plotting import draw, pictures_of, plot_round
from splitopt.report.plotting.pictures import PICTURES
from splitopt.timeline import Timeline
from splitopt.training.history import History
from splitopt.training.round_row import RoundRow
from splitopt.training.validation.comparing import compare
from splitopt.training.validation.measured import Measured


@pytest.fixture(autouse=True)
def nothing_is_shown():
    """Draw without a screen, and close the figures of a test."""
    from matplotlib import pyplot

    before = mpl.get_backend()
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")
    pyplot.switch_backend(before)


@pytest.fixture(scope="module")
def star():
    return splitopt.plan("digits-splitfed")


@pytest.fixture(scope="module")
def pipeline():
    return splitopt.plan("digits-pipeline")


@pytest.fixture(scope="module")
def comparison():
    return splitopt.compare_schemes("digits-splitfed")


def history(clock=True):
    """Return three rounds with a test after the second one alone."""
    rows = [
        RoundRow(
            round=n,
            loss=1.0 / n,
            test_loss=0.7 if n == 2 else None,
            accuracy=0.9 if n == 2 else None,
            samples=9,
            clock_s=5.0 * n if clock else None,
        )
        for n in (1, 2, 3)
    ]
    return History(tuple(rows), {})


def bars(axes):
    """Return the lengths of all bars by the name of their part."""
    return {one.get_label(): [bar.get_width() for bar in one] for one in axes.containers}


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_a_round_of_a_star_is_its_phases_and_the_wait(star):
    """Parts of a bar are the seconds of the prediction, and end together with the slowest."""
    axes = star.plot()
    rows = {row["name"]: row for row in with_alike_rows(star).rows()}
    assert sorted(labels(axes)) == sorted(rows)
    assert labels(axes)[0] == max(rows, key=lambda name: rows[name]["round_s"])
    found = bars(axes)
    for place, name in enumerate(labels(axes)):
        for phase in ("download", "device", "upload", "server"):
            assert found[phase][place] == pytest.approx(rows[name][f"{phase}_s"])
        whole = sum(lengths[place] for lengths in found.values())
        assert whole == pytest.approx(star.prediction["round_s"])
    assert axes.get_xlabel() == "seconds of a round"


def test_shares_of_all_devices_are_all_of_a_resource(star):
    """In percent, and the bars of each resource add up to what the plan gives away."""
    found = bars(star.plot("shares"))
    for name, key in (("downlink", "download_share"), ("server", "server_share")):
        assert sum(found[name]) == pytest.approx(100 * sum(row[key] for row in star.rows()))


def test_alike_devices_of_a_group_are_one_bar():
    """With their number and their shares together."""
    document = splitopt.Scenario.load("digits-splitfed").to_dict()
    document["devices"] = [{**document["devices"][0], "count": 40}, *document["devices"][1:]]
    made = splitopt.plan(splitopt.Scenario.from_dict(document))
    axes = made.plot("shares")
    assert len(labels(axes)) < 20
    assert any("(" in label for label in labels(axes))
    assert sum(bars(axes)["server"]) == pytest.approx(
        100 * sum(row["server_share"] for row in made.rows())
    )


def test_a_pipeline_is_drawn_batch_by_node(pipeline):
    """Forward, backward and the way to the next node, in the order of the way."""
    axes = pipeline.plot()
    found, nodes = bars(axes), pipeline.prediction["nodes"]
    assert labels(axes) == [node["name"] for node in nodes]
    assert found["forward"] == [node["forward_s"] for node in nodes]
    assert found["backward"] == pytest.approx([node["backward_s"] for node in nodes])
    assert axes.get_xlabel() == "seconds per batch"


@pytest.mark.slow
def test_clusters_are_drawn_as_they_are_simulated():
    """One after the other; they have no shares."""
    made = splitopt.plan("digits-clusters")
    axes = made.plot()
    assert {row["name"] for row in made.rows()} & set(labels(axes))
    assert axes.get_xlim()[1] == pytest.approx(made.prediction["round_s"], rel=0.01)
    with pytest.raises(InputError, match="has no shares to draw"):
        made.plot("shares")


def test_a_plan_without_a_decision_has_no_picture(star):
    """It says the outcome; a plan of a problem without pictures says its name."""
    result = {**star.result, "outcome": "infeasible"}
    none = replace(star, decision=None, prediction=None, result=result)
    with pytest.raises(InputError, match=r"has no decision \(infeasible\)"):
        none.plot()
    rows = {"objective_unit": "s", "devices": [{"name": "pi", "seconds": 1.0}]}
    paired = replace(star, problem="generator_pairing", prediction=rows)
    with pytest.raises(InputError, match="a plan of generator_pairing has no picture of a round"):
        paired.plot()
    with pytest.raises(InputError, match="has no shares to draw"):
        paired.plot("shares")


def test_schemes_have_places_of_their_own_colour(comparison):
    """Dots lie where the rows say, each in the colour of its scheme."""
    axes = comparison.plot()
    styles = scheme_styles()
    shown = {line.get_gid(): line for line in axes.get_lines()}
    for row in comparison.feasible:
        if row.traffic_bytes:
            line = shown[f"measure-1-{row.scheme}"]
            assert line.get_xdata() == pytest.approx([row.round_s])
            assert line.get_ydata() == pytest.approx([row.traffic_bytes / 1e6])
            assert line.get_color() == styles[row.scheme].colour
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [row.label for row in comparison.feasible]
    axes = comparison.plot("schemes")
    assert [bar.get_width() for bar in axes.patches] == [r.round_s for r in comparison.feasible]
    assert "GFLOP" in comparison.plot("work").get_ylabel()


def test_a_sweep_has_a_line_for_each_scheme(comparison):
    """Values that are no numbers are refused by the field."""
    sweep = Sweep("training.epochs", (1, 2), (comparison, comparison))
    axes = sweep.plot()
    assert {line.get_gid() for line in axes.get_lines()} == {
        f"sweep-{row.scheme}" for row in comparison.feasible
    }
    with pytest.raises(InputError, match=r"training\.order: has values that are no numbers"):
        Sweep("training.order", ("a", "b"), (comparison, comparison)).plot()
    none = replace(comparison, rows=())
    with pytest.raises(InputError, match="no scheme has a plan"):
        none.plot()


def test_a_staircase_is_drawn_from_limit_to_limit():
    """Each step holds up to the limit at which the next one begins."""
    found = leakage_staircase("dp-mora-resnet18")
    steps, dots = found.plot().get_lines()
    ordered = list(reversed(found.stairs))
    assert dots.get_xdata().tolist() == [stair.limit for stair in ordered]
    assert steps.get_ydata().tolist()[:-1] == [stair.objective for stair in ordered]
    with pytest.raises(InputError, match="no limit has a plan"):
        replace(found, stairs=()).plot()


def test_a_training_is_drawn_over_rounds_or_seconds():
    """The metric in %, where it was tested; without a clock there is none to draw over."""
    axes = history().plot()
    (line,) = axes.get_lines()
    assert line.get_xydata().tolist() == [[2.0, 90.0]]
    assert axes.get_ylabel() == "test accuracy, %"
    loss = history().plot("loss", over="clock")
    training, _ = loss.get_lines()
    assert training.get_xdata().tolist() == [5.0, 10.0, 15.0]
    assert loss.get_xlabel() == "predicted time, s"
    with pytest.raises(InputError, match=r"no predicted time; plot over='round'"):
        history(clock=False).plot(over="clock")
    with pytest.raises(InputError, match="it must be 'round' or 'clock'; did you mean 'round'"):
        history().plot(over="rounds")
    with pytest.raises(InputError, match="nothing of it to draw"):
        History((), {}).plot()


def test_a_profile_is_drawn_cut_by_cut():
    """Bytes in kB, work in MFLOP; what is not in a profile is refused by name."""
    profile = splitopt.load_profile("resnet18-imagenet")
    axes = profile.plot()
    up = next(one for one in axes.containers if one.get_label() == "activations up")
    assert [1e3 * bar.get_height() for bar in up] == pytest.approx(profile.smashed_bytes.tolist())
    assert [text.get_text() for text in axes.get_xticklabels()] == list(profile.layers)
    device = profile.plot("work").containers[0]
    work = profile.device_forward_flop + profile.device_backward_flop
    assert [1e6 * bar.get_height() for bar in device] == pytest.approx(work.tolist())
    with pytest.raises(InputError, match="has no leakage to draw"):
        profile.plot("leakage")
    published = splitopt.load_profile("dp-mora-resnet18-recovered")
    (line,) = published.plot("leakage").get_lines()
    assert line.get_ydata() == pytest.approx(published.leakage)


def test_timelines_and_replays_are_drawn(pipeline):
    """A replay's picture is its timeline's; parts of it can be chosen, empty ones cannot."""
    replay = splitopt.simulate(pipeline)
    axes = replay.plot(end_s=2.0)
    assert axes.get_xlim() == (0.0, 2.0)
    assert "large" in labels(axes)
    colours = [tuple(one.get_facecolor()[0]) for one in axes.collections]
    assert len(set(colours)) == len(colours) == 7
    assert replay.timeline.plot().get_xlabel() == "s"
    with pytest.raises(InputError, match="from: is 9e"):
        replay.plot(start_s=9e9)
    empty = Timeline((), (), (), *([],) * 7)
    with pytest.raises(InputError, match="no task to draw"):
        empty.plot()


def test_a_measured_run_is_drawn_beside_its_promise(pipeline):
    """Two bars for each phase."""
    timeline = splitopt.simulate(pipeline).timeline
    found = compare(timeline, timeline)
    made = Measured("name", "pipeline_partition", timeline, timeline, found, 1.0, 1)
    drawn = bars(made.plot())
    assert drawn["predicted"] == pytest.approx(drawn["measured"])
    assert sum(drawn["predicted"]) == pytest.approx(sum(p.predicted_s for p in found.phases))


def test_a_trace_is_drawn_to_its_end():
    """Objective and bound meet where the run is proved."""
    found = splitopt.solve(splitopt.CutAndResources.from_scenario("digits-splitfed"))
    lines = {line.get_label(): line for line in found.plot().get_lines()}
    assert lines["objective"].get_ydata()[-1] == found.objective
    assert lines["bound"].get_ydata()[-1] == pytest.approx(found.objective)
    with pytest.raises(InputError, match="left no trace"):
        Result("p", "o", "exact").plot()


def test_wrong_pictures_options_and_axes_are_refused(star):
    """Each in one sentence with what there is."""
    with pytest.raises(InputError, match=r"has 'round', 'shares'; did you mean 'shares'\?"):
        star.plot("share")
    with pytest.raises(InputError, match=r"has no option 'axes', it takes ax; did you mean 'ax'"):
        star.plot(axes=None)
    with pytest.raises(InputError, match="ax: is 3, it must be axes of Matplotlib"):
        star.plot(ax=3)
    with pytest.raises(InputError, match="has none"):
        draw(object())
    assert pictures_of(object()) == {}


def test_axes_that_are_given_are_drawn_in(star):
    """And returned; a path is a plan as well as the plan."""
    from matplotlib.figure import Figure

    one, other = Figure().subplots(1, 2)
    assert star.plot(ax=one) is one
    assert plot_round(star.to_dict(), ax=other) is other
    assert labels(one) == labels(other)


def test_without_matplotlib_it_says_what_to_install(star, monkeypatch):
    """Not an ImportError from inside."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    with pytest.raises(CapabilityError, match=r"needs Matplotlib.*pip install matplotlib"):
        star.plot()


def test_every_picture_takes_axes_and_says_what_it_draws():
    """The first sentence of each begins with the verb of a picture."""
    import inspect

    for pictures in PICTURES.values():
        for function in pictures.values():
            assert function.__doc__.startswith("Draw ")
            assert "ax" in inspect.signature(function).parameters


# Machado, Oliveira and Fernandes (2009), Table 1: what who lacks a cone sees, in linear RGB.
_EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
}


def seen(colour, eyes):
    """Return a colour as these eyes see it, in CIELAB, where a distance of 2.3 is just noticed."""
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(_EYES[eyes] @ linear, 0, 1)
    to_xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    xyz = np.array(to_xyz) @ mixed / [0.9505, 1, 1.0888]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", _EYES)
def test_colours_of_schemes_can_be_told_apart(eyes):
    """No two alike, also for colour-blind eyes, and farther where the marker is the same."""
    styles = list(distinct_styles(tuple(NAMES)).values())
    assert len({style.colour for style in styles}) == len(NAMES)
    for one, other in itertools.combinations(styles, 2):
        apart = np.linalg.norm(seen(one.colour, eyes) - seen(other.colour, eyes))
        assert apart > (16 if one.marker == other.marker else 13), (one, other)


def test_more_names_than_colours_are_no_silent_repetition():
    """Whoever adds a scheme adds a colour."""
    with pytest.raises(ValueError, match="17 names, and 16 colours"):
        distinct_styles(tuple(map(str, range(len(MANY_COLOURS) + 1))))
