"""The sections and fields of Plato's configuration that are written, as its documentation has them.

Source: "Configuration settings" of Plato's documentation: general, clients, server, data, trainer,
algorithm, parameters and results; ``iteration`` and ``split_learning`` stand in its own example
``split_learning_resnet18.toml``. A field that is not here is not written.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Whole = Annotated[int, Field(ge=1, strict=True)]
Rate = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Clients(_Section):
    """Who trains."""

    type: Literal["simple", "split_learning"]
    total_clients: Whole
    per_round: Whole
    do_test: bool
    iteration: Whole | None = None


class Server(_Section):
    """Where the server listens, and what it is."""

    type: Literal["fedavg", "split_learning"]
    address: str
    port: Annotated[int, Field(ge=1, le=65535)]
    random_seed: int
    do_test: bool


class Data(_Section):
    """What is trained on, and how it is shared out."""

    datasource: Literal["MNIST", "FashionMNIST"]
    partition_size: Whole
    sampler: Literal["iid", "noniid"]
    concentration: Rate | None = None
    random_seed: int


class Trainer(_Section):
    """How it is trained."""

    type: Literal["basic", "split_learning"]
    rounds: Whole
    epochs: Whole
    batch_size: Whole
    optimizer: Literal["SGD"]
    model_name: Literal["lenet5"]


class Algorithm(_Section):
    """By which algorithm."""

    type: Literal["fedavg", "split_learning"]
    split_learning: Literal[True] | None = None


class Model(_Section):
    """Keywords of the model."""

    num_classes: Whole
    cut_layer: str | None = None


class Optimizer(_Section):
    """Keywords of the optimizer."""

    lr: Rate


class Parameters(_Section):
    """Keywords of what the other sections name."""

    model: Model
    optimizer: Optimizer


class PlatoConfig(_Section):
    """A whole configuration."""

    clients: Clients
    server: Server
    data: Data
    trainer: Trainer
    algorithm: Algorithm
    parameters: Parameters

    @model_validator(mode="after")
    def _check_whole(self) -> PlatoConfig:
        """Check what the documentation says of fields that belong together."""
        split = {self.clients.type, self.server.type, self.trainer.type, self.algorithm.type}
        if "split_learning" in split:
            if split != {"split_learning"}:
                raise ValueError("split learning is the type of all sections or of none")
            if self.clients.per_round != 1 or self.clients.do_test:
                raise ValueError("split learning takes one client a round and tests on the server")
            if self.clients.iteration is None or self.parameters.model.cut_layer is None:
                raise ValueError("split learning needs clients.iteration and a cut layer")
        if self.clients.per_round > self.clients.total_clients:
            raise ValueError("clients.per_round is more than there are")
        if (self.data.sampler == "noniid") != (self.data.concentration is not None):
            raise ValueError("data.concentration belongs to the sampler noniid")
        return self
