"""How products of a run show that its chains have not converged.

`Run.converged` decides; tables, figures, files and commands use the functions here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from astropy.table import QTable

from ridgebayes.errors import RidgeBayesWarning

KEY = "not_converged"
"""Key, in metadata of products and in the record of a run, for the bands that did not converge."""
COLUMN = "converged"
EXIT = 3
"""Exit code of a command whose run did not converge."""


class Judged(Protocol):
    """The attributes of :class:`ridgebayes.runs.run.Run` that this module uses."""

    @property
    def converged(self) -> Mapping[str, bool]:
        """Band → whether its draws may be used."""


def not_converged(run: Judged) -> list[str]:
    """Return the bands that did not converge."""
    return [band for band, well in run.converged.items() if not well]


def words(bands: Iterable[str]) -> str:
    """Format the bands that did not converge; empty if there are none.

    Examples
    --------
    >>> words(["A02", "A03"])
    'not converged: A02, A03'
    """
    bands = list(bands)
    return f"not converged: {', '.join(bands)}" if bands else ""


def mark(run: Judged, table: QTable, bands: Iterable[str] | None = None) -> QTable:
    """Add a column ``converged``, which says whether the bands of each row have converged.

    Parameters
    ----------
    run
        The run.
    table
        Table with a column ``band``; it is changed in place and returned.
    bands
        The bands of every row, if rows combine several.
    """
    well = run.converged
    if bands is None:
        table[COLUMN] = np.array([well[str(band)] for band in table["band"]], bool)
    else:
        table[COLUMN] = np.full(len(table), all(well[str(band)] for band in bands))
    return table


def warn(record: Mapping[str, Any], where: object, *, level: int) -> None:
    """Warn if the record of a run says that it did not converge.

    Parameters
    ----------
    record, where
        Record of the run, and its directory.
    level
        Number of calls from the line of the user to this one: 1 for the line that calls this.
    """
    told = list(record.get("warnings", []))
    # Records of earlier versions have the warnings only.
    bands = record.get(KEY, record.get("data", {}).get("bands", []) if told else [])
    if bands:
        others = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
        reason = f": {told[0]}{others}" if told else ""
        warnings.warn(f"{words(bands)} ({where or 'run in memory'}){reason}", RidgeBayesWarning, level + 1)
