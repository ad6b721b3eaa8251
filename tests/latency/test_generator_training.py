"""Generators of IoTSL: parameters as printed, work by counting layers, break-even by hand."""

from __future__ import annotations

import pytest

from splitopt import load_profile
from splitopt.latency.energy import device_energy
from splitopt.latency.generator_training import (
    break_even_steps,
    critic_step_work,
    generator_step_work,
    step_work,
)
from splitopt.profiles.published.iotsl import iotsl_networks

# Inputs x outputs x kernel x positions, layer by layer, from the text of section V-D.
GENERATOR_MACS = 20 * 4096 + 256 * 128 * 25 * 16 + 128 * 64 * 25 * 49 + 64 * 64 * 121
CRITIC_MACS = 11 * 64 * 25 * 196 + 64 * 128 * 25 * 49 + 128 * 256 * 25 * 16 + 4096


def test_networks_as_printed():
    """The parameters of the layers as printed, and a work that the shapes give by hand."""
    generator, critic = iotsl_networks()
    assert (generator.parameters, critic.parameters) == (1_114_305, 1_046_145)
    assert (generator.macs, critic.macs) == (GENERATOR_MACS, CRITIC_MACS)
    assert generator.output_elements == 28 * 28
    assert critic.output_elements == 1


@pytest.mark.train
def test_networks_against_torch():
    """The same layers in PyTorch have the same parameters and shapes, and FLOP by its counter."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    first, second = nn.Linear(20, 4096), nn.ConvTranspose2d(256, 128, 5)
    third, last = nn.ConvTranspose2d(128, 64, 5), nn.ConvTranspose2d(64, 1, 8, stride=2)
    layers = [nn.Conv2d(a, b, 5, 2, 2) for a, b in ((11, 64), (64, 128), (128, 256))]
    score = nn.Linear(4096, 1)

    def made(z):
        x = second(first(z).reshape(-1, 256, 4, 4))[:, :, :7, :7]
        return last(third(x))

    def scored(x):
        for layer in layers:
            x = layer(x)
        return score(x.flatten(1))

    generator, critic = iotsl_networks()
    for unit, parts in ((generator, (first, second, third, last)), (critic, (*layers, score))):
        assert unit.parameters == sum(p.numel() for part in parts for p in part.parameters())
    with FlopCounterMode(display=False) as counter:
        image = made(torch.zeros(1, 20))
    assert image.shape == (1, 1, 28, 28)
    assert counter.get_total_flops() == 2 * generator.macs
    with FlopCounterMode(display=False) as counter:
        scored(torch.cat((image, torch.zeros(1, 10, 28, 28)), 1))
    assert counter.get_total_flops() == 2 * critic.macs


def test_work_of_the_steps():
    """.69 and .30 GFLOP for a sample; 2,000 steps of batch 32 are 2.4e14 FLOP."""
    generator, critic = (2.0 * unit.operations for unit in iotsl_networks())
    of_critic, of_generator = (
        critic_step_work(generator, critic),
        generator_step_work(generator, critic),
    )
    assert of_critic == pytest.approx(0.69e9, rel=0.01)
    assert of_generator == pytest.approx(0.30e9, rel=0.01)
    assert 2000 * step_work(32, 5, of_critic, of_generator) == pytest.approx(2.4e14, rel=0.01)


@pytest.mark.parametrize(
    ("without", "fixed", "per_step", "expected"),
    [(10.0, 4.0, 2.0, 3.0), (10.0, 10.0, 2.0, 0.0), (10.0, 12.0, 0.0, 0.0), (10.0, 4.0, 0.0, None)],
)
def test_break_even(without, fixed, per_step, expected):
    found = break_even_steps(without, fixed, per_step)
    assert found == expected
    if found:
        assert fixed + found * per_step == without


def test_energy_by_hand():
    """3 W for 10 s of computing and 2 W for 4 s on air."""
    assert device_energy(3.0, 10.0, 2.0, 4.0) == 38.0


def test_the_network_that_is_trained():
    """The device part and the whole as IoTSL prints them: 37,824, 29.8 M and 1.34e8."""
    profile = load_profile("iotsl-vgg16")
    column = profile.layers.index("pool1")
    assert profile.device_model_bytes[column] / 4 == 37_824
    assert profile.smashed_bytes[column] / 4 == 64 * 14 * 14
    # The paper counts biases too: one for each of 2 x 64 x 28 x 28 values.
    assert profile.device_forward_flop[column] / 2 + 2 * 64 * 28**2 == pytest.approx(
        29.8e6, rel=1e-3
    )
    assert profile.device_model_bytes[-1] / 4 == pytest.approx(1.34e8, rel=3e-3)
