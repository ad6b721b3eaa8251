"""The executor of NVIDIA FLARE: the device part of one client, batch by batch.

A round begins with a task. What follows within it are requests of the server, each with the
gradient of what was sent last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from plan_device import alone, smashed, stepped
from plan_task import State, data_of, spec

STEP = "splitopt.step"
"""Topic of the requests within a round."""


class Device(Executor):
    """Trains what one client of the plan holds.

    Parameters
    ----------
    data
        The folder of the data.
    lr
        The learning rate.
    """

    def __init__(self, data: str, lr: float) -> None:
        super().__init__()
        self.data, self.lr = data, lr
        self.client = self.next = self.left = 0
        self.state: State = {}

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Find out which client this is, and listen to the server."""
        if event_type != EventType.START_RUN:
            return
        self.client = place_of(fl_ctx.get_identity_name())
        fl_ctx.get_engine().register_aux_message_handler(STEP, self.step)

    def execute(
        self,
        task_name: str,  # noqa: ARG002 - the signature is FLARE's
        shareable: Shareable,
        fl_ctx: FLContext,
        abort_signal: Signal,  # noqa: ARG002
    ) -> Shareable:
        """Begin a round: send smashed data, or train alone where nothing is cut."""
        try:
            state = tensors(shareable["state"])
            data = data_of(self.client, self.data)
            first = data.steps() * int(shareable["round"])
            if not spec()["clients"][self.client]["split"]:
                return finished(alone(self.client, state, data, first, self.lr), len(data.inputs))
            self.state, self.next, self.left = state, first, data.steps()
            return self._waiting()
        except Exception as error:  # FLARE would go on without this client
            self.log_exception(fl_ctx, str(error))
            return failed(error)

    def step(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:  # noqa: ARG002
        """Step by the gradient of the smashed data; send the next ones, or the part."""
        try:
            data = data_of(self.client, self.data)
            inputs, _ = data.batch(self.next)
            gradient = tensor(request["gradient"])
            self.state = stepped(self.client, self.state, inputs, gradient, self.lr)
            self.next, self.left = self.next + 1, self.left - 1
            return self._waiting() if self.left else finished(self.state, len(data.inputs))
        except Exception as error:
            self.log_exception(fl_ctx, str(error))
            return failed(error)

    def _waiting(self) -> Shareable:
        """Return the smashed data of the next batch and its labels."""
        inputs, targets = data_of(self.client, self.data).batch(self.next)
        reply = make_reply(ReturnCode.OK)
        reply["values"] = smashed(self.client, self.state, inputs).numpy()
        reply["labels"] = targets.numpy()
        return reply


def site_of(place: int) -> str:
    """Return the site of a client of the plan: ``site-1`` is the first one's."""
    return f"site-{place + 1}"


def place_of(site: str) -> int:
    """Return which client of the plan a site is; the inverse of `site_of`."""
    place = int(site.rpartition("-")[2]) - 1
    if not 0 <= place < len(spec()["clients"]):
        raise ValueError(f"there is no client for {site}, the plan has {len(spec()['clients'])}")
    return place


def finished(state: Mapping[str, torch.Tensor], samples: int) -> Shareable:
    """Return what was trained here, and by how much it counts."""
    reply = make_reply(ReturnCode.OK)
    reply["state"], reply["samples"] = arrays(state), samples
    return reply


def failed(error: Exception) -> Shareable:
    """Return why this client cannot go on."""
    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply["error"] = f"{type(error).__name__}: {error}"
    return reply


def arrays(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Return tensors as arrays, which FLARE sends."""
    return {name: value.numpy() for name, value in state.items()}


def tensors(state: Mapping[str, Any]) -> State:
    """Return arrays as tensors of their own."""
    return {name: tensor(value) for name, value in state.items()}


def tensor(value: Any) -> torch.Tensor:
    """Return an array as a tensor of its own."""
    return torch.from_numpy(value.copy())
