"""Messages over a channel: bits, clocks, and frames that are none."""

from __future__ import annotations

import hashlib
import json
import math
import socket
import threading

import pytest

from splitopt.errors import InputError, SplitoptError
from splitopt.training.wire.transport.errors import (
    ChannelClosedError,
    ChannelTimeoutError,
    FrameError,
)
from splitopt.training.wire.transport.frames import DTYPES, MAGIC, PREFIX, Limits
from splitopt.training.wire.transport.pacing import Bucket
from tests.training.wire.transport.channel.cases import KEYS, SOON

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


def frame(document, payload=b"", clock=0.0, announced=None, number=0):
    header = document if isinstance(document, bytes) else json.dumps(document).encode()
    length = len(payload) if announced is None else announced
    head = PREFIX.pack(MAGIC, len(header), length, clock) + header
    tags = [
        hashlib.blake2b(number.to_bytes(8, "little") + data, key=KEYS.receiving, digest_size=16)
        for data in (head, head + payload)
    ]
    return head + tags[0].digest() + (payload + tags[1].digest() if length else b"")


def values(dtype, shape):
    """Values of every kind, such as NaN, -0 and infinity, in every dtype."""
    generator = torch.Generator().manual_seed(1)
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    found = (torch.randn(shape, generator=generator) * 100).to(dtype)
    if dtype.is_floating_point and found.numel() > 3:
        found.view(-1)[:3] = torch.tensor([math.nan, -0.0, math.inf])
    return found


@pytest.mark.parametrize("name", DTYPES)
def test_tensors_arrive_bit_for_bit(pair, name):
    dtype = DTYPES[name]
    sent = {
        "matrix": values(dtype, (3, 5)),
        "scalar": values(dtype, ()),
        "empty": values(dtype, (0, 7)),
        "nothing": values(dtype, (0,)),
        "transposed": values(dtype, (4, 6)).T,
        "every second": values(dtype, (9,))[::2],
        "one": values(dtype, (1, 1, 1, 1)),
        "images": values(dtype, (2, 3, 8, 8)).permute(0, 2, 3, 1),
    }
    one, other = pair
    transfer = one.send("batch", {"step": 7, "loss": 0.1, "words": ["é", None, True]}, sent)
    got = other.receive(SOON)
    assert (got.kind, got.fields) == ("batch", {"step": 7, "loss": 0.1, "words": ["é", None, True]})
    assert list(got.tensors) == list(sent)
    for key, tensor in sent.items():
        assert got.tensors[key].dtype == dtype
        assert got.tensors[key].shape == tensor.shape
        raw_bytes = [
            x.contiguous().reshape(-1).view(torch.uint8) for x in (tensor, got.tensors[key])
        ]
        assert torch.equal(*raw_bytes), key
    for key in ("transposed", "images"):  # as they lay in memory
        assert got.tensors[key].stride() == sent[key].stride()
    size = sum(t.numel() * t.element_size() for t in sent.values())
    assert transfer.payload_bytes == got.transfer.payload_bytes == size
    assert one.sent_bytes == other.received_bytes == {"batch": size}
    assert one.overhead_bytes == other.overhead_bytes > PREFIX.size


@pytest.mark.parametrize("values", [0, 5])
def test_what_has_arrived_has_been_counted(pair, monkeypatch, values):
    """Before the last byte leaves, so that no receiver is ahead of the sender's counts."""
    one, other = pair
    counts = []
    send = one._line.send

    def spy(*given):
        counts.append((one.sent_bytes["batch"], one.overhead_bytes))
        return send(*given)

    monkeypatch.setattr(one._line, "send", spy)
    one.send("batch", {}, {"x": torch.zeros(values)})
    other.receive(SOON)
    assert counts[-1] == (values * 4, other.overhead_bytes)


def test_what_arrives_can_be_changed_and_kept(pair):
    one, other = pair
    weight = torch.ones(3, requires_grad=True)
    one.send("a", tensors={"x": weight * 2})
    one.send("b", tensors={"x": torch.zeros(3)})
    first, second = other.receive(SOON), other.receive(SOON)
    first.tensors["x"] += 1
    assert first.tensors["x"].tolist() == [3, 3, 3]
    assert second.tensors["x"].tolist() == [0, 0, 0]
    assert not first.tensors["x"].requires_grad


@pytest.mark.parametrize("rate", [None, 4e8])
def test_a_message_larger_than_all_buffers_both_ways_at_once(pair, rate):
    big = torch.arange(3_000_000, dtype=torch.float32)
    bucket = None if rate is None else Bucket(rate)
    threads = [
        threading.Thread(target=end.send, args=("big", {}, {"x": big}), kwargs={"bucket": bucket})
        for end in pair
    ]
    for thread in threads:
        thread.start()
    for end in pair:
        message = end.receive(SOON)
        assert torch.equal(message.tensors["x"], big)
        assert message.transfer.end_s >= message.transfer.start_s
    for thread in threads:
        thread.join()


def test_messages_of_several_threads_do_not_mix(pair):
    one, other = pair

    def talk(number):
        for step in range(20):
            one.send("x", {"of": number, "step": step}, {"v": torch.full((1000,), number)})

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    got = [other.receive(SOON) for _ in range(80)]
    for thread in threads:
        thread.join()
    for number in range(4):
        own = [m for m in got if m.fields["of"] == number]
        assert [m.fields["step"] for m in own] == list(range(20))
        assert all((m.tensors["v"] == number).all() for m in own)


