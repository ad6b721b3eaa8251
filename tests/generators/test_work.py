"""Parameters and FLOP against sums by hand, PyTorch's own counts, and the file."""

from __future__ import annotations

import pytest

from splitopt.errors import InputError
from splitopt.generators import GeneratorOptions, NetworkSpec, work_of

PAPER = NetworkSpec("iotsl", (1, 28, 28), 10)
SHAPES = [(1, 8, 8), (1, 14, 14), (1, 28, 28), (3, 32, 32), (2, 9, 31)]


def test_parameters_of_the_paper():
    """Layer by layer, weights and biases, as Section V-D describes the layers."""
    generator = [
        20 * 256 * 4 * 4 + 256 * 4 * 4,  # 10 values of noise and 10 of the label
        256 * 128 * 5 * 5 + 128,
        128 * 64 * 5 * 5 + 64,
        64 * 1 * 8 * 8 + 1,
    ]
    critic = [
        (1 + 10) * 64 * 5 * 5 + 64,  # the image, and a channel for each class
        64 * 128 * 5 * 5 + 128,
        128 * 256 * 5 * 5 + 256,
        256 * 4 * 4 * 1 + 1,
    ]
    work = work_of(PAPER)
    assert (work.parameters, work.critic_parameters) == (sum(generator), sum(critic))
    assert (sum(generator), sum(critic)) == (1_114_305, 1_046_145)
    assert work.payload_bytes == 4_457_220


def test_multiplications_of_the_paper():
    """Sizes 4, 8 cut to 7, 11, 28, and 14, 7, 4: two FLOP for each multiplication."""
    made = 20 * 4096 + 16 * 256 * 128 * 25 + 49 * 128 * 64 * 25 + 121 * 64 * 64
    judged = 196 * 11 * 64 * 25 + 49 * 64 * 128 * 25 + 16 * 128 * 256 * 25 + 4096
    work = work_of(PAPER)
    assert work.sample_flop == 2 * made
    assert work.critic_step_flop == 2 * (made + 12 * judged - 2 * 196 * 11 * 64 * 25)
    assert work.generator_step_flop == 2 * (3 * made - 20 * 4096 + 2 * judged)
    assert work.critic_step_flop == pytest.approx(0.67e9, rel=0.01)


def test_work_of_a_training():
    """Critics that learn before anybody teaches are in it, and the last batch is a whole one."""
    work = work_of(PAPER)
    options = GeneratorOptions(network="iotsl", steps=3, critic_steps=2, batch=8, critics=4)
    each = 8 * (2 * work.critic_step_flop + work.generator_step_flop)
    assert work.step_flop(options) == each
    assert work.training_flop(options) == 3 * each + 3 * 8 * 2 * work.critic_step_flop


@pytest.mark.train
@pytest.mark.parametrize("spec", [PAPER, *(NetworkSpec("small", shape, 10) for shape in SHAPES)])
def test_modules_have_these_parameters_and_shapes(spec):
    """Every image shape from 8 to 32 pixels comes out as it went in."""
    import torch
    from safetensors.torch import save

    from splitopt.generators.networks import build, noise_of

    network, (critic,) = build(spec, 0, 1)
    work = work_of(spec)
    assert sum(own.numel() for own in network.parameters()) == work.parameters
    assert sum(own.numel() for own in critic.parameters()) == work.critic_parameters
    assert 0 <= len(save(network.state_dict())) - work.payload_bytes < 1000
    labels = torch.tensor([0, 9])
    images = network(noise_of(spec, 2, torch.Generator()), labels)
    assert images.shape == (2, *spec.shape)
    assert critic(images, labels).shape == (2,)
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.train
@pytest.mark.parametrize("spec", [PAPER, *(NetworkSpec("small", shape, 10) for shape in SHAPES)])
def test_flop_are_those_that_pytorch_counts(spec):
    """Of one step each; its count of the penalty has strided gradients of weights padded."""
    import torch

    from splitopt.generators.losses import critic_loss, generator_gradients
    from splitopt.generators.networks import build, noise_of
    from splitopt.generators.sanitizing import teach

    network, (critic,) = build(spec, 0, 1)
    critic.eval()  # what is counted are samples, not singular values
    labels, noise = torch.tensor([1]), noise_of(spec, 1, torch.Generator())
    work = work_of(spec)
    with counting() as sample, torch.no_grad():
        made = network(noise, labels)
    assert sample.flop == work.sample_flop
    with counting() as step:
        loss, _, _ = critic_loss(
            critic, torch.rand(1, *spec.shape), made, labels, torch.rand(1), 1.0
        )
        loss.backward()
    assert work.critic_step_flop == pytest.approx(step.flop + work.sample_flop, rel=0.06)
    with counting() as step:
        made = network(noise, labels)
        teach(network, made, generator_gradients(critic, made, labels), None, None)
    assert step.flop == work.generator_step_flop


def counting():
    """Count FLOP by PyTorch's rules; its own counter cannot follow weights that are normalised."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counting(TorchDispatchMode):
        flop = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            rule = flop_registry.get(function.overloadpacket)
            if rule is not None:
                self.flop += rule(*args, **(kwargs or {}), out_val=found)
            return found

    return Counting()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("iotsl", (1, 8, 8), 10), "28 x 28"),
        (("small", (1, 7, 8), 10), "8 to 32 pixels"),
        (("small", (1, 8, 33), 10), "8 to 32 pixels"),
        (("small", (1, 8), 10), "channels, rows and columns"),
        (("small", (1, 8, 8), 1), "classes"),
        (("other", (1, 8, 8), 10), "one of small, iotsl"),
    ],
)
def test_specs_that_are_none(given, words):
    """A network that is none, and shapes that it does not make."""
    with pytest.raises(InputError, match=words):
        NetworkSpec(*given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", "dcgan"), ("steps", 0), ("critic_steps", 1.5), ("batch", True), ("penalty", -1),
        ("lr", float("nan")), ("betas", (0.5, 1.0)), ("betas", 3), ("noise", 0), ("critics", "2"),
        ("sanitize", "sample"),
    ],
)  # fmt: skip
def test_options_that_are_none(name, value):
    """One sentence that begins with the name."""
    with pytest.raises(InputError, match=f"^{name}: ") as caught:
        GeneratorOptions(**{name: value})
    assert "\n" not in str(caught.value)
