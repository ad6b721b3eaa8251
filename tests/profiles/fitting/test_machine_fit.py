"""Machine models: files, and fits that find the machine that times were made with."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import MachineModel, MachineTimes, OperatorCounts, fit_machine, load_profile
from splitopt.profiles.fitting.machine_fit import Observation, left_out, observed
from splitopt.profiles.readers.split_table import read_messages, read_splits

TRUE = np.array([2e-11, 5e-10, 4e-11, 3e-10, 1e-10, 2e-5])


def network(name, seed, depthwise=True, layers=7):
    """Draw a network of some layers: counts per sample, but fixed bytes and operators per batch."""
    draw = np.random.default_rng(seed)
    counts = draw.uniform(0.2, 1.0, (layers, 6)) * [3e8, 1e7, 2e7, 5e6, 1e6, 20]
    counts[:, 1] *= depthwise
    return name, counts


def seen(name, counts, batch=8, noise=None):
    """Seconds per sample by the sum that defines a machine model, front, behind and whole."""
    layers = counts / [1, 1, 1, 1, batch, batch]
    front = np.cumsum(layers, axis=0)
    rows = np.concatenate([front, front[-1] - front[:-1]])
    seconds = rows @ TRUE
    return Observation(name, rows, seconds if noise is None else seconds * noise(len(seconds)))


def test_a_fit_finds_the_machine():
    """Without noise the true seconds per unit come back, and the interval is a point at 1."""
    found = fit_machine([seen(*network(str(k), k)) for k in range(4)], "pi", 8, 1e-3)
    np.testing.assert_allclose(found.coefficients, TRUE, rtol=1e-6)
    assert found.message_s == 1e-3
    assert found.fitted_on == ("0", "1", "2", "3")
    assert found.interval is not None
    assert found.interval.low == pytest.approx(1, abs=1e-6)
    assert found.interval.high == pytest.approx(1, abs=1e-6)


def test_an_outlier_does_not_draw_the_fit():
    """One part in 13 of each network takes 10 times as long: the rest is predicted within 1 %."""

    def spoilt(count):
        return np.where(np.arange(count) == 4, 10.0, 1.0)

    found = fit_machine([seen(*network(str(k), k), noise=spoilt) for k in range(5)], "pi", 8)
    fresh = seen(*network("new", 99))
    np.testing.assert_allclose(fresh.counts @ found.coefficients, fresh.seconds, rtol=0.01)


def test_the_interval_covers_networks_left_out():
    """With factors of 0.8 to 1.25 on every part, the interval is about that wide."""
    draw = np.random.default_rng(1)

    def noise(count):
        return np.exp(draw.uniform(np.log(0.8), np.log(1.25), count))

    parts = [seen(*network(str(k), k), noise=noise) for k in range(12)]
    found = fit_machine(parts, "pi", 8).interval
    assert 0.75 < found.low < 0.9
    assert 1.1 < found.high < 1.35
    ratios = dict(left_out(parts))["3"]
    others = fit_machine([p for p in parts if p.network != "3"], "pi", 8)
    mine = next(p for p in parts if p.network == "3")
    large = mine.seconds >= 0.05 * mine.seconds.max()
    np.testing.assert_allclose(ratios, (mine.seconds / (mine.counts @ others.coefficients))[large])


def test_what_no_network_has_is_a_guess_that_is_named():
    """Depthwise convolutions that were never seen count as convolutions, and a note says so."""
    found = fit_machine([seen(*network(str(k), k, depthwise=False)) for k in range(3)], "pi", 8)
    assert found.seconds_per[1] == found.seconds_per[0] == pytest.approx(TRUE[0], rel=1e-6)
    assert found.notes == (
        "No network that it was fitted to has depthwise convolutions: they count as convolutions "
        "do, which is a guess.",
    )


def test_two_networks_give_no_interval():
    """A note says how many are needed."""
    found = fit_machine([seen(*network(str(k), k)) for k in range(2)], "pi", 8)
    assert found.interval is None
    assert "2 networks were measured, and leaving one out needs 3" in found.notes[-1]
    with pytest.raises(InputError, match="networks: '0' stands there twice"):
        fit_machine([seen(*network("0", 1)), seen(*network("0", 2))], "pi", 8)


@pytest.fixture
def timed(make_profile, board):
    """Three layers with operators; the board's forward and backward seconds, all measured."""
    draw = np.random.default_rng(3)
    tables = [draw.uniform(1, 2, (3, 6)) for _ in range(3)]
    times = MachineTimes([1, 2, 3], [10, 20, 30], [100, 200, 300], [True] * 3, batch=4)
    return make_profile(operators=OperatorCounts(*tables), machines={"pi": times}), tables


def test_the_rows_of_a_measured_profile(timed):
    """By hand: front and behind at two cuts and the whole, forward, then backward with update."""
    profile, (forward, backward, update) = timed
    found = observed(profile, "pi")
    assert found.seconds.tolist() == [1, 3, 5, 3, 6, 110, 330, 550, 330, 660, 666]
    shared = [1, 1, 1, 1, 4, 4]
    np.testing.assert_allclose(found.counts[1], (forward[0] + forward[1]) / shared)
    np.testing.assert_allclose(found.counts[8], (backward[2] + update[2]) / shared)
    np.testing.assert_allclose(found.counts[-1], (forward + backward + update).sum(axis=0) / shared)
    with pytest.raises(InputError, match=r"batch: is 8, but 'pi' of 'three' was timed with 4"):
        observed(profile, "pi", 8)
    with pytest.raises(InputError, match="does not say what its operators do"):
        observed(replace(profile, operators=None), "pi")
    loose = replace(profile.machines["pi"], batch=None)
    with pytest.raises(InputError, match=r"do not say for which batch .*--batch"):
        observed(replace(profile, machines={"pi": loose}), "pi")