def test_the_beginning_of_a_message_is_told_before_its_end(pair):
    one, other = pair
    heard = []
    one.send("x", {"owner": 3}, {"v": torch.zeros(5)})
    message = other.receive(SOON, begun=heard.append)
    assert [(m.kind, m.fields, m.tensors) for m in heard] == [("x", {"owner": 3}, {})]
    assert heard[0].transfer.payload_bytes == 20
    assert heard[0].transfer.start_s == message.transfer.start_s


def test_both_ends_know_the_same_clock(pair):
    one, other = pair
    assert one.offset.seconds == -other.offset.seconds
    assert abs(one.offset.seconds) <= 10 * one.offset.uncertainty_s  # one machine: one clock


def test_a_receiver_that_ran_out_of_time_goes_on_where_it_was(raw):
    near, channel = raw
    data = frame(
        {"kind": "x", "fields": {}, "tensors": [["v", "int64", [4]]]},
        torch.arange(4).numpy().tobytes(),
    )
    for end in (5, PREFIX.size + 3, len(data) - 2):
        start = {5: 0, PREFIX.size + 3: 5}.get(end, PREFIX.size + 3)
        near.sendall(data[start:end])
        with pytest.raises(ChannelTimeoutError, match="in time") as caught:
            channel.receive(0.05)
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, SplitoptError)
    near.sendall(data[-2:])
    assert channel.receive(SOON).tensors["v"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "not a frame"),
        (PREFIX.pack(MAGIC, 10_001, 0, 0.0), "header of 10001 bytes"),
        (PREFIX.pack(MAGIC, 10, 2**63, 0.0), "payload of 9223372036854775808 bytes"),
        (frame({}, clock=math.nan), "clock"),
        (frame(b"\xff\xfe{}"), "cannot be read"),
        (frame(b"{"), "cannot be read"),
        (frame(b"[" * 9000), "cannot be read"),
        (frame(b'{"kind": "x", "fields": {"a": NaN}, "tensors": []}'), "cannot be read"),
        (frame([]), "has not the keys"),
        (frame({"kind": "x", "fields": {}}), "has not the keys"),
        (frame({"kind": 1, "fields": {}, "tensors": []}), "a text, an object and a list"),
        (frame({"kind": "x", "fields": [], "tensors": []}), "a text, an object and a list"),
        (frame({"kind": "x", "fields": {}, "tensors": [[]] * 11}), "11 tensors"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "float32"]]}), "name, dtype, shape"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "object", [1]]]}), "unknown dtype"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", [], [1]]]}), "unknown dtype"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [1] * 33]]}), "dimensions"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [-4]]]}), "shape"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [2], [1]]]}, b"12"), "lie as"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [2], 0]]}, b"12"), "lie as"),
        (
            frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [1, 2], [0, 0]]]}, b"12"),
            "lie as",
        ),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [True]]]}), "shape"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [1.0]]]}), "shape"),
        (frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [2**40]]]}), "shape"),
        (
            frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [2**31] * 32]]}, b"12"),
            "in a payload of 2",
        ),
        (
            frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [0, *[2**31] * 9]]]}),
            "be allocated",
        ),
        (
            frame({"kind": "x", "fields": {}, "tensors": [["v", "int32", [4]]]}, b"12"),
            "payload of 2",
        ),
        (frame({"kind": "x", "fields": {}, "tensors": []}, b"12"), "payload of 2"),
        (
            frame({"kind": "x", "fields": {}, "tensors": [["v", "int8", [1]]] * 2}, b"12"),
            "two tensors",
        ),
    ],
)
def test_what_is_no_frame_ends_the_connection_in_one_sentence(raw, data, why):
    near, channel = raw
    near.sendall(data)
    with pytest.raises(FrameError, match=why) as caught:
        channel.receive(SOON)
    assert "\n" not in str(caught.value)
    with pytest.raises(ChannelClosedError):
        channel.receive(SOON)


@pytest.mark.parametrize("cut", [0, 3, PREFIX.size, PREFIX.size + 5, -1])
def test_a_frame_that_ends_early(raw, cut):
    near, channel = raw
    data = frame({"kind": "x", "fields": {}, "tensors": [["v", "uint8", [3]]]}, b"123")
    near.sendall(data[:cut])
    near.shutdown(socket.SHUT_WR)
    with pytest.raises(ChannelClosedError, match="has closed the connection"):
        channel.receive(SOON)


def test_what_is_too_large_is_not_sent(raw):
    _, channel = raw
    with pytest.raises(InputError, match="10004 bytes"):
        channel.send("x", tensors={"v": torch.zeros(2501)})
    with pytest.raises(InputError, match="may have 10000"):
        channel.send("x", {"long": "a" * 10_001})
    with pytest.raises(InputError, match="plain data"):
        channel.send("x", {"loss": math.nan})
    with pytest.raises(InputError, match="does not travel"):
        channel.send("x", tensors={"v": torch.eye(2).to_sparse()})


def test_a_peer_that_takes_nothing_is_given_up(raw):
    _, channel = raw
    channel.limits = Limits()
    with pytest.raises(ChannelClosedError, match=r"taken nothing for 0.2 s"):
        channel.send("x", tensors={"v": torch.zeros(20_000_000)}, stall_s=0.2)


def test_closing_wakes_a_thread_that_waits(pair):
    one, _ = pair
    caught = []

    def wait():
        try:
            one.receive()
        except ChannelClosedError as error:
            caught.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    one.close()
    thread.join(SOON)
    assert len(caught) == 1
