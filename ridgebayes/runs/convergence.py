"""What everything made from a run says where its chains did not converge.

`Run.converged` decides; tables, figures, files and commands ask here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from astropy.table import QTable

from ridgebayes.errors import RidgeBayesWarning

KEY = "not_converged"
"""Of the metadata of products and of the record of a run: the bands that did not converge."""
COLUMN = "converged"
EXIT = 3
"""Exit code of a command that has written a run which did not converge."""


class Judged(Protocol):
    """What is needed of a :class:`ridgebayes.runs.run.Run`."""

    @property
    def converged(self) -> Mapping[str, bool]:
        """Band → whether its draws may be used."""


def not_converged(run: Judged) -> list[str]:
    """Return the bands that did not converge."""
    return [band for band, well in run.converged.items() if not well]


def words(bands: Iterable[str]) -> str:
    """Say which bands did not converge; empty where there is none.

    Examples
    --------
    >>> words(["A02", "A03"])
    'not converged: A02, A03'
    """
    bands = list(bands)
    return f"not converged: {', '.join(bands)}" if bands else ""


def mark(run: Judged, table: QTable, bands: Iterable[str] | None = None) -> QTable:
    """Say of every row whether what it is made of converged: a column ``converged``, which is False or True.

    Parameters
    ----------
    run
        The run.
    table
        With a column ``band``; changed in place, and returned.
    bands
        Where every row is made of several bands: these.
    """
    well = run.converged
    if bands is None:
        table[COLUMN] = np.array([well[str(band)] for band in table["band"]], bool)
    else:
        table[COLUMN] = np.full(len(table), all(well[str(band)] for band in bands))
    return table


def warn(record: Mapping[str, Any], where: object, *, level: int) -> None:
    """Warn of a run that did not converge, as its record says.

    Parameters
    ----------
    record, where
        Of the run; the run directory.
    level
        How many calls out the line of the user is: 1 for the line that calls this.
    """
    told = list(record.get("warnings", []))
    # Runs of earlier versions tell the warnings only.
    bands = record.get(KEY, record.get("data", {}).get("bands", []) if told else [])
    if bands:
        others = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
        reason = f": {told[0]}{others}" if told else ""
        warnings.warn(f"{words(bands)} ({where or 'run in memory'}){reason}", RidgeBayesWarning, level + 1)
