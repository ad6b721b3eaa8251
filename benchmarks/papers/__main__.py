"""``python -m benchmarks.papers``: replay the papers and set their claims beside the results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.papers.claims import Claim, claims_table
from benchmarks.papers.cpsl import __main__ as cpsl
from benchmarks.papers.cpsl.claims import claims as cpsl_claims
from benchmarks.papers.dp_mora import __main__ as dp_mora
from benchmarks.papers.dp_mora.claims import claims as dp_mora_claims
from benchmarks.papers.iotsl import __main__ as iotsl
from benchmarks.papers.iotsl.claims import claims as iotsl_claims
from benchmarks.papers.mp_sl import __main__ as mp_sl
from benchmarks.papers.mp_sl.claims import claims as mp_sl_claims
from benchmarks.papers.training_claims import (
    cpsl_training_claims,
    splitfed_claims,
)

RESULTS = Path(__file__).parent / "results"
REPLAYS = (dp_mora, mp_sl, cpsl, iotsl)

CLAIMS: dict[str, Callable[[], list[Claim]]] = {
    "dp-mora": lambda: dp_mora_claims(dp_mora.RESULTS),
    "cpsl": lambda: [*cpsl_claims(cpsl.RESULTS), *cpsl_training_claims()],
    "mp-sl": lambda: mp_sl_claims(mp_sl.RESULTS),
    "splitfed": splitfed_claims,
    "iotsl": lambda: iotsl_claims(iotsl.RESULTS),
}
"""Paper -> its claims beside what its replay wrote last."""


def main(arguments: list[str]) -> int:
    """Replay what needs no training, then write and print the claims."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.papers", description=__doc__)
    parser.add_argument(
        "--read", action="store_true", help="replay nothing, read what the replays wrote last"
    )
    if not parser.parse_args(arguments).read:
        for replay in REPLAYS:
            replay.main([])
    RESULTS.mkdir(exist_ok=True)
    for paper, make in CLAIMS.items():
        table = claims_table(paper, make())
        table.save(RESULTS)
        print(f"{paper}\n\n{table.markdown()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
