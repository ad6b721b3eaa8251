"""A server that dies and is started again, with its devices."""

from __future__ import annotations

import signal

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.crew import Crew  # noqa: E402
from splitopt.training.wire.processes import Processes  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.slow]

OPTIONS = Options(momentum=0.9, optimizer_state="keep")


def test_a_server_that_is_started_again_serves_the_next_round(plan_of_servers, monkeypatch):
    """Its devices are in no average meanwhile, and begin with the state that they had."""
    plan, groups, crews = plan_of_servers(), [], []

    class Known(Processes):
        def __init__(self, *given):
            super().__init__(*given)
            groups.append((self, given))

    class KnownCrew(Crew):
        def __init__(self, *given):
            super().__init__(*given)
            crews.append(self)

    monkeypatch.setattr(launch, "Processes", Known)
    monkeypatch.setattr(launch, "Crew", KnownCrew)

    def change(row, rounds):
        first, given = groups[0]
        if row.round == 1:
            for process in first.started[1:]:  # the devices of the far server, and itself
                process.send_signal(signal.SIGKILL)
                process.wait()
        if row.round == 2:
            Known(*given)  # rank 1 is there, and is refused
            crews[0].wait(600.0)

    fast = {"time_scale": 1e-3, "any_speed": True, "join_s": 600.0, "deadline": "120 s"}
    try:
        run = launch.run_wire(plan, options=OPTIONS, rounds=3, callback=change, **fast)
    finally:
        for group, _ in groups:
            group.kill()
    assert [row.dropped for row in run.history] == [(), ("b", "c"), ()]
    scheme = prepare(TrainingJob(plan, options=OPTIONS)).scheme
    for number, left_out in enumerate([(), ("b", "c"), ()]):
        clients = [client for client in scheme.clients if client.name not in left_out]
        scheme.begin(clients, Round(), number)
        for client in clients:
            scheme._train_alone(client, Round())
        scheme.end(clients, Round(), number)
    for name, value in scheme.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
