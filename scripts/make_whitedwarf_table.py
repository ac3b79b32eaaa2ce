"""Make data/whitedwarf.fits, the spectra of accreting white dwarfs: python scripts/make_whitedwarf_table.py.

Takes a few seconds. ``--accretion`` solves columns through which more or less gas flows, ``--out`` writes
elsewhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ridgebayes.spectra import column, whitedwarf

OUT = Path(__file__).parents[1] / "data" / "whitedwarf.fits"


def main() -> None:
    """Solve a column at every mass and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--accretion", type=float, default=column.ACCRETION, help="g/cm2/s")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    whitedwarf.write(whitedwarf.tabulate(accretion=given.accretion), given.out)


if __name__ == "__main__":
    main()
