"""Step 3: rate less background of every ScW in mCrab with its error, and how they are distributed.

    python scripts/03_residuals.py runs/demo

Options are those of ``ridgebayes residuals``.
"""

import sys

from ridgebayes.cli.main import main

main(["residuals", *(sys.argv[1:] or ["runs/demo"])])
