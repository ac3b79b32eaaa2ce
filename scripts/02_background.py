"""Step 2: background over time, terms of the revolutions, phase curves, scatter, residuals off the plane.

    python scripts/02_background.py runs/demo

Options are those of ``ridgebayes background-history``.
"""

import sys

from ridgebayes.cli.main import main

main(["background-history", *(sys.argv[1:] or ["runs/demo"])])
