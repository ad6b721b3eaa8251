"""Learning rates by round: PyTorch's own schedulers, split as whole, resumed as never stopped."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch.optim import lr_scheduler  # noqa: E402

import splitopt  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.rates import factor_of  # noqa: E402

pytestmark = pytest.mark.train
OWN = "def fall(number):\n    return 0.9 ** number\n\ndef bad(number):\n    return -1\n"


def _warm_cosine(optimizer):
    both = [
        lr_scheduler.LinearLR(optimizer, 1 / 3, 1.0, 2),
        lr_scheduler.CosineAnnealingLR(optimizer, 6),
    ]
    return lr_scheduler.SequentialLR(optimizer, both, [3])


@pytest.mark.parametrize(
    ("schedule", "warmup", "theirs"),
    [
        ("step:3:0.5", 0, lambda o: lr_scheduler.StepLR(o, 3, 0.5)),
        ("step:1:0.9", 0, lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        ("cosine:10", 0, lambda o: lr_scheduler.CosineAnnealingLR(o, 10)),
        ("constant", 4, lambda o: lr_scheduler.LinearLR(o, 1 / 4, 1.0, 3)),
        ("OWN:fall", 0, lambda o: lr_scheduler.LambdaLR(o, lambda number: 0.9**number)),
        ("cosine:6", 3, _warm_cosine),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # steps of a scheduler without an optimizer's
def test_values_are_those_of_pytorch(tmp_path, schedule, warmup, theirs):
    (tmp_path / "own.py").write_text(OWN)
    factor = factor_of(schedule.replace("OWN", str(tmp_path / "own.py")), warmup)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = theirs(optimizer)
    for number in range(warmup + 6):
        assert 0.3 * factor(number) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        scheduler.step()


@pytest.mark.slow
def test_what_is_none(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    assert factor_of("constant", 0) is None
    for wrong in (
        *("linear", "step", "step:0:1", "step:2", "step:2:x", "step:2:-1", "cosine", ""),
        *("cosine:0", "cosine:1e3", "step:99999999999:1", "step:2:inf", 3),
    ):
        with pytest.raises(InputError, match="lr_schedule"):
            Options(lr_schedule=wrong)
    with pytest.raises(InputError, match="lr_warmup"):
        Options(lr_warmup=-1)
    with pytest.raises(InputError, match="gives -1 for round 3, it must be a number >= 0"):
        factor_of(f"{tmp_path}/own.py:bad", 0)(2)
    with pytest.raises(InputError, match="there is no 'missing'"):
        factor_of(f"{tmp_path}/own.py:missing", 0)(0)
    assert factor_of("cosine:4", 0)(9) == 0.0


def test_runs_without_are_named_as_before():
    assert not {"lr_schedule", "lr_warmup"} & Options().identity().keys()
    assert Options(lr_warmup=2).identity()["lr_warmup"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("state", ["reset", "keep", "average"])
def test_split_as_whole_and_resumed_as_never_stopped(plan_of, tmp_path, state):
    plan = plan_of("few-splitfed")
    given = {"learning_rate": 0.2, "momentum": 0.5, "optimizer_state": state}
    options = Options(**given, lr_schedule="step:1:0.5", lr_warmup=2)
    run = splitopt.train(plan, rounds=4, options=options)
    whole = splitopt.train(plan, rounds=4, options=options, scheme="federated")
    kept = {"options": options, "checkpoint": tmp_path / "kept"}
    splitopt.train(plan, rounds=2, **kept)
    again = splitopt.train(plan, rounds=4, resume=True, **kept)
    plain = splitopt.train(plan, rounds=1, options=Options(**given))
    for key, value in run.model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[key])
        assert torch.equal(value, again.model.state_dict()[key])
    assert run.history.rows[0].loss != plain.history.rows[0].loss
    rates = {
        group["lr"]
        for own in run.scheme.copies()
        for part in own.parts
        for group in part.optimizer.param_groups
    }
    assert rates == {0.2 * 0.5}  # of the fourth round: two to warm up, then one step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("digits-clusters", "clustered"),
        ("digits-clusters", "vanilla"),
        ("digits-clusters", "splitfed_v2"),
        ("few-splitfed", "centralized"),
        ("digits-pipeline", "split_nn"),
    ],
)
def test_a_rate_of_zero_learns_nothing(plan_of, name, scheme):
    plan, options = plan_of(name), Options(lr_schedule="step:1:0")
    one = splitopt.train(plan, rounds=1, options=options, scheme=scheme)
    two = splitopt.train(plan, rounds=2, options=options, scheme=scheme)
    for key, value in one.model.named_parameters():
        other = dict(two.model.named_parameters())[key]
        assert torch.allclose(value, other, rtol=1e-6, atol=0)  # the mean of equal ones, rounded


@pytest.mark.slow
def test_clients_side_by_side(plan_of):
    plan = plan_of("few-splitfed")
    given = {"learning_rate": 0.2, "lr_schedule": "cosine:3"}
    one = splitopt.train(plan, rounds=3, options=Options(**given))
    two = splitopt.train(plan, rounds=3, options=Options(**given, batched=True))
    for first, second in zip(one.history, two.history, strict=True):
        assert first.loss == pytest.approx(second.loss, rel=1e-4)


@pytest.mark.slow  # processes
@pytest.mark.parametrize("name", ["few-splitfed", "digits-pipeline"])
def test_the_wire_learns_the_same(plan_of, name):
    from splitopt.training.wire.launch import run_wire

    options = Options(
        learning_rate=0.3, lr_schedule="step:1:0.25", optimizer_state="keep", momentum=0.5
    )
    plan = plan_of(name)
    here = splitopt.train(plan, rounds=2, options=options)
    there = run_wire(plan, rounds=2, options=options, any_speed=True, time_scale=1e-3, join_s=600.0)
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[key])
