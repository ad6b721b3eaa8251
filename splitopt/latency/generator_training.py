"""Training generators of samples on devices (IoTSL Eq. 6 and 7), and when that pays.

Work is per sample in FLOP. A backward pass counts as two forward passes, as everywhere here: one
for the gradient of a layer's input, one for that of its weights.
"""

from __future__ import annotations

from typing import Any


def critic_step_work(generator: Any, critic: Any) -> Any:
    """FLOP of a critic step with gradient penalty for one sample, 12 d + g (IoTSL Eq. 6).

    With g and d the forward passes of generator and critic: the generator makes a sample (g); it
    and a real one are scored, forward and backward (2 x 3 d); the penalty scores their mixture (d),
    takes the gradient at it (d), and goes backward through both passes (2 x 2 d).
    """
    return 12 * critic + generator


def generator_step_work(generator: Any, critic: Any) -> Any:
    """FLOP of a generator step for one sample, 3 (g + d): through both networks and back (Eq. 7).

    The gradient of the critic's weights is counted, as an ordinary backward pass takes it too.
    """
    return 3 * (generator + critic)


def step_work(batch: Any, critic_steps: Any, critic: Any, generator: Any) -> Any:
    """FLOP of a generator step with the critic steps before it, B (c w_d + w_g).

    Parameters
    ----------
    batch, critic_steps
        B samples in each step, and c critic steps for each generator step.
    critic, generator
        w_d and w_g, FLOP of one step for one sample.
    """
    return batch * (critic_steps * critic + generator)


def break_even_steps(without: float, fixed: float, per_step: float) -> float | None:
    """Return the number of generator steps up to which it pays, (without - fixed) / per_step.

    Parameters
    ----------
    without
        What training takes without generators.
    fixed, per_step
        What it takes with them, but for training them, and what a generator step adds.

    Returns
    -------
    0 where it pays at no number, None where the number makes no difference and it pays at all.
    """
    if fixed >= without:
        return 0.0
    return None if per_step == 0 else (without - fixed) / per_step
