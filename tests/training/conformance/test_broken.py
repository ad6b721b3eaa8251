"""Each check fails for a plug-in that is broken in what it looks at."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.training.codecs.floats import Fp16  # noqa: E402
from splitopt.training.codecs.topk import TopK  # noqa: E402
from splitopt.training.conformance import assert_conforms, check_names, run_check  # noqa: E402
from splitopt.training.model_parts.copies import Copy  # noqa: E402
from splitopt.training.schemes import Round, Scheme, SplitFedV1  # noqa: E402
from splitopt.training.tasks import TASKS, Metric, Targets, Task  # noqa: E402
from splitopt.training.tasks.collating import pad_tokens  # noqa: E402

pytestmark = pytest.mark.train


class Relay(Scheme):
    """One model whose device part goes from client to client; it conforms."""

    name, takes = "relay", "shared"

    def prepare(self):
        cuts = self.clients[0].cuts
        self.common = Copy.of(
            self.model, cuts, self.roles, self.split, self.options, shared=True, about=self.about
        )

    def copies(self):
        return [self.common]

    def round(self, number):
        tally = Round()
        if self.options.optimizer_state == "reset":
            for part in self.common.parts:
                part.reset_optimizer()
        for client in self.order(number):
            for batch in client.batches.take(self.steps(client)):
                self.train_batch(self.common.parts, batch, client, tally)
        return tally


class Refuses(Relay):
    takes = "nothing"


class Aside(Relay):
    def prepare(self):
        self.model = torch.nn.Sequential(*self.model)  # another object: what is trained gets lost
        super().prepare()

    def round(self, number):
        self.model = nn.Sequential(*self.model)
        return super().round(number)


class Twice(Relay):
    def train_batch(self, parts, batch, client, tally):
        for _ in range(2):
            super().train_batch(parts, batch, client, tally)


class Free(Relay):
    def note_traffic(self, passes, gradients, targets, client, tally, together=None):
        super().note_traffic(passes, gradients, targets, client, tally, together)
        tally.traffic.smashed -= 1


class AnyOrder(Relay):
    def order(self, number):
        return [self.clients[i] for i in torch.randperm(len(self.clients))]


class Forgets(Relay):
    def copies(self):
        return []


class Outside(Relay):
    def train_batch(self, parts, batch, client, tally):
        client.stream, stream = None, client.stream
        super().train_batch(parts, batch, client, tally)
        client.stream = stream


class Heavy(SplitFedV1):
    """Over connections it is another one than in one process: its copies know nothing of it."""

    name, runs_as = "heavy", "splitfed_v1"

    def train_batch(self, parts, batch, client, tally):
        super().train_batch(parts, (2 * batch[0], batch[1]), client, tally)


class Lopsided(SplitFedV1):
    """Its weights depend on who is there at all, and not on who takes part."""

    name, runs_as = "lopsided", "splitfed_v1"

    def end(self, clients, tally, number=0):
        self.here = len(self.clients)
        super().end(clients, tally, number)

    def weight(self, client):
        return 1.0 + (getattr(self, "here", 3) == 3) * self.clients.index(client)


SCHEMES = {
    "is made at the cuts that it takes": Refuses,
    "leaves its result in the model": Aside,
    "one client learns what the whole model learns": Twice,
    "counts the bytes that cross": Free,
    "same seed gives the same rounds": AnyOrder,
    "goes on from its state": Forgets,
    "random numbers are the clients' own": Outside,
    "is the same over connections": Heavy,
    "goes on without clients that are gone": Lopsided,
}


class Longer(Fp16):
    def encode(self, tensor):
        return {"values": torch.cat([super().encode(tensor)["values"], torch.zeros(1).half()])}


class Wide(Fp16):
    def layout(self, shape, dtype):
        return {"values": (dtype, (8 * torch.Size(shape).numel(),))}


class Flat(Fp16):
    def decode(self, message, shape, dtype):
        return super().decode(message, shape, dtype).reshape(-1)


class Coarse(Fp16):
    def encode(self, tensor):
        return {"values": (super().encode(tensor)["values"] * 1.01)}


class Drifting(Fp16):
    def encode(self, tensor):
        self.sent = getattr(self, "sent", 0) + 1
        return {"values": super().encode(tensor)["values"] + self.sent}


class Loses(TopK):
    """The receiver reads something else than the sender."""

    turn = False

    def decode(self, message, shape, dtype):
        Loses.turn = not Loses.turn
        return super().decode(message, shape, dtype) * (1.0 if Loses.turn else 0.5)


CODECS = {
    "sends its layout": Longer(),
    "makes messages smaller": Wide(),
    "gives the tensor back": Flat(),
    "error is within its bound": Coarse(),
    "same tensor gives the same message": Drifting(),
    "feedback adds up": Loses.read(["0.2", "feedback"]),
    "goes on from what is kept": Drifting(),
}


def no_optimizer_of_all(parameters, lr):
    return torch.optim.SGD(parameters[:1], lr=lr)


def resting(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, maximize=False, weight_decay=float("nan"))


class Noisy(torch.optim.SGD):
    def step(self, closure=None):
        super().step()
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                if parameter.grad is not None:
                    parameter += 1e-3 * torch.randn_like(parameter)


class Counting(torch.optim.SGD):
    """Its rate falls with a count that it keeps to itself."""

    def step(self, closure=None):
        self.count = getattr(self, "count", 0) + 1
        self.param_groups[0]["lr"] = 0.1 / self.count
        super().step()


KEPT = []


class Remembering(torch.optim.SGD):
    def step(self, closure=None):
        KEPT.append(1)
        self.param_groups[0]["lr"] = 0.1 / len(KEPT)
        super().step()


class ByNorm(torch.optim.SGD):
    """A step of a length that depends on all of the parameters."""

    def step(self, closure=None):
        held = self.param_groups[0]["params"]
        if any(parameter.grad is not None for parameter in held):
            nn.utils.clip_grad_norm_(held, 0.1)
        super().step()


OPTIMIZERS = {
    "holds the parameters that it is given": no_optimizer_of_all,
    "moves what has a gradient": resting,
    "same gradients give the same steps": Noisy,
    "goes on from its state": Counting,
    "begins anew when it is made anew": Remembering,
    "does not depend on the cut": ByNorm,
}


def many(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def summed(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="sum")


def mean_right(outputs, targets):
    right = (outputs.argmax(1) == targets).double()
    return torch.stack([right.mean(), right.new_tensor(1.0)])


def unmasked(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets.clamp(min=0))


SHARE = Metric(mean_right, lambda sums: float(sums[0]))
LABELS, MAPS = Targets("classes", 0, "a label"), TASKS["segmentation"].targets
TEXTS = TASKS["language"]


def collating(change):
    """Return the task of texts with something done to what its collate gives."""

    def collate(inputs, targets, length):
        return change(*pad_tokens(inputs, targets, length))

    return replace(TEXTS, collate=collate)


TASKS_BROKEN = {
    "loss is a number with a gradient": Task("broken", many, {}, LABELS),
    "loss is the mean of its parts": Task("broken", summed, {}, LABELS),
    "metrics add up over batches": Task("broken", summed, {"share": SHARE}, LABELS),
    "masked targets count for nothing": Task(
        "broken", unmasked, {}, MAPS, terms=TASKS["segmentation"].terms
    ),
    "misfits are named": Task(
        "broken", summed, {}, LABELS, misfit=lambda o, t, c: "Gives {odd}." if o.dim() > 2 else None
    ),
    "collate pads to the length it is given": collating(lambda x, m, y: (x, m | True, y)),
    "collate keeps samples apart": collating(lambda x, m, y: (x + len(x) * (x > 0), m, y)),
    "collate is the same in every call": collating(
        lambda x, m, y: (torch.where(m, x, torch.randint_like(x, 99)), m, y)
    ),
    "collate hides the targets of padding": collating(lambda x, m, y: (x, m, y.clamp(min=0))),
    "collate leaves samples as they are": collating(lambda x, m, y: (x * m.shape[1], m, y)),
}


def cases():
    for kind, broken in (
        ("scheme", SCHEMES),
        ("codec", CODECS),
        ("optimizer", OPTIMIZERS),
        ("task", TASKS_BROKEN),
    ):
        assert {*broken} == {*check_names(kind)}
        for name, plugin in broken.items():
            over = name in ("is the same over connections", "goes on without clients that are gone")
            marks = [pytest.mark.slow] * over
            yield pytest.param(kind, plugin, name, marks=marks, id=f"{kind}-{name}")


@pytest.mark.parametrize(("kind", "plugin", "name"), [*cases()])
def test_a_broken_one_is_found(kind, plugin, name):
    KEPT.clear()
    found = run_check(kind, plugin, name)
    assert found.status == "failed", found.message
    assert not found.message.startswith("raises"), found.message


def test_collates_that_are_broken_otherwise_are_found():
    """One that changes what it is given, one that takes nothing, and one that gives rows less."""

    def grasping(inputs, targets, length):
        for own in inputs:
            own += 1
        return pad_tokens(inputs, targets, length)

    found = run_check("task", replace(TEXTS, collate=grasping), "collate is the same in every call")
    assert (found.status, "changes the inputs" in found.message) == ("failed", True)
    nothing = replace(TEXTS, collate=lambda *_: 1 / 0)
    found = run_check("task", nothing, "collate keeps samples apart")
    assert (found.status, "no samples were found" in found.message) == ("failed", True)
    fewer = collating(lambda x, m, y: (x, m, y[1:]))
    found = run_check("task", fewer, "collate pads to the length it is given")
    assert found.message == "gives 4 targets for 5 samples"
    swapped = collating(lambda x, m, y: (x, m, y.flip(0)))
    assert run_check("task", swapped, "collate keeps samples apart").status == "failed"
    front = collating(lambda x, m, y: (x.flip(1), m.flip(1), y.flip(1)))
    found = run_check("task", front, "collate leaves samples as they are")
    assert (found.status, "--padding" in found.message) == ("passed", False)


def test_the_scheme_that_the_others_break_conforms():
    assert_conforms("scheme", Relay)


def test_all_that_failed_is_in_the_assertion():
    with pytest.raises(AssertionError, match="counts the bytes that cross: with codec none"):
        assert_conforms("scheme", Free)
