"""Reading of OGIP redistribution matrices and effective areas (CAL/GEN/92-002)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from ridgebayes.errors import InputError
from ridgebayes.io.bounded import one_line, open_fits
from ridgebayes.typing import Floats


def read_rmf(path: Path) -> tuple[Floats, Floats, Floats, Floats]:
    """Read a redistribution matrix, which may include the effective area.

    Returns
    -------
    low, high
        (N,) edges of photon energies, keV, ascending.
    edges
        (C + 1,) edges of the channels, keV, ascending.
    matrix
        (N, C) values of MATRIX or SPECRESP MATRIX.

    Raises
    ------
    InputError
        If the file is not such a matrix, or its channels or energies are not contiguous.
    """
    with one_line(path, "an OGIP matrix"), open_fits(path) as hdus:
        by_name = {hdu.name: hdu for hdu in hdus}
        table = next((by_name[n] for n in ("MATRIX", "SPECRESP MATRIX") if n in by_name), None)
        bounds = by_name.get("EBOUNDS")
        if table is None or bounds is None:
            raise InputError(
                f"{path}: is no redistribution matrix: it needs EBOUNDS and MATRIX or SPECRESP MATRIX"
            )
        e_low, e_high = _columns(path, bounds, "E_MIN", "E_MAX")
        order = np.argsort(e_low)
        edges = np.append(e_low[order], e_high[order][-1])
        if not (np.diff(edges) > 0).all() or not np.allclose(e_high[order][:-1], edges[1:-1], rtol=1e-3):
            raise InputError(f"{path}: EBOUNDS: the channels must adjoin each other: mend it")
        low, high = _columns(path, table, "ENERG_LO", "ENERG_HI")
        if not ((low >= 0) & (high > low)).all() or not (np.diff(low) > 0).all():
            raise InputError(f"{path}: {table.name}: ENERG_LO and ENERG_HI must rise: mend it")
        matrix = _unpacked(path, table, len(e_low))
    low = np.maximum(low, 1e-6)
    return low, high, edges, matrix[:, order]


def _unpacked(path: Path, table: Any, channels: int) -> Floats:
    """Expand the groups of channels of every row, (N, C) (CAL/GEN/92-002)."""
    columns = [table.columns.names.index(n) for n in ("N_GRP", "F_CHAN", "N_CHAN", "MATRIX")
               if n in table.columns.names]  # fmt: skip
    if len(columns) < 4:
        raise InputError(f"{path}: {table.name}: needs N_GRP, F_CHAN, N_CHAN and MATRIX")
    # TLMIN of F_CHAN is the number of the first channel; the default of the standard is 1.
    first = int(table.header.get(f"TLMIN{columns[1] + 1}", 1))
    groups, begins, counts, values = (table.data.field(k) for k in columns)
    out = np.zeros((len(groups), channels))
    for row in range(len(groups)):
        begin, count = np.atleast_1d(begins[row]), np.atleast_1d(counts[row])
        value, place = np.atleast_1d(values[row]), 0
        for g in range(int(groups[row])):
            start, many = int(begin[g]) - first, int(count[g])
            if start < 0 or many < 0 or start + many > channels or place + many > len(value):
                raise InputError(f"{path}: {table.name}: row {row + 1} has channels that EBOUNDS has not")
            out[row, start : start + many] += value[place : place + many]
            place += many
    if not (np.isfinite(out).all() and (out >= 0).all()):
        raise InputError(f"{path}: {table.name}: elements must be numbers of 0 or more")
    return out


def read_arf(path: Path, low: Floats, high: Floats) -> Floats:
    """Read the effective area at the energies of a matrix, (N,).

    Raises
    ------
    InputError
        If the file has no SPECRESP, or other energies.
    """
    with one_line(path, "an OGIP area"), open_fits(path) as hdus:
        table = next((hdu for hdu in hdus if hdu.name == "SPECRESP"), None)
        if table is None:
            raise InputError(f"{path}: is no area: it needs an extension SPECRESP")
        begin, area = _columns(path, table, "ENERG_LO", "SPECRESP")
    if len(area) != len(low) or not np.allclose(begin, low, rtol=1e-3, atol=1e-3):
        raise InputError(f"{path}: has other energies than the matrix: give those that belong together")
    return area


def _columns(path: Path, hdu: fits.BinTableHDU, *names: str) -> list[Floats]:
    for name in names:
        if name not in hdu.columns.names:
            raise InputError(f"{path}: {hdu.name}: has no column {name}: is it an OGIP file?")
    found = [np.asarray(hdu.data[name], float) for name in names]
    if not all(np.isfinite(values).all() for values in found):
        raise InputError(f"{path}: {hdu.name}: {', '.join(names)} must be finite")
    return found
