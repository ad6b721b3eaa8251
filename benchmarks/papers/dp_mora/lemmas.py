"""Section 6: the second derivatives that the lemmas print, and whether P2 is convex."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.dp_mora.published import published
from benchmarks.papers.dp_mora.regressions import basis
from benchmarks.papers.dp_mora.schemes import problem_at, recovered_cuts, scenario_at
from benchmarks.papers.tables import Cell, Table
from splitopt.problems.base import FloatArray

RESOURCES = ("downlink", "uplink", "server")
_EQUATIONS = ("Eq. 34", "Eq. 35", "Eq. 36")
_LEFT_OUT = ("the device-side model", "the device-side model", "the server's forward pass")


def printed_share(model: str) -> FloatArray:
    """Compute the printed second derivative over the objective's (3, N), for DP-MORA's cuts.

    Eq. 34 and 35 have the gradients and activations of all epochs, Eq. 36 the server's backward
    pass: each prints 2 w / share^3 for the seconds w that its part of the work takes alone.
    """
    scenario = scenario_at(model)
    profile, fleet = scenario.load_model(), scenario.fleet()
    decision = problem_at(model).complete(recovered_cuts(model, len(fleet)))
    at = decision.cut - 1
    times = scenario.training.epochs * np.array([device.samples for device in fleet])
    down, up = (
        np.array([scenario.link(device, way).rate for device in fleet], float)
        for way in ("downlink", "uplink")
    )
    compute = scenario.servers[0].compute
    assert compute is not None
    seconds = (
        8 * times * profile.gradient_bytes[at] / down,
        8 * times * profile.smashed_bytes[at] / up,
        times * profile.server_backward_flop[at] / compute,
    )
    shares = (decision.download_share, decision.upload_share, decision.server_share)
    printed = np.stack([2 * w / share**3 for w, share in zip(seconds, shares, strict=True)])
    return np.asarray(printed / second_derivatives(model))


def second_derivatives(model: str) -> FloatArray:
    """Compute d2 Q / d share^2 (3, N) of the sum of latencies at the best shares for those cuts."""
    problem = problem_at(model)
    decision = problem.complete(recovered_cuts(model, problem.devices))
    rows, at = np.arange(problem.devices), decision.cut - 1
    work = (problem.download_s, problem.upload_s, problem.server_s)
    shares = (decision.download_share, decision.upload_share, decision.server_share)
    return np.stack([2 * w[rows, at] / share**3 for w, share in zip(work, shares, strict=True)])


def lemmas_table(model: str = "resnet18") -> Table:
    """Return which part of the true second derivative Eq. 34 to 36 have, over the devices."""
    shares = printed_share(model)
    rows: list[list[Cell]] = [
        [f"{equation} ({resource})", left_out, 100 * part.min(), 100 * part.max()]
        for equation, resource, left_out, part in zip(
            _EQUATIONS, RESOURCES, _LEFT_OUT, shares, strict=True
        )
    ]
    head = ["equation", "leaves out", "least % of the true value", "most %"]
    note = (
        "Section 6.1, ResNet-18 with DP-MORA's cuts of section 7.2: the second derivative of the "
        "sum of latencies that an equation prints, in % of that of Eq. 12, over the ten devices. "
        "Both are positive, so that the lemmas' convexity in one resource holds where its work is."
    )
    return Table("lemmas", head, rows, note)


def relaxed_latency(cut: float, share: float) -> float:
    """Compute the latency in s of device I0 (ResNet-18) with Table 1's curves, as P2 has it.

    It has the share of every resource, and the rest goes to the others.
    """
    scenario = scenario_at("resnet18")
    device, curves = scenario.fleet()[0], published()["regressions"]["resnet18"]
    times = scenario.training.epochs * device.samples
    at = np.array([cut])
    psi_m, phi_f, phi_b, psi_s = (
        (basis(name, at) @ np.array(curves[name]["curve"])).item()
        for name in ("psi_m", "phi_f", "phi_b", "psi_s")
    )
    moved = 2.0**20 * (psi_m + times * psi_s)
    rates = [scenario.link(device, way).rate for way in ("downlink", "uplink")]
    seconds = sum(8 * moved / rate for rate in rates if rate is not None)
    server, own = scenario.servers[0].compute, device.compute
    assert server is not None
    assert own is not None
    seconds += times * 2e9 * phi_b / server
    return float(seconds / share + times * 2e9 * phi_f / own)


def midpoint_gap(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Compute by how many s the latency at the middle exceeds the mean of two (cut, share) points.

    Above 0, the function is not convex between them.
    """
    (cut, share), (other_cut, other_share) = first, second
    middle = relaxed_latency((cut + other_cut) / 2, (share + other_share) / 2)
    return middle - (relaxed_latency(*first) + relaxed_latency(*second)) / 2


POINTS = ((3.0, 0.9), (9.0, 0.2))
"""Two feasible points of P2 for device I0: its cut and its share of every resource."""


def convexity() -> str:
    """Return the sentences about the convexity that section 6 claims, with their numbers."""
    first, second = (relaxed_latency(*point) for point in POINTS)
    (cut, share), (other_cut, other_share) = POINTS
    middle = relaxed_latency((cut + other_cut) / 2, (share + other_share) / 2)
    return (
        "**P2 is not convex.** Section 6.1 concludes from the lemmas, each about one resource with "
        'everything else fixed, that "problem P2 is also strictly convex"; section 6.2 says that '
        "its subproblem in the cut is not. With Table 1's curves, device I0 takes "
        f"{first / 1000:.2f} thousand s at cut {cut:g} with {100 * share:g} % of every resource, "
        f"{second / 1000:.2f} at cut {other_cut:g} with {100 * other_share:g} %, and "
        f"{middle / 1000:.2f} half-way between them, which is above the mean of the two "
        f"({(first + second) / 2000:.2f}). For fixed cuts the sum is convex in all shares "
        "together, but strictly so only where every device has work on every resource: a device "
        "that keeps all layers (cut L) has none for the server, and its second derivative is 0.\n"
    )
