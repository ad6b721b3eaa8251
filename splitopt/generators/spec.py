"""The networks of generators and their critics, layer by layer, as plain data.

Free of PyTorch; `splitopt.generators.networks` makes modules of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from splitopt.documents.checks import check_choice, check_whole, is_whole
from splitopt.errors import InputError, shown

NETWORKS = ("small", "iotsl")
PAPER_SHAPE = (1, 28, 28)
"""Of the images of the paper's network."""
SIDES = (8, 32)
"""The fewest and the most pixels of a side that the small network takes."""
_KEYS = ("network", "shape", "classes", "noise")


@dataclass(frozen=True)
class Up:
    """A transposed convolution of the generator, without padding of its own output.

    ``crop`` is the size (rows, columns) that its upper left corner is cut to.
    """

    channels: int
    kernel: int
    stride: int
    padding: int
    crop: tuple[int, int] | None = None

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of what it makes, before the crop."""
        rows, columns = ((side - 1) * self.stride - 2 * self.padding + self.kernel for side in size)
        return rows, columns


@dataclass(frozen=True)
class Down:
    """A convolution of the critic."""

    channels: int
    kernel: int
    stride: int
    padding: int

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of what it makes."""
        rows, columns = (
            (side + 2 * self.padding - self.kernel) // self.stride + 1 for side in size
        )
        return rows, columns


@dataclass(frozen=True)
class NetworkSpec:
    """A generator and its critic, by name, for images of a shape with so many classes.

    Parameters
    ----------
    network
        ``"iotsl"``: the paper's (Section V-D), for images of 1 x 28 x 28. ``"small"``: of 32 and
        16 channels, for images whose sides are 8 to 32 pixels.
    shape
        Channels, rows and columns of an image.
    classes
        Of how many the labels are; the label is given as one value for each.
    noise
        Values of Bernoulli noise.

    Raises
    ------
    InputError
        A network that is none, or a shape that it does not make.
    """

    network: str
    shape: tuple[int, int, int]
    classes: int
    noise: int = 10

    def __post_init__(self) -> None:
        check_choice("network", self.network, NETWORKS)
        check_whole("classes", self.classes, 2, 10**6)
        check_whole("noise", self.noise, 1, 10**4)
        shape = self.shape
        if not (
            isinstance(shape, tuple | list)
            and len(shape) == 3
            and all(is_whole(side, 1) for side in shape)
        ):
            raise InputError.at(
                "shape", f"is {shown(shape)}, it must be channels, rows and columns of an image"
            )
        object.__setattr__(self, "shape", tuple(shape))
        words = " x ".join(str(side) for side in shape)
        if self.network == "iotsl" and self.shape != PAPER_SHAPE:
            raise InputError.at(
                "network",
                f"is iotsl, the paper's for images of 1 x 28 x 28, and these are {words}; take "
                "small",
            )
        low, high = SIDES
        if self.network == "small" and not (
            all(low <= side <= high for side in shape[1:]) and shape[0] <= 16
        ):
            raise InputError.at(
                "shape",
                f"is {words}; the network small makes images of up to 16 channels whose sides are "
                f"{low} to {high} pixels, so scale them",
            )

    @property
    def start(self) -> tuple[int, int, int]:
        """Channels, rows and columns that the noise and the label become first."""
        if self.network == "iotsl":
            return 256, 4, 4
        _, rows, columns = self.shape
        return 32, -(-rows // 4), -(-columns // 4)

    @property
    def ups(self) -> tuple[Up, ...]:
        """The transposed convolutions of the generator."""
        channels, rows, columns = self.shape
        if self.network == "iotsl":
            return Up(128, 5, 1, 0, (7, 7)), Up(64, 5, 1, 0), Up(channels, 8, 2, 0)
        half = (-(-rows // 2), -(-columns // 2))
        return Up(16, 4, 2, 1, half), Up(channels, 4, 2, 1, (rows, columns))

    @property
    def downs(self) -> tuple[Down, ...]:
        """The convolutions of the critic, whose input has a channel more for each class."""
        widths = (64, 128, 256) if self.network == "iotsl" else (16, 32)
        return tuple(Down(width, 5, 2, 2) for width in widths)

    @property
    def flat(self) -> int:
        """How many values the last layer of the critic takes."""
        size = self.shape[1:]
        for down in self.downs:
            size = down.size(size)
        return self.downs[-1].channels * size[0] * size[1]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, document: Any, source: str = "spec") -> NetworkSpec:
        """Read it from plain data; raise `InputError` for what is none."""
        if not isinstance(document, Mapping) or set(document) != set(_KEYS):
            raise InputError.at(
                source, f"is {shown(document)}; it must have {', '.join(_KEYS)} and nothing else"
            )
        try:
            return cls(**document)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