def test_a_table_of_splits(tmp_path, timed):
    """Seconds of a batch of 4 in front of and behind a cut, by its name or number."""
    profile, (forward, backward, update) = timed
    path = tmp_path / "splits.csv"
    path.write_text("network,split,device_s,server_s\nthree,b,8,12\nthree,1,,16\n")
    (found,) = read_splits(path, {"three": profile}, 4, "forward")
    assert found.seconds.tolist() == [2, 3, 4]
    shared = [1, 1, 1, 1, 4, 4]
    np.testing.assert_allclose(found.counts[0], (forward[0] + forward[1]) / shared)
    np.testing.assert_allclose(found.counts[2], (forward[1] + forward[2]) / shared)
    (found,) = read_splits(path, {"three": profile}, 4, "training")
    np.testing.assert_allclose(found.counts[1], (forward + backward + update)[2] / shared)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network,split,device_s\n", "must start with the columns network,split,device_s,server_s"),
        ("network,split,device_s,server_s\n", "has a header but no rows"),
        ("network,split,device_s,server_s\nfour,1,1,1\n", "line 2: there is no profile .*'four'"),
        ("network,split,device_s,server_s\nthree,9,1,1\n", "line 2, split: '9' is neither a layer"),
        ("network,split,device_s,server_s\nthree,1,-1,1\n", "line 2: device_s: is '-1'; it must"),
        ("network,split,device_s,server_s\nthree,1,1\n", "line 2 has 3 cells, the header has 4"),
    ],
)  # fmt: skip
def test_wrong_tables_of_splits(tmp_path, timed, text, words):
    """One sentence with the file, the line and the cell."""
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_splits(path, {"three": timed[0]}, 4, "forward")


def test_messages_by_hand(tmp_path):
    """2 ms and 1 MB/s: 1,000 bytes take 3 ms and 10,000 take 12 ms."""
    path = tmp_path / "messages.csv"
    path.write_text("bytes,seconds\n1000,0.003\n10000,0.012\n100000,0.102\n")
    found = read_messages(path)
    assert found.message_s == pytest.approx(0.002)
    assert found.bytes_per_s == pytest.approx(1e6)
    path.write_text("bytes,seconds\n1000,0.003\n1000,0.004\n")
    with pytest.raises(InputError, match="all messages have one size"):
        read_messages(path)


def test_a_machine_file_is_read_as_written(tmp_path):
    """What costs nothing is left out, and an interval of null is an unknown one."""
    model = fit_machine([seen(*network(str(k), k)) for k in range(3)], "pi", 8, 1e-3)
    model.save(tmp_path / "pi.json")
    assert MachineModel.load(tmp_path / "pi.json") == model
    bare = {"format": "splitopt-machine", "version": 1, "name": "m", "batch": 2}
    found = MachineModel.from_dict(
        {**bare, "seconds_per": {"moved_bytes": 1e-9}, "interval": None}, "x"
    )
    assert found.seconds_per == (0, 0, 0, 1e-9, 0, 0)
    assert found.to_dict()["seconds_per"] == {"moved_bytes": 1e-9}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version"),
        ({"batch": 0}, "pi.json: batch: is 0; give a whole number >= 1"),
        ({"seconds_per": {}}, "seconds_per: is 0 throughout"),
        ({"seconds_per": {"flop": 1}}, "seconds_per: has the unknown key 'flop'"),
        ({"seconds_per": {"operators": -1}}, r"seconds_per.operators: is -1; give a finite number"),
        ({"seconds_per": {"operators": True}}, "True, which is not a number"),
        ({"message_s": "1 s"}, "message_s: is '1 s', which is not a number"),
        ({"speed": 3}, "has the unknown key 'speed'"),
        ({"interval": {"level": 0.9, "low": 1, "high": 2}}, "interval: lacks 'method'"),
    ],
)
def test_wrong_machine_files(tmp_path, change, words):
    """One sentence with the file, the field and the mend."""
    document = {
        "format": "splitopt-machine", "version": 1, "name": "pi", "batch": 8,
        "seconds_per": {"operators": 1e-5}, **change,
    }  # fmt: skip
    path = tmp_path / "pi.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=words):
        MachineModel.load(path)


def test_a_profile_with_operators_is_read_as_written(tmp_path, timed):
    """Old files have none; a wrong shape names the field."""
    profile, _ = timed
    profile.save(tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json") == profile
    document = profile.to_dict()
    document["operators"]["update"]["operators"] = [1.0]
    (tmp_path / "q.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"operators.update.operators: has 1 numbers, but .* 3 la"):
        load_profile(tmp_path / "q.json")


def test_a_time_that_no_work_can_have_is_named():
    """A speed beyond all floats ends in a sentence."""
    short = []
    for number, name in enumerate(("a", "b")):
        one = seen(*network(name, number))
        short.append(Observation(name, one.counts, one.seconds * 1e-305))
    with pytest.raises(InputError, match="is too short for its work"):
        fit_machine(short, "m", 8)
