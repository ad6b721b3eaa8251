"""Rank 0 of a run over connections: what the server of a star and a pipeline's coordinator share.

Rank 0 holds the scheme as one process would, with the copy of every client. A round replaces the
work of the other parties by connections; what they send back is written into the copies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, NoReturn

from torch import Tensor

from splitopt.errors import InputError
from splitopt.timeline import Timeline
from splitopt.training.model_parts.copies import Copy
from splitopt.training.program import Program
from splitopt.training.schemes.base import Client, Scheme, TrainingError
from splitopt.training.schemes.tally import Round
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.dropping import DevicesGoneError, Dropped
from splitopt.training.wire.recorder import Row, measured_timeline
from splitopt.training.wire.transport.errors import ChannelError
from splitopt.training.wire.transport.frames import Message, expect_kind

TESTS_S = 600.0
"""For so long a party may test the common model, which no plan pays for."""


class RoundOutcome(NamedTuple):
    """A round over connections.

    Parameters
    ----------
    tally
        Its sums.
    finished
        Indices of the clients who came to its end.
    rows
        What was done when, by the clock of rank 0.
    predicted
        The timeline that the plan predicts for it.
    """

    tally: Round
    finished: Collection[int]
    rows: Sequence[Row]
    predicted: Timeline


class Question(NamedTuple):
    """A message to a party between two rounds, and the kind of the answer."""

    kind: str
    fields: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    answer: str


class Leader(ABC):
    """Rank 0; `round` is that of the scheme, over connections.

    Parameters
    ----------
    scheme
        As `splitopt.training.preparing.setup.build_scheme` makes it for one process.
    crew
        The other ranks: the clients as ranks 1, 2, ... in the order of the scheme come first.
    problem
        Of the plan.
    time_scale
        Seconds of the wall for each planned one.
    deadline
        How long to wait for a client; three times what is planned by default.

    Attributes
    ----------
    timelines
        What was measured, one for each round, in planned seconds from its first task.
    predicted
        What was predicted for each of these rounds: of the clients and in the order that it drew.
    dropped
        Clients that rounds went on without.
    sent_bytes
        Bytes of tensors on the wire by the kind of message.
    number
        The round that runs, 0 for the first.
    received_bytes
        By party, where several servers take part: bytes of tensors that came, by kind of message.
    smashed_tests
        Gives the smashed test data, where rank 0 has no client part to make them; None otherwise.
    """

    client_word: ClassVar[str] = "device"
    """How messages call a client."""

    def __init__(
        self,
        scheme: Scheme,
        crew: Crew,
        problem: str,
        time_scale: float,
        deadline: Deadline | None = None,
    ) -> None:
        self.scheme, self.crew, self.problem = scheme, crew, problem
        self.time_scale, self.deadline = time_scale, deadline or Deadline()
        self.timelines: list[Timeline] = []
        self.predicted: list[Timeline] = []
        self.dropped: list[Dropped] = []
        self.sent_bytes: Counter[str] = Counter()
        self.number = 0
        self.received_bytes: dict[str, Counter[str]] = {}
        self.smashed_tests: Callable[[], Tensor] | None = None

    def round(self, number: int) -> Round:
        """Train a round (0, 1, ...) with the clients that are there.

        Raises
        ------
        DevicesGoneError
            None is there, or none is left.
        TrainingError
            A loss is not a finite number, here or elsewhere, or a party that nothing goes on
            without is gone.
        """
        self.number = number
        outcome = self.train_round()
        tally, origin = outcome.tally, {"problem": self.problem, "round": number}
        finished = {self.scheme.clients[n].name for n in outcome.finished}
        wanted = [client.name for client in self.scheme.takes_part(number)]
        tally.dropped = tuple(name for name in wanted if name not in finished)
        self.predicted.append(outcome.predicted)
        self.timelines.append(
            measured_timeline(outcome.rows, self.time_scale, origin, like=outcome.predicted)
        )
        return tally

    def end(self) -> str | None:
        """Have another party keep what it alone has, after the last round; return its file."""
        return None

    def follow(self, program: Program) -> None:
        """Read cuts and seconds of the next round from a program that replaces the plan's.

        Raises
        ------
        InputError
            Rounds of this kind do not change.
        """
        raise InputError.at(
            "replan", f"is not for plans of {program.problem} over connections; leave it out"
        )

    def measured(self) -> Timeline:
        """Return what the tasks of the last round took, in planned seconds."""
        return self.timelines[-1]

    def asked(self, rank: int, what: Question) -> Message:
        """Send a party something between two rounds, and wait for its answer.

        Raises
        ------
        TrainingError
            It is gone, late, sends something else, or says that it cannot.
        """
        channel = self.crew.channel(rank)
        if channel is None:
            raise self.without_tests(rank, "it has left")
        wait_s = self.deadline.wait_s(0.0)
        try:
            channel.send(what.kind, what.fields, what.tensors, stall_s=wait_s)
            message = channel.receive(TESTS_S + wait_s)
            if message.kind == "failed":
                raise TrainingError(str(message.fields.get("message"))[:500])
            return expect_kind(message, what.answer)
        except ChannelError as error:
            raise self.without_tests(rank, str(error)) from None

    def without_tests(self, rank: int, why: str) -> TrainingError:
        """Return the error of a run whose data to test with are at a party that is gone."""
        name = self.scheme.clients[rank - 1].name
        return TrainingError(
            f"{name}, which has the data to test with, cannot test the model ({why}); start the "
            "run again, with --resume to go on from the last checkpoint"
        )

    @abstractmethod
    def train_round(self) -> RoundOutcome:
        """Orchestrate the round `number`, and leave the scheme as its own method would."""

    @abstractmethod
    def copy(self, n: int) -> Copy:
        """Return the copy of a client."""

    def present(self) -> list[int]:
        """Return the indices of the clients that are connected."""
        return [n for n in range(len(self.scheme.clients)) if self.crew.channel(n + 1) is not None]

    def clients(self, indices: Iterable[int]) -> list[Client]:
        """Return the clients of these indices."""
        return [self.scheme.clients[n] for n in indices]

    def keep(self, n: int) -> Callable[[], None]:
        """Remember a client's state, and return what brings it back if the client is dropped."""
        return remembered(self.copy(n), self.scheme.clients[n])

    def drop(self, n: int, phase: str, reason: str) -> Dropped:
        """Go on without a client, which may join again for a later round."""
        self.crew.drop(n + 1)
        dropped = Dropped(self.scheme.clients[n].name, self.number + 1, phase, reason)
        self.dropped.append(dropped)
        return dropped

    def fail(self) -> NoReturn:
        """End the run, because no client is left.

        Raises
        ------
        DevicesGoneError
            Always; the message says why the clients are gone.
        """
        last = {item.client: item for item in self.dropped}
        why = "; ".join(f"dropped were {item}" for item in last.values()) or "none is connected"
        raise DevicesGoneError(f"no {self.client_word} is left to train with: {why}")


def remembered(own: Copy, client: Client) -> Callable[[], None]:
    """Remember a client's state, and return what brings it back."""
    state, moments = own.state(), {k: v.clone() for k, v in own.moments().items()}
    drawn, left_out = client.stream.state_dict(), client.crossing.state_dict()

    def bring_back() -> None:
        own.model.load_state_dict(state)
        own.load_moments(moments)
        client.stream.load_state_dict(drawn)
        client.crossing.load_state_dict(left_out)

    return bring_back
