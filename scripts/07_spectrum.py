"""Step 7: spectrum of a region over all bands, with its covariance, and as OGIP files for a spectral fit.

    python scripts/07_spectrum.py runs/demo --region GB

Options are those of ``ridgebayes region-spectrum``.
"""

import sys

from ridgebayes.cli.main import main

main(["region-spectrum", *(sys.argv[1:] or ["runs/demo"])])
