"""Codecs over real connections: what is learned is what one process learns, bit by bit."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError, TrainingError  # noqa: E402
from splitopt.training.codecs.base import Codec  # noqa: E402
from splitopt.training.codecs.crossing import Crossing  # noqa: E402
from splitopt.training.codecs.floats import Fp16  # noqa: E402
from splitopt.training.codecs.registry import make_codec  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes.base import with_codecs  # noqa: E402
from splitopt.training.wire.client_state import control_of, load_control  # noqa: E402
from splitopt.training.wire.dropping import DevicesGoneError  # noqa: E402
from splitopt.training.wire.transport.errors import FrameError  # noqa: E402

pytestmark = pytest.mark.train

CODECS = [
    {"codec": "fp16"},
    {"codec": "none", "gradient_codec": "bf16"},
    {"codec": "int8:channel", "gradient_codec": "none"},
    {"codec": "int8:stochastic"},
    {"codec": "int4:channel:stochastic", "gradient_codec": "fp16"},
    {"codec": "topk:0.1:feedback", "gradient_codec": "topk:0.25"},
    {"codec": "topk:0.1:forget", "gradient_codec": "int4"},
]
IDS = [f"{c['codec']}, {c.get('gradient_codec', 'same')}" for c in CODECS]


@pytest.mark.slow
@pytest.mark.parametrize("codecs", CODECS, ids=IDS)
@pytest.mark.parametrize("name", ["splitfed_v1", "clustered"])
def test_rounds_are_those_of_one_process(wired, name, codecs):
    """Weights, random numbers and what is left out; and the bytes are those that are on the wire.

    Two rounds: what was left out in the first one is added in the second one.
    """
    options = Options(local_epochs=2, momentum=0.9, order="shuffled", **codecs)
    wanted = wired.scheme_of(name, options)
    tallies = [wanted.round(number) for number in range(2)]
    wired.train(name, options)
    assert wired.errors == {}
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies
    sent = wired.server.sent_bytes
    assert sent["smashed"] == sum(tally.traffic.smashed for tally in tallies)
    assert sent["gradient"] == sum(tally.traffic.gradient for tally in tallies)


@pytest.mark.slow
def test_what_is_left_out_is_in_the_state(wired):
    """A state that was taken between rounds is all that both ways of training need."""
    options = Options(local_epochs=2, codec="topk:0.1:feedback")
    wanted = wired.scheme_of("clustered", options)
    wanted.round(0)
    state = wanted.state_dict()
    assert {f"client.{n}.crossing.{way}.0" for n in range(3) for way in ("up", "down")} <= set(
        state
    )
    wanted.round(1)
    resumed = wired.scheme_of("clustered", options)
    resumed.load_state_dict(state)
    wired.train("clustered", options, rounds=1, scheme=resumed, first=1)
    wired.assert_same_state(wired.scheme, wanted)


@pytest.mark.parametrize("frozen", [(0,), (0, 2)], ids=["first", "two"])
@pytest.mark.parametrize("name", ["splitfed_v1", "clustered"])
@pytest.mark.slow
def test_frozen_first_layers_have_no_gradient_to_encode(wired, name, frozen):
    options = Options(local_epochs=2, codec="topk:0.1:feedback", gradient_codec="int4:stochastic")
    wanted = wired.scheme_of(name, options, frozen=frozen)
    tallies = [wanted.round(number) for number in range(2)]
    wired.train(name, options, frozen=frozen)
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies
    if name == "clustered":
        assert wired.server.sent_bytes["gradient"] == 0


def test_a_device_with_another_codec_is_dropped_and_told(wired):
    """Its message is not what the server's codec writes."""

    class Other(wired.Device):
        def run(self):
            self.client.crossing = Crossing({"up": make_codec("int4"), "down": Fp16()}, "d0")
            super().run()

    wired.train("splitfed_v1", Options(codec="fp16", local_epochs=2), devices={0: Other}, rounds=1)
    (dropped,) = wired.server.dropped
    assert dropped.client == "d0"
    assert "start all parties with the same codec" in dropped.reason


