"""Reading of product files with astropy in a process without ridgebayes."""

import subprocess
import sys

PLAIN = """
import sys, warnings
warnings.simplefilter("error")
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.wcs import WCS
for path in sys.argv[1:]:
    if path.endswith(".ecsv"):
        for kind in (Table, QTable):
            kind.read(path)
        continue
    with fits.open(path) as hdus:
        for k, hdu in enumerate(hdus):
            if isinstance(hdu, fits.BinTableHDU):
                Table.read(path, hdu=k)
                if not path.endswith(".rsp"):  # astropy makes no quantities of arrays of variable length
                    QTable.read(path, hdu=k)
            elif hdu.data is not None:
                WCS(hdu.header)
assert "ridgebayes" not in sys.modules
"""
"""Script that reads every file with astropy only."""


def read_elsewhere(*paths):
    """Read files in a process without ridgebayes, with warnings as errors."""
    command = [sys.executable, "-I", "-c", PLAIN, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
