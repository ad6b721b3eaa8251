from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import MachineTimes


def test_zero(make_profile):
    """Filling with zero keeps the measured layers and adds nothing."""
    profile = make_profile().with_fill("board", "zero")
    assert profile.device_seconds("board").tolist() == [3.5, 3.5, 14.75]


def test_flop_ratio(make_profile):
    """Each of the three times takes its own seconds per FLOP of the measured layers."""
    filled = make_profile().with_fill("board", "flop_ratio").machines["board"]
    # Forward 4 s for 40 FLOP, backward 10 s for 80, update 0.75 s for 120; layer 2 has 6 and 4.
    assert filled.forward_s.tolist() == pytest.approx([1.0, 0.6, 3.0], rel=1e-15)
    assert filled.backward_s.tolist() == pytest.approx([2.0, 0.5, 8.0], rel=1e-15)
    assert filled.update_s.tolist() == pytest.approx([0.5, 0.0625, 0.25], rel=1e-15)


def test_other_machine(make_profile):
    """Each of the three times takes the ratio of the sums over the layers that both have."""
    filled = make_profile().with_fill("board", {"machine": "bench"}).machines["board"]
    # Sums over layers 1 and 3: forward 4 of 8, backward 10 of 2, update 0.75 of 3.
    assert filled.forward_s.tolist() == pytest.approx([1.0, 2.5, 3.0], rel=1e-15)
    assert filled.backward_s.tolist() == pytest.approx([2.0, 35.0, 8.0], rel=1e-15)
    assert filled.update_s.tolist() == pytest.approx([0.5, 0.5, 0.25], rel=1e-15)


def test_a_fill_is_recorded(make_profile):
    """The new profile says which rows were filled and how; the old one is as it was."""
    before = make_profile()
    after = before.with_fill("board", "flop_ratio")
    assert after.provenance.fills == (
        "board: row 2 (b) filled with the layer's FLOP times seconds per FLOP of the measured "
        "layers",
    )
    assert after.machines["board"].measured.all()
    assert before.provenance.fills == ()
    assert not before.machines["board"].measured.all()
    assert after.digest() != before.digest()
    assert after.with_fill("board", "zero") is after
    assert before.with_fill("bench", "zero") is before


@pytest.mark.parametrize("how", ["mean", {"machine": 1}, {"device": "bench"}, {}])
def test_an_unknown_way_is_refused(make_profile, how):
    """The error lists the ways to fill, also where there is nothing to fill."""
    for machine in ("board", "bench"):
        with pytest.raises(InputError, match="'zero', 'flop_ratio' or"):
            make_profile().with_fill(machine, how)


def test_a_machine_to_fill_from_must_fit(make_profile, board):
    """A machine cannot be filled from itself, an unknown one, or one that lacks the same row."""
    profile = make_profile(machines={"board": board, "twin": board})
    for name, message in (
        ("board", "from itself"),
        ("phone", "no machine 'phone'; the machines are board, twin"),
        ("twin", r"lacks row 2 \(b\) as well"),
    ):
        with pytest.raises(InputError, match=message):
            profile.with_fill("board", {"machine": name})


def test_nothing_measured_is_refused(make_profile, bench):
    """A machine without any measured layer cannot be filled, whatever the way."""
    nothing = MachineTimes(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3, dtype=bool))
    profile = make_profile(machines={"empty": nothing, "bench": bench})
    for how in ("zero", "flop_ratio", {"machine": "bench"}):
        with pytest.raises(InputError, match="no measured layer at all"):
            profile.with_fill("empty", how)
    with pytest.raises(InputError, match="nothing was measured there"):
        profile.device_seconds("empty")


def test_no_common_layer_is_refused(make_profile, board):
    """Without a layer measured on both machines there is no ratio."""
    only = MachineTimes([0.0, 9.0, 0.0], [0.0, 9.0, 0.0], np.zeros(3), [False, True, False])
    profile = make_profile(machines={"board": board, "only": only})
    with pytest.raises(InputError, match="no layer was measured on both"):
        profile.with_fill("board", {"machine": "only"})


def test_a_ratio_over_zero_is_refused(make_profile, board, bench):
    """A column that is zero on the other machine gives no ratio for one that is not."""
    still = MachineTimes(bench.forward_s, bench.backward_s, np.zeros(3), bench.measured)
    profile = make_profile(machines={"board": board, "still": still})
    with pytest.raises(InputError, match="update_s is zero there"):
        profile.with_fill("board", {"machine": "still"})
    idle = MachineTimes(board.forward_s, board.backward_s, np.zeros(3), board.measured)
    both = make_profile(machines={"idle": idle, "still": still})
    assert (
        both.with_fill("idle", {"machine": "still"}).machines["idle"].update_s.tolist() == [0] * 3
    )


def test_work_that_gives_no_ratio_is_refused(make_profile):
    """Falling device work or measured layers without work leave 'flop_ratio' without a basis."""
    with pytest.raises(InputError, match="falls at row 2"):
        make_profile(device_forward_flop=[10.0, 6.0, 46.0]).with_fill("board", "flop_ratio")
    with pytest.raises(InputError, match="no work to scale by"):
        make_profile(device_forward_flop=[0.0, 6.0, 6.0]).with_fill("board", "flop_ratio")
