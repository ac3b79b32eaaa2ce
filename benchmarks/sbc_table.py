"""What campaigns of simulation-based calibration found: the table of RESULTS.md.

    python benchmarks/sbc_table.py runs/sbc/regions runs/sbc/template …

Chains are short that hold fewer independent draws than the ranks need.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ridgebayes.sbc import read_ranks, uniformity


def row(folder: Path) -> tuple[object, ...]:
    """Sum up one campaign."""
    ranks = read_ranks(folder)
    found = uniformity(ranks)
    done = [result for result in ranks.results if not result.failed]
    table = found.table
    worst = table[int(np.argmin(table["p"]))]
    return (
        " + ".join([ranks.record["model"]["name"], *ranks.record["model"]["extras"]]),
        ", ".join(ranks.record["data"]["bands"]),
        f"{found.simulations} ({len(ranks.failures)}, {found.short})",
        f"{table['inside'].sum()} of {len(table)}",
        f"{worst['p']:.2g}, {worst['quantity']} ({table['p_adjusted'].min():.2g})",
        "yes" if found.uniform else "NO",
        f"{np.median([result.seconds for result in done]):.1f}",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="folders of campaigns")
    print(
        "| model | bands | simulations (failed, short chains) | inside their band | smallest p (adjusted) "
        "| uniform | s each |\n|---|---|---|---|---|---|---|"
    )
    for folder in parser.parse_args().folders:
        print(f"| {' | '.join(map(str, row(folder)))} |")


if __name__ == "__main__":
    main()
