"""Make data/demo.fits, the bundled demo mission: python scripts/make_demo.py.

About 5,000 simulated ScWs of 76 revolutions from 2003 to 2024, in the three bands of the published result.
The true sky is the starlight template at the published fluxes of the Galactic bulge; nothing is switched on
that a model does not know. The seeds are fixed, so running it again gives the same file.
"""

from __future__ import annotations

from pathlib import Path

from ridgebayes import simulate
from ridgebayes.table.formats import write_scws

DEMO = Path(__file__).parents[1] / "data" / "demo.fits"
# A programme this short is uneven: this seed's covers the whole plane, and the Crab from 2003 to 2022.
PROGRAMME_SEED, MISSION_SEED = 209, 1


def main() -> None:
    """Simulate and write the file."""
    programme = simulate.programme(76, stop=2740, seed=PROGRAMME_SEED)
    scws = simulate.mission(programme, simulate.Truth(), seed=MISSION_SEED, cache=False)
    write_scws(scws, DEMO, overwrite=True)


if __name__ == "__main__":
    main()
