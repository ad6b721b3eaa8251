"""A training of a generator between two steps: networks, optimizers, batches and draws."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from splitopt.errors import InputError, TrainingError
from splitopt.generators.losses import critic_loss, generator_gradients
from splitopt.generators.networks import build, noise_of
from splitopt.generators.options import GeneratorOptions
from splitopt.generators.sanitizing import teach
from splitopt.generators.spec import NetworkSpec
from splitopt.generators.trained import StepRow
from splitopt.training.data.batches import Batches
from splitopt.training.privacy.entropy import Entropy
from splitopt.training.randomness import seed_of, set_state

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Training:
    """Trains a generator step by step.

    The samples are divided among the critics by their places alone, so that one sample in place of
    another changes what one critic sees. Critics learn in turn, whoever teaches the generator, and
    teaching changes nothing in a critic: what critics are never tells who was drawn.

    Parameters
    ----------
    spec
        The networks.
    images, labels
        Shape (n, channels, rows, columns), float32, and (n,), int64.
    options
        How it is trained.
    seed
        Of weights, batches and noise vectors.

    Attributes
    ----------
    steps
        That the generator has learned.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        images: Tensor,
        labels: Tensor,
        options: GeneratorOptions,
        seed: int,
    ) -> None:
        self.spec, self.options = spec, options
        self.labels = torch.unique(labels)
        self.steps = 0
        self.network, self.critics = build(spec, seed_of(seed, 0), options.critics)
        self._optimizer = _adam(self.network, options)
        self._optimizers = [_adam(own, options) for own in self.critics]
        order = torch.randperm(
            len(images), generator=torch.Generator().manual_seed(seed_of(seed, 1))
        )
        self._batches = []
        for number in range(options.critics):
            rows = order[number :: options.critics]
            of = seed_of(seed, 2, number)
            self._batches.append(Batches(images[rows], labels[rows], options.batch, of))
        self._draws = torch.Generator().manual_seed(seed_of(seed, 3))
        self._secret = Entropy() if options.sanitize is not None else None

    def step(self) -> StepRow:
        """Train a critic, and then the generator from one that is drawn.

        Raises
        ------
        TrainingError
            The weights are not finite any more.
        """
        secret = self._entropy()
        if self.steps == 0:  # nobody teaches who has not learned
            for number in range(1, self.options.critics):
                self._learn(number)
        distance, norm = self._learn(self.steps % self.options.critics)
        critic = self.critics[self._drawn(secret)]
        critic.eval()  # else its estimate of singular values would move on
        places = torch.randint(len(self.labels), (self.options.batch,), generator=self._draws)
        labels = self.labels[places]
        made = self.network(noise_of(self.spec, len(labels), self._draws), labels)
        self._optimizer.zero_grad()
        gradients = generator_gradients(critic, made, labels)
        critic.train()
        teach(self.network, made, gradients, self.options.sanitize, secret)
        self._optimizer.step()
        self.steps += 1
        if not all(bool(own.isfinite().all()) for own in self.network.parameters()):
            raise TrainingError(
                f"the generator is not finite any more after step {self.steps}; take a smaller "
                "learning rate or less noise"
            )
        return StepRow(self.steps, distance, norm)

    def _learn(self, number: int) -> tuple[float, float]:
        """Train a critic; return what its last step said of distance and gradient norm."""
        critic, optimizer, options = self.critics[number], self._optimizers[number], self.options
        told = (0.0, 0.0)
        for real, labels in self._batches[number].take(options.critic_steps):
            assert isinstance(real, Tensor)
            with torch.no_grad():
                made = self.network(noise_of(self.spec, len(real), self._draws), labels)
            mix = torch.rand(len(real), generator=self._draws)
            optimizer.zero_grad()
            loss, *told_now = critic_loss(critic, real, made, labels, mix, options.penalty)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            told = (told_now[0], told_now[1])
        return told

    def _drawn(self, secret: Entropy | None) -> int:
        """Draw who teaches: in secret where the draw is part of the privacy."""
        critics = self.options.critics
        if critics == 1:
            return 0
        if secret is not None:
            return int(secret.order(critics)[0])
        return int(torch.randint(critics, (1,), generator=self._draws))

    def _entropy(self) -> Entropy | None:
        """Return what the noise of this step is drawn from; of a test's seed one for each step."""
        own = self.options.sanitize
        if own is None or own.insecure_test_seed is None:
            return self._secret
        return Entropy(own.insecure_test_seed, self.steps)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that the next step rests on, but no secret random numbers."""
        found = {"draws": self._draws.get_state(), "steps": torch.tensor(self.steps)}
        pairs = [("generator", self.network, self._optimizer)]
        for number, critic in enumerate(self.critics):
            pairs.append((f"critic.{number}", critic, self._optimizers[number]))  # type: ignore[arg-type]
            own = self._batches[number].state_dict()
            found |= {f"batches.{number}.{key}": value for key, value in own.items()}
        for name, module, optimizer in pairs:
            found |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
            for index, parameter in enumerate(module.parameters()):
                for moment in _MOMENTS:
                    value = optimizer.state[parameter].get(moment)
                    if value is not None:
                        found[f"{name}.{moment}.{index}"] = value
        return found

    def load_state_dict(self, state: Mapping[str, Tensor], source: str) -> None:
        """Go on from a state that `state_dict` gave.

        Raises
        ------
        InputError
            It is none of such a training.
        """
        try:
            self._load(dict(state))
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"{source}: holds a state that does not fit this training "
                f"({type(error).__name__}); take another folder"
            ) from None

    def _load(self, state: dict[str, Tensor]) -> None:
        set_state(self._draws, state["draws"])
        self.steps = int(state["steps"])
        _load_network(self.network, self._optimizer, state, "generator.")
        for number, critic in enumerate(self.critics):
            _load_network(critic, self._optimizers[number], state, f"critic.{number}.")
            prefix = f"batches.{number}."
            self._batches[number].load_state_dict(
                {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
            )


def _adam(module: torch.nn.Module, options: GeneratorOptions) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), lr=options.lr, betas=options.betas)


def _load_network(
    module: torch.nn.Module, optimizer: torch.optim.Adam, state: dict[str, Tensor], prefix: str
) -> None:
    module.load_state_dict({key: state[f"{prefix}{key}"] for key in module.state_dict()})
    for index, parameter in enumerate(module.parameters()):
        names = {moment: f"{prefix}{moment}.{index}" for moment in _MOMENTS}
        if names["step"] in state:
            found = {moment: state[name].clone() for moment, name in names.items()}
            for moment in _MOMENTS[:2]:
                found[moment] = found[moment].view_as(parameter)
            optimizer.state[parameter] = found
