"""Published values for comparison, from the file that is part of the package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats


def published_fov(region: str, bands: Sequence[Band]) -> tuple[Floats, Floats]:
    """Return published FOV fluxes and their 1σ errors, mCrab, (K,) each; NaN where there is none.

    Parameters
    ----------
    region
        A name such as GB, as in the file of published values.
    bands
        K bands. A band with the edges of a published one gets its value; names do not matter.
    """
    rows = published_points(region)
    edges = np.array([rows["E_MIN"].to_value(u.keV), rows["E_MAX"].to_value(u.keV)])
    value, error = np.full((2, len(bands)), np.nan)
    for k, band in enumerate(bands):
        for row in rows[np.isclose(edges, [[band.e_min], [band.e_max]]).all(axis=0)][:1]:
            value[k], error[k] = row["value"], row["error"]
    return value, error


def published_source(region: str) -> str:
    """Return the source of the published FOV flux of a region; empty if there is none."""
    return "; ".join(dict.fromkeys(str(source) for source in published_points(region)["source"]))


def published_indices() -> list[tuple[float, str]]:
    """Return published photon indices of the hard component, each with its source."""
    table = _table()
    rows = table[[str(name).startswith("photon index") for name in table["quantity"]]]
    return [(float(row["value"]), str(row["source"])) for row in rows]


def published_ratio() -> tuple[float, float, str, str]:
    """Return the published ratio of intensity to starlight, its 1σ error, band in keV, and source."""
    table = _table()
    (row,) = table[[str(name).startswith("I(3-20 keV)") for name in table["quantity"]]]
    band = f"{row['E_MIN'].value:g}-{row['E_MAX'].value:g}"
    return float(row["value"]), float(row["error"]), band, str(row["source"])


@cache
def _table() -> QTable:
    with as_file(files("ridgebayes.data") / "published.ecsv") as path:
        return QTable.read(path, format="ascii.ecsv", encoding="utf-8")


@cache
def published_points(region: str) -> QTable:
    """Return the published FOV fluxes of a region: band, E_MIN, E_MAX, value, error (mCrab), source."""
    table = _table()
    return table[(table["quantity"] == "FOV flux") & (table["where"] == region)]
