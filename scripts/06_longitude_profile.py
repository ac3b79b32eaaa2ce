"""Step 6: intensity and FOV flux against Galactic longitude, with starlight scaled to them.

    python scripts/06_longitude_profile.py runs/demo

Options are those of ``ridgebayes longitude-profile``.
"""

import sys

from ridgebayes.cli.main import main

main(["longitude-profile", *(sys.argv[1:] or ["runs/demo"])])
