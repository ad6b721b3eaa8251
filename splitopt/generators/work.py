"""What generators and their training take, by plain arithmetic: parameters, bytes and FLOP.

Two FLOP for each multiplication with its addition in convolutions and fully connected layers, as
elsewhere in splitopt; activations, norms and the noise are left out. Free of PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from splitopt.generators.options import GeneratorOptions
from splitopt.generators.spec import NetworkSpec

VALUE_BYTES = 4


@dataclass(frozen=True)
class GeneratorWork:
    """What a generator and its critic take.

    Parameters
    ----------
    parameters, critic_parameters
        Of the generator and of one critic.
    payload_bytes
        Of the generator's tensors in its file, which is what is sent; names and metadata are a
        few hundred more.
    sample_flop
        To make one sample.
    critic_step_flop
        One step of the critic, for each sample of the batch: a sample is made, both are judged
        forwards and backwards, and so is the one between them, twice over for the penalty.
    generator_step_flop
        One step of the generator, for each sample of the batch.
    """

    parameters: int
    critic_parameters: int
    payload_bytes: int
    sample_flop: float
    critic_step_flop: float
    generator_step_flop: float

    def step_flop(self, options: GeneratorOptions) -> float:
        """Return the FLOP of one generator step with the critic's steps before it."""
        each = options.critic_steps * self.critic_step_flop + self.generator_step_flop
        return options.batch * each

    def training_flop(self, options: GeneratorOptions) -> float:
        """Return the FLOP of the whole training, in which no critic teaches before it learned."""
        before = (options.critics - 1) * options.batch * options.critic_steps
        return options.steps * self.step_flop(options) + before * self.critic_step_flop


def work_of(spec: NetworkSpec) -> GeneratorWork:
    """Compute what a generator, its critic and their steps take.

    In the critic's step, its first layer needs no gradient of its input where samples are given;
    in the penalty it does. The penalty's backward pass goes through the gradient and through the
    judgement, each with gradients of weights and of inputs: four times a judgement. In the
    generator's step the weights of the critic get no gradient.
    """
    making, judging = list(_generator(spec)), list(_critic(spec))
    parameters = sum(count for count, _ in making)
    critic_parameters = sum(count for count, _ in judging)
    made, judged = sum(flop for _, flop in making), sum(flop for _, flop in judging)
    first_made, first_judged = making[0][1], judging[0][1]
    given = 2 * (3 * judged - first_judged)
    penalty = 6 * judged
    return GeneratorWork(
        parameters=parameters,
        critic_parameters=critic_parameters,
        payload_bytes=VALUE_BYTES * parameters,
        sample_flop=float(made),
        critic_step_flop=float(made + given + penalty),
        generator_step_flop=float(3 * made - first_made + 2 * judged),
    )


def _generator(spec: NetworkSpec) -> Iterator[tuple[int, int]]:
    """Yield parameters and FLOP of each layer of the generator."""
    inputs, (channels, *size) = spec.noise + spec.classes, spec.start
    values = channels * size[0] * size[1]
    yield inputs * values + values, 2 * inputs * values
    rows, columns = size
    for up in spec.ups:
        weights = channels * up.channels * up.kernel**2
        yield weights + up.channels, 2 * rows * columns * weights
        channels = up.channels
        rows, columns = up.crop or up.size((rows, columns))


def _critic(spec: NetworkSpec) -> Iterator[tuple[int, int]]:
    """Yield parameters and FLOP of each layer of the critic."""
    channels, size = spec.shape[0] + spec.classes, spec.shape[1:]
    for down in spec.downs:
        weights = channels * down.channels * down.kernel**2
        size = down.size(size)
        yield weights + down.channels, 2 * size[0] * size[1] * weights
        channels = down.channels
    yield spec.flat + 1, 2 * spec.flat
