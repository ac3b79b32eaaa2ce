"""The folder of a campaign: `sbc.toml` says what is simulated and fitted, `ranks.csv` holds a line a simulation.

Lines are written whole, as simulations end. A process that is killed loses what it was working on, no more.
"""

from __future__ import annotations

import csv
import io
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.files import whole_file
from ridgebayes.sbc.one import Result

RECORD, TABLE, LOCK = "sbc.toml", "ranks.csv", ".lock"
_OWN = tuple(name for name in Result._fields if name != "ranks")
"""Columns of the table before those of the quantities."""
_SAME = ("model", "sky", "response", "data", "sbc", "versions", "ridgebayes")
"""What must be the same in a campaign that goes on."""
_PLACES = ("path", "osa_version")
"""What of the data may differ."""


@dataclass(frozen=True)
class Ranks:
    """What a campaign has found so far, in order of the simulations.

    Attributes
    ----------
    record
        What is simulated and fitted.
    quantities
        Such as ``sky.intensity[A01,GB]``.
    values
        Draws below the truth, (simulation, quantity), each from 0 to `draws`.
    results
        Diagnostics of every simulation, those included that failed.
    """

    record: dict[str, Any]
    quantities: tuple[str, ...]
    values: NDArray[np.intp]
    results: tuple[Result, ...]

    @property
    def draws(self) -> int:
        """Posterior draws among which a truth is ranked."""
        return int(self.record["sbc"]["draws"])

    @property
    def failures(self) -> dict[int, str]:
        """Simulation → why it has no ranks."""
        return {r.number: r.failed for r in self.results if r.failed}

    def of(self, parameter: str) -> dict[str, NDArray[np.intp]]:
        """Return element → ranks (simulation,) of one parameter or derived quantity."""
        return {
            name: self.values[:, k]
            for k, name in enumerate(self.quantities)
            if name.partition("[")[0] == parameter
        }

    @property
    def parameters(self) -> tuple[str, ...]:
        """Parameters and derived quantities, elements apart."""
        return tuple(dict.fromkeys(name.partition("[")[0] for name in self.quantities))


class Folder:
    """A campaign that runs; only one process at a time has it.

    Parameters
    ----------
    path
        The folder; made where there is none.
    record
        What is to be simulated and fitted.

    Raises
    ------
    InputError
        When another process has it, it cannot be written, or it holds another campaign.
    """

    def __init__(self, path: Path, record: Mapping[str, Any]) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / LOCK)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{path}: another process is at this campaign: wait, or give another --out"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}): choose another --out") from error
        try:
            self._begin(record)
        except BaseException:
            self.close()
            raise

    def _begin(self, record: Mapping[str, Any]) -> None:
        if not (self.path / RECORD).is_file():
            text = tomlkit.dumps(record)
            with whole_file(self.path / RECORD) as new:
                new.write_text(text, encoding="utf-8")
        before = read_record(self.path)
        for what in _SAME:
            if _compared(before, what) != _compared(record, what):
                raise InputError(f"{self.path}: holds a campaign with another {what}: give another --out")
        table = self.path / TABLE
        if table.exists():
            whole = _whole_lines(table.read_bytes())
            with table.open("r+b") as file:
                file.truncate(len(whole))

    def done(self) -> set[int]:
        """Return the numbers of the simulations that are there."""
        return {result.number for result in _read(self.path / TABLE)[1]}

    def add(self, result: Result) -> None:
        """Write the line of a simulation."""
        table = self.path / TABLE
        new = not table.exists() or table.stat().st_size == 0
        if new and not result.ranks:
            # The columns are not known before the first that succeeds.
            columns: tuple[str, ...] = _OWN
        else:
            columns = (*_OWN, *result.ranks) if new else _read(table)[0]
        lines = [columns] if new else []
        if not new and result.ranks and len(columns) == len(_OWN):
            raise InputError(f"{table}: all simulations so far have failed: remove it")
        ranks = [result.ranks.get(name, "") for name in columns[len(_OWN) :]]
        lines.append((*(getattr(result, name) for name in _OWN), *ranks))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        with table.open("ab", buffering=0) as file:
            file.write(text.getvalue().encode())
            os.fsync(file.fileno())

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.release()
