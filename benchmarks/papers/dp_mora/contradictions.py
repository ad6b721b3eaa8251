"""Where the paper contradicts itself, each point with the numbers that show it."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.dp_mora.comparison import samples_of
from benchmarks.papers.dp_mora.published import (
    DEFAULT,
    printed_reductions,
    published,
    published_dp_mora_round,
    rounds_from_table,
    table,
)
from benchmarks.papers.dp_mora.schemes import MAKESPAN, SUM, Planned, lower_by
from benchmarks.papers.dp_mora.sweeps import Point
from benchmarks.papers.dp_mora.waiting import replayed_waits
from splitopt import CutAndResources


def contradictions(problem: CutAndResources, plans: dict[str, Planned], uplink_100: Point) -> str:
    """Write the list in Markdown, for ResNet-18 and the plans at the default setting."""
    found = [
        _settings(),
        _same_scheme(),
        _no_offloading(),
        _same_numbers_twice(),
        _uplink(uplink_100),
        _waiting(),
        _longest_wait(),
        _objective(problem, plans),
        _convergence(),
    ]
    return "\n".join(f"{number}. {text}" for number, text in enumerate(found, 1)) + "\n"


def _settings() -> str:
    stated = published()["stated"]
    off = {
        name: max(
            float(np.abs(waits[column] - table("resnet18")[column]).max())
            for column in ("SF1AF", "FSAF", "FAAF")
        )
        for name, waits in (
            ("stated", replayed_waits("resnet18", stated)),
            ("recovered", replayed_waits("resnet18")),
        )
    }
    return (
        f"**Settings.** Section 7.1 states a server of {stated['server_gmac']} GFLOPS, "
        f"{stated['downlink_mbit']} Mbit/s down and {stated['uplink_mbit']} Mbit/s up. With these, "
        "the columns SF1AF, FSAF and FAAF of Table 2, which depend on no optimizer, are missed by "
        f"up to {off['stated'] / 1000:.2f} thousand s; with {DEFAULT['server_gmac']} GFLOPS, "
        f"{DEFAULT['downlink_mbit']} and {DEFAULT['uplink_mbit']} Mbit/s by at most "
        f"{off['recovered'] / 1000:.2f}."
    )


def _same_scheme() -> str:
    text = printed_reductions(dict(DEFAULT))
    rounds = rounds_from_table("resnet18", samples_of("resnet18"))
    return (
        f"**SF3AF and FSAF.** The text of item 1 says {text['SF3AF']} % and {text['FSAF']} % "
        f"against them, but by Table 2 both rounds take {rounds['SF3AF'] / 1000:.2f} thousand s: "
        "the slowest device has the same cut and the same shares in both."
    )


def _no_offloading() -> str:
    text = printed_reductions(dict(DEFAULT))
    samples = samples_of("resnet18")
    rounds = rounds_from_table("resnet18", samples)
    implied = lower_by(published_dp_mora_round(samples), rounds["FAAF"])
    return (
        f"**FAAF.** The text of item 1 says {text['FAAF']} %, the number that it also says of "
        f"FSAF; Table 2 implies {implied:.1f} %."
    )


def _same_numbers_twice() -> str:
    item_4 = printed_reductions(DEFAULT | {"leakage_limit": 0.8})
    numbers = ", ".join(f"{by} % ({name})" for name, by in item_4.items())
    return (
        f"**Leakage limit.** Item 4 gives {numbers} at the limit 0.8; item 1 gives the same three "
        "numbers at the limit 0.5. FAAF is the same at any limit, so that DP-MORA would have "
        "gained nothing from a laxer one."
    )


def _uplink(point: Point) -> str:
    implied = {name: seconds / 1000 for name, seconds in point.implied.items()}
    others = sorted(seconds for name, seconds in implied.items() if name != "FAAF")
    return (
        f"**Uplink.** At 100 Mbit/s item 6 says {point.printed['FAAF']} % against FAAF, which "
        f"makes DP-MORA's round {implied['FAAF']:.1f} thousand s; against the four others it is "
        f"{others[0]:.1f} to {others[-1]:.1f}."
    )


def _waiting() -> str:
    waits = table("resnet18")["SF1AF"] / 1000
    return (
        "**Waiting latency.** The text defines it as the time from a device's own upload to the "
        "last one, which is 0 for the last device of a sequential scheme. Tables 2 and 3 print 0 "
        f"for the first and {waits[-1]:.2f} for the last: the time until the device's turn."
    )


def _longest_wait() -> str:
    longest = {name: float(column.max()) / 1000 for name, column in table("resnet18").items()}
    shown = ", ".join(f"{name} {value:.2f}" for name, value in longest.items())
    return (
        "**Who waits longest.** Item 2 says that SF1AF and SF2AF wait longest, and then explains "
        'why "FSAF and FAAF" do: because they train sequentially, which is what SF1AF and SF2AF '
        f"do. Longest waits in Table 2: {shown}."
    )


def _objective(problem: CutAndResources, plans: dict[str, Planned]) -> str:
    round_s = published_dp_mora_round(samples_of("resnet18"))
    total = problem.devices * round_s - float(table("resnet18")["DP-MORA"].sum())
    return (
        "**Objective.** P1 minimises the sum of the devices' latencies, section 7 reports the "
        f"largest of them. Published DP-MORA (round {round_s / 1000:.2f}, sum {total / 1000:.1f} "
        f"thousand s) is {100 * (total / plans[SUM].total_s - 1):.1f} % above the least sum and "
        f"{100 * (round_s / plans[MAKESPAN].round_s - 1):.1f} % above the least round."
    )


def _convergence() -> str:
    at, samples = published()["convergence"], samples_of("resnet18")
    rounds, own = rounds_from_table("resnet18", samples), published_dp_mora_round(samples)
    names = [name for name in at if name != "DP-MORA"]
    text = ", ".join(f"{at[name] / at['DP-MORA']:.2f} ({name})" for name in names)
    by_table = ", ".join(f"{rounds[name] / own:.2f}" for name in names)
    return (
        "**Convergence.** By the text on Figure 3 training converges after about "
        f"{at['DP-MORA']:,} thousand s with DP-MORA and takes {text} times as long with others, "
        "with the same accuracy after a round. Then rounds must be in these proportions; by Table "
        f"2 they are {by_table}."
    )
