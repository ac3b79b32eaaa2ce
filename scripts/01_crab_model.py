"""Step 1: the Crab's rate over time with the ScWs that contain the Crab, and their residuals.

    python scripts/01_crab_model.py runs/demo

Options are those of ``ridgebayes crab-history``.
"""

import sys

from ridgebayes.cli.main import main

main(["crab-history", *(sys.argv[1:] or ["runs/demo"])])
