"""Traces of GPU runs: the device's times, by the kernels that each layer launches."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import read

SEQUENCE = "Sequence number"
BACK = "autograd::engine::evaluate_function: MmBackward0"
LAUNCH = "cudaLaunchKernel"


def event(name, ts, dur, cat="cpu_op", tid=1, **args):
    spelled = {key.replace("_", " "): value for key, value in args.items()}
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "tid": tid, "args": spelled}


def mark(name, ts, dur):
    return event(name, ts, dur, "user_annotation")


def operator(ts, number, external, tid=1, name="aten::mm", forward_thread=0):
    args = {SEQUENCE: number, "Fwd thread id": forward_thread, "External_id": external}
    return event(name, ts, 3, tid=tid, **args)


def kernel(ts, dur, stream=7, **args):
    return event("gemm", ts, dur, "kernel", tid=stream, **args)


def by_correlation():
    """Return layers a, b, c: kernels of 40 + 10, 200, 30 us; backward, from thread 2, 90, 400, 70.

    Everything is launched within 70 us of the host and runs much later; what belongs to no layer
    (a loss of 1000 us, launched at 45) counts nowhere.
    """
    events = [
        mark("a", 0, 10), operator(1, 0, 1), event(LAUNCH, 2, 1, "cuda_runtime", correlation=101),
        event(LAUNCH, 4, 1, "cuda_runtime", correlation=102),
        mark("b", 12, 8), operator(13, 1, 2), event(LAUNCH, 14, 1, "cuda_runtime", correlation=103),
        mark("c", 22, 8), operator(23, 2, 3), event(LAUNCH, 24, 1, "cuda_runtime", correlation=104),
        event(LAUNCH, 45, 1, "cuda_runtime", correlation=110),
        kernel(5000, 40, correlation=101), kernel(5040, 10, correlation=102),
        kernel(5100, 200, correlation=103), kernel(5400, 30, correlation=104),
        kernel(5500, 1000, correlation=110),
    ]  # fmt: skip
    for number, start, correlation, dur in ((2, 50, 105, 70), (1, 60, 106, 400), (0, 66, 107, 90)):
        args = {SEQUENCE: number, "Fwd thread id": 1}
        events += [
            event(BACK, start, 5, tid=2, **args),
            event(LAUNCH, start + 1, 1, "cuda_runtime", tid=2, correlation=correlation),
            kernel(7000 + 500 * number, dur, correlation=correlation),
        ]
    return events


def by_operator():
    """Return the same device times, linked by External ids: no calls of the runtime are there."""
    events = [
        mark("a", 0, 10), operator(1, 0, 1), mark("b", 12, 8), operator(13, 1, 2),
        mark("c", 22, 8), operator(23, 2, 3),
        kernel(5000, 50, External_id=1), kernel(5100, 200, External_id=2),
        kernel(5400, 30, External_id=3),
    ]  # fmt: skip
    for number, start, external, dur in ((2, 50, 13, 70), (1, 60, 12, 400), (0, 66, 11, 90)):
        events += [
            event(BACK, start, 5, tid=2, **{SEQUENCE: number, "Fwd thread id": 1}),
            operator(start + 1, number, external, tid=2, forward_thread=1),
            kernel(7000 + 500 * number, dur, External_id=external),
        ]
    return events


def times(tmp_path, profile, events, batch=2):
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"traceEvents": events}))
    return read(path, profile, batch=batch, machine="gpu").machines["gpu"]


@pytest.mark.parametrize("trace", [by_correlation, by_operator])
def test_kernels_count_and_not_the_host(tmp_path, make_profile, trace):
    """Both links lead to the layers; the marks' 10, 8 and 8 us of the host are in nothing."""
    found = times(tmp_path, make_profile(), trace())
    np.testing.assert_allclose(found.forward_s, [25e-6, 100e-6, 15e-6])
    np.testing.assert_allclose(found.backward_s, [45e-6, 200e-6, 35e-6])
    assert found.measured.all()


def test_streams_that_overlap_count_once(tmp_path, make_profile):
    """Two kernels of one layer from 5100 to 5300 and from 5250 to 5350 keep it busy for 250 us."""
    events = [
        *by_correlation(),
        event(LAUNCH, 15, 1, "cuda_runtime", correlation=120),
        kernel(5250, 100, stream=8, correlation=120),
    ]
    found = times(tmp_path, make_profile(), events)
    np.testing.assert_allclose(found.forward_s, [25e-6, 125e-6, 15e-6])


def test_kernels_without_a_link_are_refused(tmp_path, make_profile):
    """Without either number no layer's time is known."""
    events = [*by_correlation(), kernel(9000, 5), kernel(9010, 5, correlation=999)]
    with pytest.raises(InputError, match=r"2 of 10 kernels .* 'gemm', are linked to no operator"):
        times(tmp_path, make_profile(), events)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (event(LAUNCH, 2, 1, "cuda_runtime", correlation=101), "cudaLaunchKernel runs on a GPU"),
        (event("aten::cudnn_convolution", 2, 3), "aten::cudnn_convolution runs on a GPU"),
    ],
)
def test_a_gpu_run_without_kernels_is_refused(tmp_path, make_profile, seen, words):
    """Only the host was recorded: its times are those of launches."""
    events = [mark("a", 0, 10), operator(1, 0, 1), seen]
    with pytest.raises(InputError, match=words):
        times(tmp_path, make_profile(), events)


def test_a_run_on_the_cpu_is_read_from_its_marks(tmp_path, make_profile):
    """Stopping the profiler waits for a GPU that does nothing: that is no GPU run."""
    events = [
        mark("a", 0, 10), operator(1, 0, 1), mark("b", 12, 8), mark("c", 22, 6),
        event(BACK, 50, 7, **{SEQUENCE: 0, "Fwd thread id": 1}),
        event("cudaDeviceSynchronize", 90, 5, "cuda_runtime", correlation=1),
    ]  # fmt: skip
    found = times(tmp_path, make_profile(), events)
    np.testing.assert_allclose(found.forward_s, [5e-6, 4e-6, 3e-6])
    np.testing.assert_allclose(found.backward_s, [3.5e-6, 0, 0])


@pytest.mark.parametrize("computes", [True, False])
def test_a_layer_that_launches_nothing(tmp_path, make_profile, computes):
    """One that only views costs the GPU nothing; one that computes on the host is refused."""
    events = [e for e in by_correlation() if e["args"].get("correlation") not in (103, 106)]
    events = [e for e in events if not (e["name"] == "aten::mm" and e["ts"] == 13)]
    name = "aten::mm" if computes else "aten::view"
    events.append(operator(13, 1, 2, name=name))
    if computes:
        with pytest.raises(InputError, match="layer b launches nothing on the GPU but runs aten::"):
            times(tmp_path, make_profile(), events)
        return
    found = times(tmp_path, make_profile(), events)
    np.testing.assert_allclose(found.forward_s, [25e-6, 0, 15e-6])
    assert found.measured.all()
