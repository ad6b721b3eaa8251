"""What all schemes share: clients, rounds, and what a round is counted by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.errors import TrainingError as TrainingError
from splitopt.secure_sum.protocol import usual_threshold
from splitopt.training.codecs.crossing import DOWN, UP, SideBySide
from splitopt.training.data.named import Inputs
from splitopt.training.masked_sums import check_masked_sums, check_real
from splitopt.training.model_parts.averaging import average, leading
from splitopt.training.model_parts.changing import Examined
from splitopt.training.model_parts.copies import Copy, Cut, Split, tensor_bytes
from splitopt.training.model_parts.noise_layer import NoiseLayer
from splitopt.training.model_parts.parts import (
    Part,
    Pass,
    backward_chain,
    forward_chain,
    parties_of,
    tied_between,
)
from splitopt.training.options import Options, Order, Role
from splitopt.training.program import Program, Takes
from splitopt.training.schemes.as_published import State, renew_servers
from splitopt.training.schemes.client import Client as Client
from splitopt.training.schemes.client import finite_loss as finite_loss
from splitopt.training.schemes.client import with_codecs as with_codecs
from splitopt.training.schemes.scheme_state import load_state, state_of
from splitopt.training.schemes.scheme_state import under as under
from splitopt.training.schemes.taken_options import check_taken
from splitopt.training.schemes.tally import Round, Traffic
from splitopt.training.schemes.unequal_ranks import check_unequal_ranks
from splitopt.training.turns import TurnsOfClient, chosen, permuted
from splitopt.training.two_servers import check_two_servers

Criterion = Callable[[Tensor, Tensor], Tensor]
AfterTurn = Callable[[Sequence[Client]], None]


class Scheme(ABC):
    """A way to train one model by several clients; `model` always holds the common weights.

    Parameters
    ----------
    model
        The common model, which the rounds change.
    clients
        Who takes part.
    options
        Optimizers and policies.
    split
        Cuts a model into modules that share its tensors; a function where forward writes no
        buffer but the statistics of normalisations.
    criterion
        The mean loss of a batch, from outputs and targets.
    seed
        Of the order of clients.

    Attributes
    ----------
    name
        What calls it, and stands in histories and checkpoints.
    roles
        Who holds each part of a client's chain; see `roles_of`.
    takes
        Which cuts it takes of a plan.
    runs_as
        Of a scheme that is not splitopt's own: the scheme that it extends, whose rounds it leaves
        as they are, so that what they take and who sends what over connections is known.
    can_batch
        Whether clients can train side by side in one call of every layer.
    exchanges_tied
        Whether device and server may each hold a copy of a tied weight: both add the gradients of
        both in every mini-batch, so that the copies stay equal.
    noise
        The noise layer in the parts of devices, None where there is none.
    takes_ranks
        Whether clients may train copies whose adapters have ranks of their own.
    draws_clients
        Whether a round can be of some of the clients, see ``client_fraction`` of `Options`.
    tested_as
        Of the last round as the script of the authors has it: the state of the model by which each
        client is tested. Empty otherwise.
    has_fed_server
        Whether the client parts can be averaged by a server that does nothing else, see
        `splitopt.training.two_servers`.
    averages_devices
        Whether a round ends with one average of the parts of all devices, which can be a secure
        sum, see `splitopt.training.masked_sums`.
    has_script
        Whether there is a script of its authors, which ``as_published`` of the options follows.
    usual_order
        In which order clients are served where the options leave it to the scheme.
    can_remember
        Whether one model goes from device to device, so that something can be done against what it
        forgets, see `splitopt.training.remembering_options.Remembering`.
    serves_together
        Whether the server's part can learn from batches of several clients at once.
    after_turn
        Called after every turn with its clients, while `model` is as they leave it; None for
        nothing.
    """

    name: ClassVar[str]
    roles: ClassVar[tuple[Role, ...]] = ("device", "server")
    takes: ClassVar[Takes] = "planned"
    runs_as: ClassVar[str | None] = None
    can_batch: ClassVar[bool] = False
    exchanges_tied: ClassVar[bool] = False
    noise: NoiseLayer | None = None
    takes_ranks: ClassVar[bool] = False
    draws_clients: ClassVar[bool] = False
    has_fed_server: ClassVar[bool] = False
    averages_devices: ClassVar[bool] = False
    has_script: ClassVar[bool] = False
    usual_order: ClassVar[Order] = "given"
    can_remember: ClassVar[bool] = False
    serves_together: ClassVar[bool] = False
    after_turn: AfterTurn | None = None

    def __init__(
        self,
        model: nn.Module,
        clients: Sequence[Client],
        options: Options,
        split: Split | Cut,
        criterion: Criterion = nn.functional.cross_entropy,
        seed: int = 0,
    ) -> None:
        self.model = model
        if options.privacy is not None and any(client.guard is None for client in clients):
            raise InputError.at(
                "privacy",
                "needs clients with a guard, which splitopt.train gives them; train with that",
            )
        self.clients = with_codecs(clients, options, split)
        self.options = options
        self.split = split
        self.criterion = criterion
        self.seed = seed
        self.about = Examined(model, self.clients[0].batches.inputs, split)
        check_taken(options, self.name, self.can_batch, self.draws_clients, self.has_script)
        if options.remembering is not None and not self.can_remember:
            options.remembering.expect_copies(self.name)
        self.tested_as: dict[str, State] = {}
        self._check_tied()
        if any(client.rank is not None for client in clients):
            check_unequal_ranks(self.name, self.takes_ranks, options)
        if options.fed_server:
            self._check_fed_server()
        if options.secure_aggregation:
            self._check_masked_sums()
        self.prepare()

    def _check_masked_sums(self) -> None:
        """Reject secure aggregation where no round ends with one sum that hides its parts."""
        if not self.averages_devices:
            raise InputError.at(
                "secure_aggregation",
                "is for splitfed_v1, splitfed_v2 and federated, whose rounds end with one average "
                f"of the parts of all devices, not for {self.name}; leave it out",
            )
        cuts, given = [client.cuts for client in self.clients], self.options.threshold
        check_masked_sums(self.name, self.members_in_round, given, cuts, self.parties_tied())
        check_real(any(value.is_complex() for value in self.model.state_dict().values()))

    @property
    def members_in_round(self) -> int:
        """How many clients take part in a round."""
        return len(self._chosen(0))

    @property
    def unmasking_threshold(self) -> int:
        """How many of them must be left for a secure sum to be unmasked."""
        given = self.options.threshold
        return usual_threshold(self.members_in_round) if given is None else given

    @abstractmethod
    def prepare(self) -> None:
        """Make the copies and parts that the rounds use."""

    @abstractmethod
    def round(self, number: int) -> Round:
        """Train one round (0, 1, ...) and leave its result in ``model``."""

    @abstractmethod
    def copies(self) -> list[Copy]:
        """All copies whose optimizers and statistics outlive a round."""

    def _check_tied(self) -> None:
        """Reject cuts between the uses of a weight, where nobody exchanges its gradients."""
        for name in () if self.exchanges_tied else self.parties_tied():
            raise InputError.at(
                "scheme",
                f"{self.name} exchanges no gradients of weights, and its cuts leave the tied "
                f"weight {name} to several parties; train by splitfed_v1, or let an owner hold "
                "all layers that use it (u_shaped, multihop)",
            )

    def parties_tied(self) -> list[str]:
        """Return the names of weights that both sides of a client's cut train."""
        chains = {(own.cuts, self.roles_of(own)) for own in self.clients}
        return [
            name
            for cuts, roles in chains
            if cuts
            for name in tied_between(self.split(self.model, cuts), parties_of(roles))
        ]

    @property
    def has_turns(self) -> bool:
        """Whether there are turns, each of which ends with a call of `turn_ends`."""
        return False

    def turn_ends(self, clients: Sequence[Client]) -> None:
        """Report to whoever listens that the turn of some clients is over."""
        if self.after_turn is not None:
            self.after_turn(clients)

    def turns_of(self, number: int) -> list[TurnsOfClient] | None:  # noqa: ARG002
        """Return what each client does in a round (0, 1, ...), None where it is one usual turn."""
        return None

    def _check_fed_server(self) -> None:
        """Reject a fed server where this scheme has none, or cuts leave it nothing of its own."""
        if not self.has_fed_server:
            raise InputError.at(
                "fed_server",
                f"is for splitfed_v1 and splitfed_v2, whose paper has one, not for {self.name}; "
                "leave it out",
            )
        check_two_servers(self.name, [own.cuts for own in self.clients], self.parties_tied())

    def phases_s(self, program: Program, number: int) -> Mapping[str, float] | None:  # noqa: ARG002
        """Predict what a round (0, 1, ...) takes: phase -> seconds, which add up; None if unknown.

        Of a scheme that is not splitopt's own. Without it, and without `runs_as`, rounds have no
        time.
        """
        return None

    def begin_round(self, number: int) -> None:
        """Set the learning rates of a round (0, 1, ...), where they change."""
        if self.options.rate is not None:
            for own in self.copies():
                own.begin_round(number)

    def roles_of(self, client: Client) -> tuple[Role, ...]:
        """Who holds each part of a client's chain."""
        return self.roles[: len(client.cuts) + 1]

    def order(self, number: int) -> list[Client]:
        """Clients that take part in a round, in the order in which they are served."""
        return [self.clients[n] for n in self.served(number)[0]]

    def takes_part(self, number: int) -> list[Client]:
        """Clients that take part in a round, in their own order."""
        return [self.clients[n] for n in self._chosen(number)]

    def served(self, number: int) -> list[list[int]]:
        """Return who is served in a round (0, 1, ...), in this order, as indices of clients.

        A list for every turn in which each is served once; one in all where turns do not count.
        """
        members = self._chosen(number)
        return [permuted(members, self.seed, number) if self.is_shuffled else members]

    def _chosen(self, number: int) -> list[int]:
        fraction = self.options.client_fraction
        return chosen(len(self.clients), fraction, self.seed, number)

    @property
    def is_shuffled(self) -> bool:
        """Whether clients are served in an order that is drawn anew in every round."""
        return (self.options.order or self.usual_order) == "shuffled"

    def covered(self, client: Client) -> tuple[bool, ...]:
        """Return which parts of a client's chain privacy covers."""
        roles = self.roles_of(client)
        return (False,) * len(roles) if client.guard is None else client.guard.covered(roles)

    def steps(self, client: Client) -> int:
        """Mini-batches of a client in a round."""
        return self.options.steps(client.batches.per_epoch)

    def most_steps(self, client: Client) -> int:
        """Mini-batches of a client in a round at the most, whoever it trains with."""
        return self.steps(client)

    def weight(self, client: Client) -> float:
        """By what the client's copy counts in averages."""
        by_samples = self.options.weights == "samples" and not self.options.as_published
        return float(client.samples) if by_samples else 1.0

    def average_moments(self, copies: Sequence[Copy], clients: Sequence[Client]) -> None:
        """Average the moments of the optimizers of the clients' copies, once all have some."""
        moments = [own.moments() for own in copies]
        if all(one.keys() == moments[0].keys() for one in moments):
            mean = average(moments, [self.weight(client) for client in clients])
            for own, before in zip(copies, moments, strict=True):
                own.load_moments(leading(mean, before))

    def note_model(self, copies: Sequence[Copy], tally: Round, *, down: bool) -> None:
        """Count the devices' parts of the model on their way, and what goes with them."""
        size = sum(own.bytes_on("device") for own in copies)
        if not down and self.options.secure_aggregation:  # with statistics, 8 bytes each
            tally.traffic.model_up += sum(8 * own.averaged_on("device") for own in copies)
            return
        if down:
            tally.traffic.model_down += size
        else:
            tally.traffic.model_up += size
        if not (down and self.options.batch_norm == "local"):  # these stay where they are
            size = sum(own.statistics_on("device") for own in copies)
            tally.traffic.statistics += size
            tally.traffic.statistics_up += 0 if down else size

    def train_batch(
        self, parts: Sequence[Part], batch: tuple[Inputs, Tensor], client: Client, tally: Round
    ) -> None:
        """One step of a chain of parts that serves one client: forward, loss, backward, update."""
        inputs, targets = batch
        if client.guard is not None and not len(inputs):
            roles = self.roles_of(client)
            client.guard.release_chain(parts, roles, [{} for _ in parts], 0)
            for part, is_covered in zip(parts, self.covered(client), strict=True):
                if is_covered:
                    part.step()
            return
        if self.options.as_published:
            renew_servers(parts, self.roles_of(client))
        passes = forward_chain(parts, inputs, client.stream, client.crossing)
        loss = self.criterion(passes[-1].result, targets)
        self.note_loss(loss, len(inputs), client, tally)
        if client.guard is None:
            gradients = backward_chain(passes, loss, client.crossing)
        else:
            roles = self.roles_of(client)
            gradients = client.guard.backward(parts, roles, passes, loss, client.crossing)
        for part in parts:
            part.step()
        self.note_traffic(passes, gradients, targets, client, tally)

    def note_traffic(
        self,
        passes: Sequence[Pass],
        gradients: Sequence[Tensor],
        targets: Tensor,
        client: Client,
        tally: Round,
        together: SideBySide | None = None,
    ) -> None:
        """Count what a batch sent over the cuts of a client, or of several that train together."""
        crossing = together or client.crossing
        for cut, held in enumerate(passes[:-1]):
            tally.traffic.smashed += crossing.size(UP, held.sent, cut)
        entries = [held.entry for held in passes[1:]]
        wanted = [
            cut
            for cut, entry in enumerate(entries)
            if isinstance(entry, Tensor) and entry.requires_grad
        ]
        for cut, gradient in zip(wanted, gradients, strict=True):
            tally.traffic.gradient += crossing.size(DOWN, gradient, cut)
        roles = self.roles_of(client)
        if roles[-1] == "server" and len(roles) > 1:  # in one place, nothing travels
            tally.traffic.label += tensor_bytes(targets)

    def note_tied(self, own: Copy, steps: int, traffic: Traffic) -> None:
        """Count the gradients of tied weights that a client and its server exchange in some steps.

        The server's come down with those of the smashed data of every mini-batch. The device's go
        up with the smashed data of the next one; after the last, the weight itself goes up.
        """
        size = sum(map(tensor_bytes, own.tied().values()))
        traffic.tied_down += steps * size
        traffic.tied_up += (steps - 1) * size

    def note_loss(self, loss: Tensor, samples: int, client: Client, tally: Round) -> None:
        """Count a batch's mean loss; stop where it is not a finite number."""
        tally.note(client.name, finite_loss(loss, client), samples)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next round depends on, as named tensors."""
        return state_of(self.model, self.clients, self.copies())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave."""
        load_state(self.model, self.clients, self.copies(), state)
