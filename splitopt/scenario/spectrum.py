"""The parts of a scenario that trains in clusters: subcarriers, clusters and where they cut."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from splitopt.errors import InputError
from splitopt.scenario.machine import Count, Part
from splitopt.scenario.nodes import AUTO, Cut
from splitopt.scenario.quantity import WHOLE, Bandwidth, Truth


class Spectrum(Part):
    """The radio's subcarriers, shared by the devices that work at the same time.

    ``bandwidth`` is that of ONE subcarrier. ``fading``: ``awgn`` takes the signal-to-noise ratio as
    it is, ``rayleigh`` as the mean of a fading one (CPSL Eq. 14). Devices or links state ``snr_db``
    or the powers that it follows from. ``device_model_over_full_band`` sends device-side models up
    over all subcarriers rather than over the device's own.
    """

    subcarriers: Annotated[int, Field(ge=1, le=10**6), WHOLE]
    bandwidth: Bandwidth
    fading: Literal["awgn", "rayleigh"] = "awgn"
    device_model_over_full_band: Truth = False


class Clusters(Part):
    """Clusters that train one after the other, with devices that train side by side.

    Either ``size``, the same for all, or ``sizes``. ``cut`` is a number of layers, the name of the
    last one on the devices, or ``auto``, which leaves it to a problem that chooses cuts.
    ``cut_per_cluster``: whether such a problem may give every cluster a cut of its own.
    ``gradient_batch_factor``: whether the gradient of a mini-batch has the size of all its samples
    (``corrected``) or of one, as CPSL prints Eq. 20 (``literal``).
    """

    size: Count | None = None
    sizes: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    cut: Cut = AUTO
    cut_per_cluster: Truth = False
    gradient_batch_factor: Literal["literal", "corrected"] = "corrected"

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if (self.size is None) == (self.sizes is None):
            raise InputError("needs either 'size' (one for all clusters) or 'sizes'")
        if self.cut_per_cluster and self.cut != AUTO:
            raise InputError.at(
                "cut", f"is {self.cut!r} for all clusters, and cut_per_cluster is true; drop one"
            )
        return self

    def all_sizes(self, devices: int) -> tuple[int, ...]:
        """Return the size of every cluster.

        Raises
        ------
        InputError
            They do not add up to the number of devices.
        """
        if self.sizes is not None:
            if sum(self.sizes) != devices:
                raise InputError.at(
                    "clusters.sizes",
                    f"add up to {sum(self.sizes)}, they must add up to the {devices} devices",
                )
            return self.sizes
        assert self.size is not None  # the validator saw to it
        if devices % self.size:
            raise InputError.at(
                "clusters.size",
                f"is {self.size}, but {devices} devices do not divide into clusters of "
                f"{self.size}; give 'sizes' that add up to {devices}",
            )
        return (self.size,) * (devices // self.size)
