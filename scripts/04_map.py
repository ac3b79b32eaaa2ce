"""Step 4: sky maps of the posterior intensity and of the residuals, HEALPix and WCS FITS with figures.

    python scripts/04_map.py runs/demo

Options are those of ``ridgebayes map``.
"""

import sys

from ridgebayes.cli.main import main

main(["map", *(sys.argv[1:] or ["runs/demo"])])
