"""What a comparison concludes: time to accuracy, advice, Pareto sets and sweeps."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import (
    InputError,
    Scenario,
    compare_schemes,
)
from splitopt.planning.comparison.advice import advise
from splitopt.planning.comparison.at_cut import round_at_cut
from splitopt.planning.comparison.comparing import check_rounds
from splitopt.planning.comparison.rows import LABELS, Comparison
from splitopt.planning.comparison.star_rounds import ServerContext, helps_most
from splitopt.planning.comparison.sweeping import Sweep, read_sweep, sweep_field, with_field
from splitopt.problems.common_cut.tables import without_server
from splitopt.report.sweeps import change_lines, sweep_table
from tests.planning.compare_schemes.cases import fleet, row


def test_rounds_turn_into_time_to_accuracy():
    """More rounds push a scheme back; those without rounds come last."""
    scenario = fleet()
    times = {row.scheme: row.round_s for row in compare_schemes(scenario).feasible}
    found = compare_schemes(scenario, rounds={"sl": 1, "sflv1": 1000, "fl": 2})
    assert found.by_accuracy
    order = [row.scheme for row in found.feasible]
    expected = {"sl": times["sl"], "sflv1": 1000 * times["sflv1"], "fl": 2 * times["fl"]}
    assert order[:3] == sorted(expected, key=expected.__getitem__)
    for scheme, seconds in expected.items():
        assert found.row(scheme).accuracy_s == pytest.approx(seconds)
    assert found.row("sflv2").accuracy_s is None
    assert not found.row("sflv2").pareto
    assert found.feasible[0].pareto
    traffic = found.row("sflv1").traffic_bytes
    assert found.row("sflv1").measures[1] == pytest.approx(1000 * traffic)
    assert any("no rounds" in note for note in found.notes)
    for wrong in (
        {},
        {"sfl": 3},
        {"fl": 0},
        {"fl": "many"},
        {"fl": True},
        [1],
        {"fl": 10**400},
        {"fl": 5e-324},
    ):
        with pytest.raises(InputError, match="rounds"):
            check_rounds(wrong, "rounds")


def test_what_learns_the_same_has_the_same_rounds():
    """A number for FL holds for all that average whole copies; other numbers give a note."""
    scenario = fleet()
    times = {row.scheme: row.round_s for row in compare_schemes(scenario).feasible}
    found = compare_schemes(scenario, rounds={"fl": 7, "sl": 5})
    for scheme in ("fl", "sflv1", "dp_mora_sum", "dp_mora_makespan"):
        assert found.row(scheme).accuracy_s == pytest.approx(7 * times[scheme])
    assert found.row("sflv2").accuracy_s is None
    assert not any("bit for bit" in note for note in found.notes)
    other = compare_schemes(scenario, rounds={"fl": 7, "sflv1": 9})
    assert other.row("dp_mora_sum").accuracy_s is None
    assert any("FL (7) and SplitFedV1 (9) learn the same" in note for note in other.notes)


def test_advice_weighs_no_rounds_of_what_learns_the_same():
    """Rounds are weighed against the first scheme behind that learns otherwise, if there is one."""
    same = [row("dp_mora_makespan", 100.0), row("dp_mora_sum", 110.0), row("fl", 150.0)]
    said = advise(same, by_accuracy=False)
    assert "Next is DP-MORA (sum), which takes 1.1 times as long and learns the same" in said
    assert "equal progress" not in said
    said = advise([*same, row("sflv2", 200.0), row("sl", 400.0)], by_accuracy=False)
    assert "SplitFedV2 is ahead once it needs less than 50 % of the rounds of DP-MORA" in said
    assert "DP-MORA (sum) is ahead" not in said
    said = advise([row("sl", 100.0), *[row("fl", 160.0)]], by_accuracy=False)
    assert "Next is FL, which takes 1.6 times as long. " in said
    assert "FL is ahead once it needs less than 62.5 % of the rounds of vanilla SL" in said


def swept(*times):
    """Return a sweep over 0, 1, ... of comparisons with these seconds by scheme."""
    comparisons = tuple(
        Comparison(
            "s",
            "p",
            tuple(row(k, v) for k, v in sorted(one.items(), key=lambda item: item[1])),
            False,
            "",
        )
        for one in times
    )
    return Sweep("field", tuple(range(len(times))), comparisons)


def test_ties_of_a_sweep_are_those_of_the_advice():
    """Within 2 % is a tie, also exactly; who ties has not lost, and next is clearly behind."""
    found = swept(
        {"fl": 100.0, "dp_mora_makespan": 100.0, "sl": 115.0},
        {"dp_mora_makespan": 100.0, "fl": 101.9, "sl": 130.0},
        {"dp_mora_makespan": 100.0, "fl": 102.1, "sl": 150.0},
    )
    assert found.best == ("fl", "dp_mora_makespan", "dp_mora_makespan")
    assert found.ties == (("dp_mora_makespan",), ("fl",), ())
    assert found.changes == ((1, 2, "fl", "dp_mora_makespan"),)
    shown = sweep_table(found).rows
    assert [r["ties"] for r in shown] == ["DP-MORA (makespan)", "FL", "-"]
    assert [(r["next"], r["ratio"]) for r in shown] == [
        ("vanilla SL", "1.15"),
        ("vanilla SL", "1.3"),
        ("FL", "1.021"),
    ]
    assert change_lines(found)[0].endswith("changes from FL to DP-MORA (makespan)")
    assert change_lines(swept({"fl": 1.0}, {"fl": 1.01, "sl": 1.0})) == [
        "FL is the best scheme, or ties with the best, for all values"
    ]
    assert change_lines(swept({"fl": 1.0, "sl": 2.0}, {"fl": 3.0})) == [
        "FL is the best scheme for all values"
    ]


def test_what_would_help_most_is_found_by_solving_again():
    """1 % more of what a row names saves more than of anything else, and as much as it says."""
    document = fleet().to_dict()
    document["devices"] = [
        {"name": "fast", "count": 2, "compute": "900 GFLOP/s", "samples": 300, "batch_size": 10},
        {"name": "slow", "count": 3, "compute": "30 GFLOP/s", "samples": 100, "batch_size": 10},
    ]
    paths = {
        "downlink": "links.downlink",
        "uplink": "links.uplink",
        "server": "servers.edge.compute",
        "devices fast (2)": "devices.fast.compute",
        "devices slow (3)": "devices.slow.compute",
    }
    seen = set()
    for uplink in ("40 Mbit/s", "4 Gbit/s"):
        document["links"] = {"downlink": {"rate": "8 Gbit/s"}, "uplink": {"rate": uplink}}
        base = Scenario.from_dict(document)
        profile = base.load_model()
        for scheme, cut in (("fl", 10), ("sflv1", 4)):
            cuts = None if scheme == "fl" else cut
            before = sum(round_at_cut(scheme, base, profile, cuts).values())
            saved = {}
            for name, path in paths.items():
                more = with_field(base, path, more_of(base, path))
                saved[name] = before - sum(round_at_cut(scheme, more, profile, cuts).values())
            context = ServerContext.of(without_server(base) if scheme == "fl" else base, profile)
            named, seconds = helps_most(scheme, context, cut)
            assert named == max(saved, key=saved.__getitem__)
            assert seconds == pytest.approx(1e5 * saved[named] / 100, rel=1e-3)
            seen.add(named)
    assert len(seen) > 1


def more_of(scenario, path):
    """Return 1e-5 (relative) more of a rate or speed as a file writes it."""
    number = {
        "links.downlink": scenario.links.downlink.rate,
        "links.uplink": scenario.links.uplink.rate,
        "servers.edge.compute": scenario.servers[0].compute,
        "devices.fast.compute": scenario.devices[0].compute,
        "devices.slow.compute": scenario.devices[1].compute,
    }[path]
    factor = 1 + 1e-5
    unit = "bit/s" if path.startswith("links") else "FLOP/s"
    return f"{number * factor!r} {unit}"


def test_pareto_by_definition():
    """A mark means that nobody is as good in all three and better in one."""
    found = compare_schemes(Scenario.generate(seed=3, devices=6)).feasible
    points = {r.scheme: np.array([r.round_s, r.traffic_bytes, r.device_flop]) for r in found}
    for one in found:
        own = points[one.scheme]
        beaten = any(
            (other <= own * (1 + 1e-9)).all() and (other < own * (1 - 1e-9)).any()
            for other in points.values()
        )
        assert one.pareto != beaten


def test_sweep_finds_where_the_best_scheme_changes():
    """With a slow server everything stays on the devices, with a fast one the work is split."""
    base = with_field(fleet(), "links", {"downlink": "800 Mbit/s", "uplink": "800 Mbit/s"})
    swept = sweep_field(base, "servers.edge.compute", ["1 MFLOP/s", "10 TFLOP/s"])
    assert swept.best[0] == "fl"
    assert swept.best[1] != "fl"
    assert swept.changes == (("1 MFLOP/s", "10 TFLOP/s", "fl", swept.best[1]),)
    for scheme in LABELS:
        times = [c.row(scheme).round_s for c in swept.comparisons]
        assert times[0] is None or times[1] <= times[0] * (1 + 1e-9)


def test_fields_of_a_sweep():
    """Entries of lists by number, by name, or all; values as in a file."""
    scenario = fleet()
    for path in ("devices.0.count", "devices[0].count", "devices.pi.count", "devices.*.count"):
        assert len(with_field(scenario, path, 7).fleet()) == 7
    assert read_sweep("links.uplink=10 Mbit/s, 5 Mbit/s")[1] == ["10 Mbit/s", "5 Mbit/s"]
    assert read_sweep("devices.0.count=5,10") == ("devices.0.count", [5, 10])
    for wrong in ("links.uplink", "=3", "a=", "a=1,,2"):
        with pytest.raises(InputError, match="--sweep"):
            read_sweep(wrong)
    for path, value in (
        ("devices.9.count", 3),
        ("devices.zero.count", 3),
        ("linkz.uplink", "1 Mbit/s"),
        ("links.uplinc", "1 Mbit/s"),
        ("links.uplink", "fast"),
        ("devices.0", 3),
        ("name.inner", 3),
    ):
        with pytest.raises(InputError, match="--sweep"):
            with_field(scenario, path, value)
