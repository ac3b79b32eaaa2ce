"""What campaigns of simulation-based calibration found: a table for RESULTS.md, and all numbers in sbc.json.

    python benchmarks/sbc_table.py runs/sbc/regions runs/sbc/template …

Campaigns that the file has of other models stay in it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ridgebayes.sbc import read_ranks, uniformity

HERE = Path(__file__).parent


def told(folder: Path) -> dict[str, Any]:
    """Sum up one campaign."""
    ranks = read_ranks(folder)
    found = uniformity(ranks)
    done = [result for result in ranks.results if not result.failed]
    worst = found.table[int(np.argmin(found.table["p"]))]
    return {
        "model": ranks.record["model"]["name"],
        "extras": ranks.record["model"]["extras"],
        "priors": ranks.record["model"]["priors"],
        "scws": ranks.record["data"]["scws"],
        "bands": ranks.record["data"]["bands"],
        "sbc": ranks.record["sbc"],
        "versions": {"ridgebayes": ranks.record["ridgebayes"], **ranks.record["versions"]},
        "simulations": found.simulations,
        "failures": {str(number): why for number, why in ranks.failures.items()},
        "short_chains": found.short,
        "quantities": len(found.table),
        "inside_own_band": int(found.table["inside"].sum()),
        "smallest_p": float(worst["p"]),
        "smallest_p_of": str(worst["quantity"]),
        "smallest_adjusted_p": float(found.table["p_adjusted"].min()),
        "uniform": found.uniform,
        "divergent_draws": sum(result.divergences for result in done),
        "draws": sum(result.length for result in done),
        "median_seconds": float(np.median([result.seconds for result in done])),
        "ranks": {name: ranks.values[:, k].tolist() for k, name in enumerate(ranks.quantities)},
        "p": dict(zip(map(str, found.table["quantity"]), map(float, found.table["p"]), strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="folders of campaigns")
    parser.add_argument("--out", type=Path, default=HERE / "sbc.json")
    args = parser.parse_args()
    campaigns = [told(folder) for folder in args.folders]
    before = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else []
    new = {_name(c) for c in campaigns}
    campaigns = [c for c in before if _name(c) not in new] + campaigns
    text = ",\n".join(json.dumps(campaign, separators=(",", ":")) for campaign in campaigns)
    args.out.write_text(f"[\n{text}\n]\n", encoding="utf-8")
    print("| model | simulations | failed | inside their band | smallest p (adjusted) | divergent draws |")
    print("|---|---|---|---|---|---|")
    for c in campaigns:
        inside = f"{c['inside_own_band']} of {c['quantities']}"
        smallest = f"{c['smallest_p']:.2g}, {c['smallest_p_of']} ({c['smallest_adjusted_p']:.2g})"
        divergent = f"{c['divergent_draws']} of {c['draws']}"
        row = (_name(c), c["simulations"], len(c["failures"]), inside, smallest, divergent)
        print(f"| {' | '.join(map(str, row))} |")


def _name(campaign: dict[str, Any]) -> str:
    return " + ".join([campaign["model"], *campaign["extras"]])


if __name__ == "__main__":
    main()
