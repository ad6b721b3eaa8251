"""Files of all kinds, read by their content and refused in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt import ModelProfile, load_profile
from splitopt.errors import InputError
from splitopt.profiles import profile_names, read, write_layer_csv, write_times

CSV = (
    "layer,forward_flop,backward_flop,output_bytes,parameter_bytes,saved_bytes,"
    "pi:forward_s,pi:backward_s,pi:update_s\n"
    "a,10,20,8,100,16,1,2,0.5\nb,6,4,4,100,8,,,\nc,30,60,2,100,4,3,8,0.25\n"
)

NODE = (
    "node{} -- {} -- forward_compute_time={}, backward_compute_time={}, activation_size={}, "
    "parameter_size={}\n"
)
GRAPH = (
    NODE.format(1, "Input0", 0.0, 0.0, 0.0, 0.0)
    + NODE.format(2, "Conv", 1.0, 2.0, 64.0, 8.0)
    + NODE.format(3, "Linear", 3.0, 4.0, 16.0, 4.0)
    + "\tnode1 -- node2\n\tnode2 -- node3\n"
)


def event(name, ts, dur, cat="cpu_op", **args):
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "tid": 1, "args": args}


def a_trace():
    """Two runs of the layers a and c by hand; b is not marked. Microseconds."""
    back = "autograd::engine::evaluate_function: MmBackward0"
    seq = "Sequence number"
    return {
        "traceEvents": [
            {"ph": "M", "name": "process_name"},
            event("a", 0, 10, "user_annotation"),
            event("aten::mm", 2, 3, **{seq: 0, "Fwd thread id": 0}),
            event("c", 20, 30, "user_annotation"),
            event("aten::mm", 21, 3, **{seq: 1, "Fwd thread id": 0}),
            event("aten::relu", 30, 3, **{seq: 2, "Fwd thread id": 0}),
            event(back, 60, 7, **{seq: 2, "Fwd thread id": 1}),
            event("MmBackward0", 61, 5, **{seq: 2, "Fwd thread id": 1}),
            event(back, 70, 8, **{seq: 1, "Fwd thread id": 1}),
            event(back, 80, 9, **{seq: 0, "Fwd thread id": 1}),
            event("a", 100, 14, "user_annotation"),
            event("aten::mm", 101, 3, **{seq: 5, "Fwd thread id": 0}),
            event("c", 120, 34, "user_annotation"),
            event("aten::mm", 121, 3, **{seq: 6, "Fwd thread id": 0}),
            event(back, 160, 11, **{seq: 6, "Fwd thread id": 1}),
            event(back, 180, 13, **{seq: 5, "Fwd thread id": 1}),
        ]
    }


def test_a_csv_of_layers_by_hand(tmp_path, make_profile, board):
    """Each layer by itself adds up to the table that is known; empty cells were not measured."""
    path = tmp_path / "three.csv"
    path.write_text(CSV)
    found, known = read(path), make_profile()
    for column in ("device_forward_flop", "server_backward_flop", "device_model_bytes"):
        assert getattr(found, column).tolist() == getattr(known, column).tolist()
    assert found.smashed_bytes.tolist() == found.gradient_bytes.tolist() == [8.0, 4.0, 0.0]
    assert found.layer_output_bytes.tolist() == [8.0, 4.0, 2.0]
    assert found.device_memory_per_sample_bytes.tolist() == [16.0, 24.0, 28.0]
    assert found.machines["pi"].to_dict() == board.to_dict()


def test_frozen_parameters_in_a_csv(tmp_path):
    """Of 4000, 36000 and 2000 B, 0, 600 and 2000 are trained; written and read it is the same."""
    path, back = tmp_path / "frozen.csv", tmp_path / "back.csv"
    path.write_text(
        "layer,forward_flop,backward_flop,output_bytes,parameter_bytes,trained_bytes,saved_bytes\n"
        "conv,2e6,0,8192,4000,0,0\nblock,4e6,4e6,2048,36000,600,512\nhead,1e6,2e6,40,2000,2000,64\n"
    )
    found = read(path)
    assert found.device_model_bytes.tolist() == [0, 600, 2600]
    assert found.layer_parameter_bytes.tolist() == [4000, 36000, 2000]
    assert found.device_memory_fixed_bytes.tolist() == [4000, 40600, 44600]
    write_layer_csv(found, back)
    again = read(back)
    for column in ("device_model_bytes", "layer_parameter_bytes", "layer_trained_bytes"):
        assert getattr(again, column).tolist() == getattr(found, column).tolist()
    path.write_text(path.read_text().replace(",36000,600,", ",36000,36001,"))
    with pytest.raises(InputError, match="trained_bytes in line 3 is 36001, more than the 36000"):
        read(path)


@pytest.mark.parametrize("name", ["resnet18-imagenet", "vgg19-cifar"])
def test_a_written_csv_is_read_again(tmp_path, name):
    """What a CSV can hold comes back: table, memory and machines."""
    profile = load_profile(name)
    write_layer_csv(profile, tmp_path / "again.csv")
    again = read(tmp_path / "again.csv")
    for column in (*ModelProfile.REQUIRED, "device_memory_per_sample_bytes"):
        np.testing.assert_allclose(getattr(again, column), getattr(profile, column), rtol=1e-12)
    assert again.machines.keys() == profile.machines.keys()
    for machine, times in profile.machines.items():
        assert again.machines[machine].to_dict() == times.to_dict()


def test_each_file_is_known_by_its_content(tmp_path, make_profile):
    """JSON, CSV, a graph, a table of times and a trace, under names that say nothing."""
    profile = make_profile()
    for name, text in (("one", CSV), ("two", GRAPH), ("three__trace", json.dumps(a_trace()))):
        (tmp_path / name).write_text(text)
    profile.save(tmp_path / "four")
    assert read(tmp_path / "one").layers == ("a", "b", "c")
    assert read(tmp_path / "two", batch=8, machine="v100").machines["v100"].total_s.sum() > 0
    assert read(tmp_path / "four") == profile
    times = write_times(profile, "board", tmp_path, batch=4)
    assert "new" in read(times, profile, batch=4, machine="new").machines
    assert "trace" in read(tmp_path / "three__trace", profile, batch=2).machines


def test_a_trace_by_hand(tmp_path, make_profile):
    """Medians of two runs: a 12 and 11 us, c 32 and 13 us, for a batch of 2; b was not measured."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps(a_trace()))
    times = read(path, make_profile(), batch=2, machine="gpu").machines["gpu"]
    assert times.forward_s == pytest.approx([6e-6, 0, 16e-6])
    assert times.backward_s == pytest.approx([5.5e-6, 0, 6.5e-6])
    assert times.measured.tolist() == [True, False, True]
    assert not times.update_s.any()