def test_a_device_without_a_codec_is_dropped(wired):
    class Other(wired.Device):
        def run(self):
            self.client.crossing = Crossing()
            super().run()

    with pytest.raises(DevicesGoneError, match="same codec"):
        wired.train(
            "clustered",
            Options(codec="fp16", local_epochs=2),
            devices=dict.fromkeys(range(3), Other),
        )


@pytest.mark.parametrize("name", ["splitfed_v1", "clustered"])
def test_a_value_that_is_not_finite_ends_the_run_as_in_one_process(wired, name):
    options = Options(learning_rate=1e30, local_epochs=2, codec="int8")
    with pytest.raises(TrainingError) as alone:
        wired.scheme_of(name, options).round(0)
    with pytest.raises(TrainingError) as apart:
        wired.train(name, options, rounds=1)
    assert "client d" in str(alone.value)
    assert "client d" in str(apart.value)


class Least(Codec):
    """A codec whose largest value is small, as that of float16 is."""

    name = "least"

    @classmethod
    def read(cls, arguments):
        return cls()

    def layout(self, shape, dtype):
        return Fp16().layout(shape, dtype)

    def encode(self, tensor):
        return Fp16().encode(tensor)

    def decode(self, message, shape, dtype):
        return Fp16().decode(message, shape, dtype)

    def largest(self, dtype):
        return 1e-3


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_value_that_is_too_large_is_named_with_its_client(wired, monkeypatch, way):
    """The device tells the server of its activations, which ends the run; gradients are its own."""
    monkeypatch.setattr(Least, "largest", lambda self, dtype: 1e-9)
    other = {"up": "down", "down": "up"}[way]
    makers = {way: Least, other: lambda: None}
    monkeypatch.setattr(Options, "up_codec", lambda self: makers["up"]())
    monkeypatch.setattr(Options, "down_codec", lambda self: makers["down"]())
    what = {"up": "activations", "down": "gradients"}[way]
    words = rf"{what} of client d\d at cut 1 reach .*, and least ends at 1e-09; take another codec"
    with pytest.raises(TrainingError, match=words):
        wired.scheme_of("clustered", Options(local_epochs=2)).round(0)
    with pytest.raises(TrainingError, match=words):
        wired.train("clustered", Options(local_epochs=2), rounds=1)


def test_a_state_with_what_was_left_out_of_others_is_refused(wired):
    """Names, types: of the device's one sender, and only where its codec has feedback."""
    scheme = wired.scheme_of("clustered", Options(codec="topk:0.1:feedback", local_epochs=2))
    client, own = scheme.clients[0], scheme.copies()[1]
    fine = control_of(client, own)
    load_control({**fine, "crossing.up.0": torch.ones(2, 3)}, client, own)
    for key, value in (
        ("crossing.up.1", torch.ones(2)),
        ("crossing.down.0", torch.ones(2)),
        ("crossing.up.0", torch.ones(2, dtype=torch.int64)),
    ):
        with pytest.raises(FrameError, match="left out of messages"):
            load_control({**fine, key: value}, client, own)
    plain = wired.scheme_of("clustered", Options(codec="int8", local_epochs=2))
    client, own = plain.clients[0], plain.copies()[1]
    with pytest.raises(FrameError, match="left out of messages"):
        load_control({**control_of(client, own), "crossing.up.0": torch.ones(2)}, client, own)


def test_codecs_need_a_cut(wired):
    clients = wired.scheme_of("clustered", Options(local_epochs=2)).clients
    for client in clients:
        client.cuts = ()
    with pytest.raises(InputError, match=r"^codec: is for what crosses a cut"):
        with_codecs(clients, Options(codec="int8"))
    with pytest.raises(InputError, match=r"^gradient_codec: is for what crosses a cut"):
        with_codecs(clients, Options(gradient_codec="int8"))
