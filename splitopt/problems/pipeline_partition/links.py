"""How the nodes of a pipeline reach each other: link models and their numbers.

* ``none``: transfers cost nothing (MP-SL).
* ``uniform``: every pair of neighbours has a link of its own; all have the same bandwidth.
* ``pairwise``: as uniform, with a bandwidth for each ordered pair of nodes.
* ``nic``: a node has one interface, which the transfers with both neighbours share.
* ``serial``: as nic, and a node cannot compute while its interface works.

A ``full`` duplex link or interface carries both directions at the same time; with ``half`` they
take turns. Propagation latency delays a message but occupies nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import number, number_table
from splitopt.problems.base import FloatArray, check_keys

MODELS = ("none", "uniform", "pairwise", "nic", "serial")
DUPLEX = ("full", "half")
_KEYS = ("bandwidth_bytes_per_s", "latency_s", "duplex", "owner_bandwidth_bytes_per_s")
_RATE = "bandwidth in byte/s"


@dataclass(frozen=True, eq=False)
class Links:
    """The links of a pipeline of N nodes; build it with `read`, which checks everything.

    Parameters
    ----------
    nodes
        N.
    model
        One of `MODELS`.
    bandwidth_bytes_per_s
        Shape () for ``uniform``, (N, N) for ``pairwise`` (row sends to column; 0 is no link; the
        diagonal does not count), (N,) for ``nic`` and ``serial``; None for ``none``.
    latency_s
        Shape (), or (N, N) for ``pairwise``.
    duplex
        ``"full"`` or ``"half"``.
    owner_bandwidth_bytes_per_s
        Of the private link of each owner; None: owner links cost nothing.
    """

    nodes: int
    model: str = "none"
    bandwidth_bytes_per_s: FloatArray | None = None
    latency_s: FloatArray | None = None
    duplex: str = "full"
    owner_bandwidth_bytes_per_s: float | None = None

    @classmethod
    def read(cls, document: Any, nodes: int, source: str = "links") -> Links:
        """Read the links of `nodes` nodes from plain data.

        Raises
        ------
        InputError
            A key, type, shape or value that does not fit; the message names it.
        """
        if document is None:
            return cls(nodes)
        if isinstance(document, Links):
            document = document.to_dict()
        data = check_keys(document, ("model",), _KEYS, source)
        model = data["model"]
        if not isinstance(model, str) or model not in MODELS:
            raise InputError.at(f"{source}.model", f"is {model!r}, known are {', '.join(MODELS)}")
        duplex = data.get("duplex", "full")
        if not isinstance(duplex, str) or duplex not in DUPLEX:
            raise InputError.at(f"{source}.duplex", f"is {duplex!r}, it must be 'full' or 'half'")
        owner = data.get("owner_bandwidth_bytes_per_s")
        if owner is not None:
            owner = number(owner, f"{source}.owner_bandwidth_bytes_per_s", _RATE, positive=True)
        bandwidth, latency = _numbers(data, model, nodes, source)
        return cls(nodes, model, bandwidth, latency, duplex, owner)

    def to_dict(self) -> dict[str, Any]:
        """Return the links as data of an instance file: scalars and arrays."""
        found: dict[str, Any] = {"model": self.model}
        for key in ("bandwidth_bytes_per_s", "latency_s"):
            value = getattr(self, key)
            if value is not None:
                found[key] = float(value) if value.ndim == 0 else value
        if self.model != "none":
            found["duplex"] = self.duplex
        if self.owner_bandwidth_bytes_per_s is not None:
            found["owner_bandwidth_bytes_per_s"] = self.owner_bandwidth_bytes_per_s
        return found

    @property
    def costs_nothing(self) -> bool:
        """Whether transfers between nodes are free and at once."""
        return self.model == "none"

    @property
    def has_interfaces(self) -> bool:
        """Whether the busy resource of a transfer is a node's interface rather than a link."""
        return self.model in ("nic", "serial")

    @cached_property
    def rates(self) -> FloatArray:
        """Shape (N, N): byte/s from row to column, infinite for ``none`` and on the diagonal."""
        found = np.full((self.nodes, self.nodes), np.inf)
        if self.bandwidth_bytes_per_s is not None:
            band = self.bandwidth_bytes_per_s
            found[:] = np.minimum(band[:, None], band) if self.has_interfaces else band
        np.fill_diagonal(found, np.inf)
        found.setflags(write=False)
        return found

    @cached_property
    def delays_s(self) -> FloatArray:
        """Shape (N, N): propagation latency in s from row to column."""
        found = np.zeros((self.nodes, self.nodes))
        if self.latency_s is not None:
            found[:] = self.latency_s
        np.fill_diagonal(found, 0.0)
        found.setflags(write=False)
        return found

    @property
    def interface_rates(self) -> FloatArray | None:
        """Shape (N,): byte/s of each node's own interface, None where there are no interfaces."""
        return self.bandwidth_bytes_per_s if self.has_interfaces else None

    @property
    def owner_delay_s(self) -> float:
        """Propagation latency of an owner's link: the nodes' where that is a single number."""
        scalar = self.latency_s is not None and self.latency_s.ndim == 0
        return float(self.latency_s) if scalar and self.latency_s is not None else 0.0


def _numbers(
    data: Mapping[str, Any], model: str, nodes: int, source: str
) -> tuple[FloatArray | None, FloatArray | None]:
    """Read bandwidth and latency in the shape that the model asks for."""
    place, band = f"{source}.bandwidth_bytes_per_s", data.get("bandwidth_bytes_per_s")
    if model == "none":
        for key in ("bandwidth_bytes_per_s", "latency_s", "duplex"):
            if key in data:
                raise InputError.at(
                    f"{source}.{key}", "does not go with the model 'none'; name a model or drop it"
                )
        return None, None
    if band is None:
        raise InputError.at(source, f"the model {model!r} needs 'bandwidth_bytes_per_s'")
    shape = {"uniform": (), "pairwise": (nodes, nodes)}.get(model, (nodes,))
    if not shape:
        bandwidth = _scalar(number(band, place, _RATE, positive=True))
    else:
        bandwidth = number_table(band, place, _RATE, shape)
        if model != "pairwise" and (stuck := np.flatnonzero(bandwidth == 0)).size:
            raise InputError.at(f"{place}[{stuck[0]}]", "is 0, an interface must carry something")
    latency, place = data.get("latency_s", 0.0), f"{source}.latency_s"
    if model == "pairwise" and np.ndim(latency) > 0:
        return bandwidth, number_table(latency, place, "latency in s", (nodes, nodes))
    return bandwidth, _scalar(number(latency, place, "latency in s"))


def _scalar(value: float) -> FloatArray:
    found = np.array(value)
    found.setflags(write=False)
    return found
