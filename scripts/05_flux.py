"""Step 5: FOV flux in every region, beside the classical estimate and the published value.

Usage: python scripts/05_flux.py [RUN] [options of `ridgebayes flux`]
"""

import sys

from ridgebayes.cli.main import main

if __name__ == "__main__":
    main(["flux", *(sys.argv[1:] or ["runs/demo"])])
