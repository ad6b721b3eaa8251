"""The controller of NVIDIA FLARE: the rounds of the plan, with the server's parts.

A round begins with a task for each client. A client that is cut answers with smashed data, and
every gradient is a request to it, which it answers with the next smashed data or with its part.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare_client import STEP, arrays, place_of, site_of, tensor, tensors
from plan_server import Serving
from plan_task import State, begun, first_state, parts, spec

TIMEOUT_S = 3600.0
Answers = dict[int, Shareable]


class Server(Controller):
    """Trains by the plan, and writes the weights.

    Parameters
    ----------
    rounds
        How many.
    lr
        The learning rate of the server.
    weights
        A safetensors file to begin with, or nothing.
    save
        Where the trained weights are written, or nothing.
    """

    def __init__(self, rounds: int, lr: float, weights: str = "", save: str = "") -> None:
        super().__init__()
        self.rounds, self.lr, self.weights, self.save = rounds, lr, weights, save

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Do nothing: all is read at the beginning of the first round."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Do nothing: all is written at the end of the last round."""

    def process_result_of_unknown_task(
        self,
        client: Client,
        task_name: str,
        client_task_id: str,
        result: Shareable,
        fl_ctx: FLContext,
    ) -> None:
        """Do nothing: there are no other tasks."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Train the rounds."""
        try:
            state = first_state(self.weights)
            for number in range(self.rounds):
                state = self._round(state, number, abort_signal, fl_ctx)
            if self.save:
                parts.write_weights(Path(self.save), state)
                self.log_info(fl_ctx, f"weights written to {self.save}")
        except Exception as error:
            self.system_panic(str(error), fl_ctx)

    def _round(self, state: State, number: int, signal: Signal, fl_ctx: FLContext) -> State:
        serving = Serving(state, number, self.lr)
        waiting = self._begun(state, number, signal, fl_ctx)
        done = {place: waiting.pop(place) for place in list(waiting) if is_done(waiting[place])}
        for places in serving.waves(waiting):
            requests = {}
            for place in places:
                sent = waiting.pop(place)
                gradient = serving.serve(place, tensor(sent["values"]), tensor(sent["labels"]))
                requests[site_of(place)] = shareable(gradient=gradient.numpy())
            for place, answer in self._asked(requests, signal, fl_ctx).items():
                (done if is_done(answer) else waiting)[place] = answer
        ordered = [done[place] for place in range(len(spec()["clients"]))]
        self.log_info(fl_ctx, f"round {number + 1}: loss on the server {serving.mean_loss():.6g}")
        return serving.averaged(
            [tensors(answer["state"]) for answer in ordered],
            [float(answer["samples"]) for answer in ordered],
        )

    def _begun(self, state: State, number: int, signal: Signal, fl_ctx: FLContext) -> Answers:
        """Send each client its part of the model; return what they answer."""
        answers: dict[str, Shareable] = {}

        def received(client_task: ClientTask, fl_ctx: FLContext) -> None:  # noqa: ARG001
            answers[client_task.client.name] = client_task.result

        tasks = []
        for place, client in enumerate(spec()["clients"]):
            data = shareable(state=arrays(begun(client["name"], state)), round=number)
            task = Task(
                name="begin", data=data, timeout=int(TIMEOUT_S), result_received_cb=received
            )
            self.send(task=task, fl_ctx=fl_ctx, targets=[site_of(place)])
            tasks.append(task)
        while any(task.completion_status is None for task in tasks):
            if signal.triggered:
                raise RuntimeError("the job was aborted")
            time.sleep(0.05)
        return checked(answers, [site_of(place) for place in range(len(tasks))])

    def _asked(self, requests: dict[str, Shareable], signal: Signal, fl_ctx: FLContext) -> Answers:
        """Send some clients their gradients; return what they answer."""
        if signal.triggered:
            raise RuntimeError("the job was aborted")
        engine = fl_ctx.get_engine()
        answers: dict[str, Shareable] = {}

        def ask(site: str, request: Shareable) -> dict[str, Shareable]:
            with engine.new_context() as context:
                sent = engine.send_aux_request(
                    targets=[site],
                    topic=STEP,
                    request=request,
                    timeout=TIMEOUT_S,
                    fl_ctx=context,
                )
            return sent or {}

        # One request to each: FLARE 2.9 fails on several that differ (multicast_aux_requests).
        with ThreadPoolExecutor(len(requests)) as pool:
            for answer in pool.map(ask, requests, requests.values()):
                answers |= answer
        return checked(answers, list(requests))


def checked(answers: dict[str, Shareable], sites: list[str]) -> Answers:
    """Return the answers by place in the plan; raise RuntimeError where a client failed."""
    for site in sites:
        answer = answers.get(site)
        name = spec()["clients"][place_of(site)]["name"]
        if answer is None:
            raise RuntimeError(f"{name} ({site}) does not answer")
        if answer.get_return_code() != ReturnCode.OK:
            why = answer.get("error") or answer.get_return_code()
            raise RuntimeError(f"{name} ({site}) failed: {why}")
    return {place_of(site): answers[site] for site in sites}


def is_done(answer: Shareable) -> bool:
    """Report whether a client has sent what it trained."""
    return "state" in answer


def shareable(**content: Any) -> Shareable:
    """Return a message of FLARE with this content."""
    found = Shareable()
    found.update(content)
    return found
