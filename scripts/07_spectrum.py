"""Step 7: spectrum of a region over all bands, with its covariance, and as OGIP files for a spectral fit.

    python scripts/07_spectrum.py runs/demo --region GB --out products

Options are those of ``ridgebayes spectrum``.
"""

import sys

from ridgebayes.cli.main import main

main(["spectrum", *(sys.argv[1:] or ["runs/demo"])])