@pytest.mark.train
def test_a_real_trace(tmp_path):
    """What torch.profiler exports today has all layers and a backward pass for each."""
    torch = pytest.importorskip("torch")
    from splitopt.models import build
    from splitopt.profiles import trace

    found = trace(build("lenet12"), torch.randn(2, 1, 28, 28))
    value = torch.randn(2, 1, 28, 28)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as prof:
        for name, part in zip(found.profile.layers, found.all_parts(), strict=True):
            with torch.profiler.record_function(name):
                value = part(value)
        value.square().mean().backward()
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    times = read(tmp_path / "trace.json", found.profile, batch=2, machine="here").machines["here"]
    assert times.measured.all()
    assert (times.backward_s > 0).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer,forward_flop\na,1\n", "the column 'backward_flop' is missing"),
        (CSV.replace("saved_bytes", "colour"), "the column 'colour' is unknown"),
        (CSV.replace(",pi:update_s", ",pi:forward_s"), "the column 'pi:forward_s' stands twice"),
        (CSV.replace("pi:update_s", "pj:update_s"), "a machine has three columns: pi:forward_s"),
        (
            CSV.replace("b,6,4", "b,six,4"),
            "line 3: forward_flop: is 'six'; it must be a finite number",
        ),
        (CSV.replace("b,6,4", "b,-6,4"), "line 3: forward_flop: is '-6'"),
        (CSV.replace("b,6,4", "b,4"), "line 3 has 8 cells, the header has 9"),
        (CSV.partition("\n")[0] + "\n", "has a header but no rows"),
        ("some words", "is no profile that splitopt knows"),
        ("1,2,3\n", "holds times only"),
        (json.dumps({"traceEvents": []}), "holds times only"),
        (GRAPH, "say for how many samples"),
        ('{"format": "splitopt-plan"}', "splitopt-profile"),
        ("", "holds times only|is no profile"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, words):
    """One sentence with the file, the place and the mend."""
    path = tmp_path / "bad"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read(path)


def test_a_trace_without_marks_is_refused(tmp_path, make_profile):
    """Nothing can be said of layers that are not marked; the message says how to mark them."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"traceEvents": [event("aten::mm", 0, 1)]}))
    with pytest.raises(InputError, match=r"record_function\(NAME\) with the names a, b, c"):
        read(path, make_profile(), batch=2, machine="gpu")


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        (
            "device_forward_flop",
            [10, 17, 46],
            r"does not add up: with server_forward_flop it is 47",
        ),
        ("server_backward_flop", [64, 61, 0], r"device_backward_flop: does not add up"),
        ("device_model_bytes", [100, 90, 300], r"falls from 100 to 90 at cut 2 \(b\)"),
    ],
)
def test_columns_that_do_not_add_up_are_refused(tmp_path, make_profile, column, values, words):
    """A file whose parts are not one model names the column, the cut and the numbers."""
    path = tmp_path / "mine.json"
    document = {**make_profile().to_dict(), column: values}
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=words) as caught:
        load_profile(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_can_be_saved_and_loaded(tmp_path, name):
    """Printed regressions need not add up; every other shipped table does."""
    profile = load_profile(name)
    profile.save(tmp_path / "again.json")
    assert load_profile(tmp_path / "again.json") == profile
