"""Plans whose devices choose bits and clocks, with a process for each device."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402
from splitopt.training.wire.roles import roles_of  # noqa: E402
from splitopt.training.wire.star.timing import GRADIENT, UPLOAD, Timing  # noqa: E402

pytestmark = pytest.mark.train

UPLINK = 4e6 / 8  # byte/s
SPEEDS = {"edge": "20 GFLOP/s", "idle": "1 GFLOP/s"}
DOCUMENT = {
    "format": "splitopt-scenario",
    "version": 1,
    "model": "cnn-digits",
    "links": {"downlink": "20 Mbit/s", "uplink": "4 Mbit/s"},
    "servers": [{"name": "edge", "compute": "20 GFLOP/s"}],
    "precision": {
        "up": [32, 16, 8],
        "down": [32, 8],
        "up_distortion": [0, 1e-6, 1e-3],
        "down_distortion": [0, 1e-3],
        "limit": 2.1e-3,
    },
    "devices": [
        {"name": "a", "compute": "1 GFLOP/s", "samples": 40, "batch_size": 16},
        {"name": "b", "compute": "4 GFLOP/s", "samples": 20, "batch_size": 16},
    ],
    "privacy": {"leakage_limit": 0.9},
    "training": {"epochs": 1, "rounds": 2},
}


@pytest.fixture(scope="module")
def plan():
    """Return a plan in which one device sends fewer bits than the other, and one has a clock."""
    clock = {"frequency": {"min": 0.5, "max": 1, "steps": 2}}
    devices = [{**DOCUMENT["devices"][0], **clock}, DOCUMENT["devices"][1]]
    made = splitopt.plan({**DOCUMENT, "devices": devices})
    rows = made.prediction["devices"]
    assert len({(row["bits_up"], row["bits_down"]) for row in rows}) > 1
    return made


def test_rates_are_those_of_the_bytes_that_travel(plan):
    """Each device's share of the uplink, from messages that are counted by hand."""
    timing = Timing(program_of(plan)).round(0)
    profile = splitopt.load_profile("cnn-digits")
    for n, row in enumerate(plan.prediction["devices"]):
        samples = DOCUMENT["devices"][n]["samples"]
        values = profile.smashed_bytes[row["cut"] - 1] / 4
        bits, sent = row["bits_up"], 0
        for first in range(0, samples, 16):
            count = min(16, samples - first)
            sent += math.ceil(count * values * bits / 8) + (5 if bits == 8 else 0)
        piece = timing.pieces[n][UPLOAD]
        assert piece.payload_bytes == pytest.approx(sent)
        share = row["upload_share"]
        assert piece.rate_bytes_per_s == pytest.approx(share * UPLINK)
        back = timing.pieces[n][GRADIENT].payload_bytes
        assert (back < samples * values * 4) == (row["bits_down"] == 8)


@pytest.mark.slow  # a process for each device
def test_processes_learn_what_one_process_learns(plan):
    """Bit for bit, and the bytes on the wire are those of each device's own bits."""
    one = splitopt.train(plan, rounds=2)
    wired = run_wire(plan, rounds=2, any_speed=True)
    assert wired.history == one.history
    for key, value in one.model.state_dict().items():
        assert torch.equal(value, wired.model.state_dict()[key])
    total = one.history.traffic_bytes()
    assert wired.sent_bytes["smashed"] == total["smashed"]
    assert wired.sent_bytes["gradient"] == total["gradient"]


@pytest.mark.slow  # a process for each device
def test_a_run_takes_what_was_planned(plan):
    """The very tasks of the prediction; a busy machine can only add to what they take."""
    found = splitopt.validate(plan, rounds=2).validation
    assert (found.missing, found.extra) == ((), ())
    assert 0.97 * found.predicted_s <= found.measured_s < 5 * found.predicted_s


def test_a_codec_beside_chosen_bits_is_refused(plan):
    with pytest.raises(InputError, match="is chosen for each device by the plan"):
        run_wire(plan, rounds=1, any_speed=True, options=Options(codec="fp16"))


def test_a_server_without_devices_is_no_party():
    """Where nobody chooses the other one, the run is that of one server."""
    two = [{"name": name, "compute": speed} for name, speed in SPEEDS.items()]
    devices = [device | {"servers": ["edge"]} for device in DOCUMENT["devices"]]
    program = program_of(splitopt.plan({**DOCUMENT, "servers": two, "devices": devices}))
    assert program.server_names == ("edge",)
    assert roles_of(program).parties(program) == ("a", "b")
    assert Timing(program).shared(UPLOAD) == "uplink of edge"
