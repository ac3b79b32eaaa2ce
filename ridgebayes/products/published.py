"""Published values to compare with, from the file that comes with the package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes.table.scw import Band

Array = NDArray[np.float64]


def published_fov(region: str, bands: Sequence[Band]) -> tuple[Array, Array]:
    """Return published FOV fluxes and their 1σ errors, mCrab, (K,) each; NaN where there is none.

    Parameters
    ----------
    region
        A name such as GB, as in the file of published values that comes with the package.
    bands
        K bands; those that have the edges of a published one are given its value, whatever their names.
    """
    rows = _published(region)
    edges = np.array([rows["E_MIN"].to_value(u.keV), rows["E_MAX"].to_value(u.keV)])
    value, error = np.full((2, len(bands)), np.nan)
    for k, band in enumerate(bands):
        for row in rows[np.isclose(edges, [[band.e_min], [band.e_max]]).all(axis=0)][:1]:
            value[k], error[k] = row["value"], row["error"]
    return value, error


def published_source(region: str) -> str:
    """Return where the published FOV flux of a region is from; empty where there is none."""
    return "; ".join(dict.fromkeys(str(source) for source in _published(region)["source"]))


@cache
def _published(region: str) -> QTable:
    with as_file(files("ridgebayes.data") / "published.ecsv") as path:
        table = QTable.read(path, format="ascii.ecsv", encoding="utf-8")
    return table[(table["quantity"] == "FOV flux") & (table["where"] == region)]
