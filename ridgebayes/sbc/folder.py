"""A campaign on disk: `sbc.toml` records model and data, `simulations.jsonl` the results.

See `ridgebayes.io.ledger`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ridgebayes.errors import InputError, command
from ridgebayes.io.ledger import Ledger, read_lines, read_record
from ridgebayes.parallel.software import check_same, recorded
from ridgebayes.sbc.one import Result

RECORD, TABLE = "sbc.toml", "simulations.jsonl"
_SAME = ("model", "sky", "response", "sbc")


@dataclass(frozen=True)
class Ranks:
    """Results of a campaign so far, in order of the simulations.

    Attributes
    ----------
    record
        Record of model and data.
    quantities
        Names of quantities, such as ``sky.intensity[A01,GB]``.
    values
        Numbers of draws below the truth, 0 to `draws`, (simulation, quantity), without failed simulations.
    results
        Results of all simulations, including failed ones.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.sbc import Ranks
    >>> names = ("sky.intensity[A01,GB]", "crab.rate[A01]")
    >>> ranks = Ranks({"sbc": {"draws": 9}}, names, np.array([[3, 7], [0, 9]]), results=())
    >>> ranks.parameters, ranks.of("crab.rate")
    (('sky.intensity', 'crab.rate'), {'crab.rate[A01]': array([7, 9])})
    """

    record: dict[str, Any]
    quantities: tuple[str, ...]
    values: NDArray[np.intp]
    results: tuple[Result, ...]

    @property
    def draws(self) -> int:
        """Number of posterior draws for the ranks."""
        return int(self.record["sbc"]["draws"])

    @property
    def failures(self) -> dict[int, str]:
        """Failed simulation → reason."""
        return {r.number: r.failed for r in self.results if r.failed}

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of parameters and derived quantities, without elements."""
        return tuple(dict.fromkeys(parameter_of(name) for name in self.quantities))

    def of(self, parameter: str) -> dict[str, NDArray[np.intp]]:
        """Return element → ranks (simulation,) of one parameter or derived quantity."""
        return {
            name: self.values[:, k]
            for k, name in enumerate(self.quantities)
            if parameter_of(name) == parameter
        }


def parameter_of(quantity: str) -> str:
    """Return ``sky.intensity`` for ``sky.intensity[A01,GB]``."""
    return quantity.partition("[")[0]


def read_ranks(path: str | Path) -> Ranks:
    """Read the results of a campaign so far; it may still be running.

    Parameters
    ----------
    path
        Folder of the campaign.

    Raises
    ------
    InputError
        If it contains no campaign, or no successful simulation.
    """
    path = Path(path)
    record = read_record(path, RECORD, command("sbc", "--out", path))
    results = tuple(sorted(_read(path / TABLE), key=lambda result: result.number))
    ranked = [result.ranks for result in results if not result.failed]
    if not ranked:
        why = f" (the first failed: {results[0].failed})" if results else ""
        raise InputError(f"{path}: no simulation has succeeded yet{why}")
    quantities = tuple(ranked[0])
    values = np.array([[ranks[name] for name in quantities] for ranks in ranked], np.intp)
    return Ranks(record, quantities, values, results)


class Folder:
    """The folder of a running campaign, locked by one process at a time.

    Parameters
    ----------
    path
        The folder, created if missing.
    record
        Record of model and data.

    Raises
    ------
    InputError
        If another process has locked it, it cannot be written, or it contains another campaign.
    """

    def __init__(self, path: Path, record: Mapping[str, Any]) -> None:
        self.ledger = Ledger(path, RECORD, TABLE, record, lambda then: _check_same(then, record, path))

    def done(self) -> set[int]:
        """Return the numbers of finished simulations."""
        return {result.number for result in _read(self.ledger.table)}

    def add(self, result: Result) -> None:
        """Append the result of a simulation."""
        self.ledger.add(result._asdict())

    def close(self) -> None:
        """Unlock the folder."""
        self.ledger.close()


def _check_same(then: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> bool:
    """Raise if the folder contains another campaign; the existing record is kept."""
    remedy = "give another folder"
    for what in _SAME:
        if not _alike(then[what], now[what]):
            raise InputError(f"{path}: holds a campaign with {_difference(then, now, what)}: {remedy}")
    if then["data"]["fingerprint"] != now["data"]["fingerprint"]:
        raise InputError(f"{path}: holds a campaign on other ScWs: {remedy}")
    if not _alike(then["data"]["crab_rate"], now["data"]["crab_rate"]):
        raise InputError(f"{path}: holds a campaign with another Crab rate: {remedy}")
    check_same(then, path, remedy, recorded(now))
    return False


def _alike(then: Any, now: Any) -> bool:
    """Compare as text, because values may be NaN (the Crab rate of a model that needs none)."""
    return json.dumps(then, sort_keys=True) == json.dumps(now, sort_keys=True)


def _difference(then: Mapping[str, Any], now: Mapping[str, Any], what: str) -> str:
    """Describe the difference in one line."""
    old, new = then[what], now[what]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(n for n in new if n not in old)]:
            if _alike(old.get(name), new.get(name)):
                continue
            if name == "priors":
                return _difference(old, new, "priors")
            values = [str(x.get(name, "none")) for x in (old, new)]
            if max(map(len, values)) < 60:
                return f"{name} {values[0]}, and this has {values[1]}"
            return f"another {what} ({name})"
    return f"another {what}"


def _read(table: Path) -> list[Result]:
    found: dict[int, Result] = {}
    for n, told in enumerate(read_lines(table), start=1):
        given: Any = {name: np.nan if value is None else value for name, value in told.items()}
        try:
            result = Result(**given)
        except TypeError as error:
            raise InputError(f"{table}, line {n}: cannot be read ({error}): remove that line") from error
        found[result.number] = result
    return list(found.values())
