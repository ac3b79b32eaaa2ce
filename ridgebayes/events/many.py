"""Rates of many event lists: in parallel and resumable; unusable files are reported and skipped.

The rates of each event list are kept in a separate file, named after the event list, its size and date, the
bands and the cuts. Files are written atomically, so a run that was stopped can be resumed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ridgebayes.errors import InputError
from ridgebayes.events.pif import read_pifs
from ridgebayes.events.rates import Cuts, ScWRates, measure
from ridgebayes.events.reading import read_events
from ridgebayes.io.atomic import whole_file
from ridgebayes.parallel.scheduler import Scheduler
from ridgebayes.parallel.tasks import run
from ridgebayes.table.scw import Band

_METHOD = 1  # increase it when the same cuts give other rates: this invalidates kept results


@dataclass
class Outcome:
    """Results of many event lists.

    Parameters
    ----------
    rates
        Rates in the order of SCW_ID.
    skipped
        One line for each unusable event list, with the reason.
    reused
        Number of event lists whose rates were kept from an earlier run.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ridgebayes.events import measure_files, parse_bands
    >>> done = measure_files([Path("missing.fits")], parse_bands("25-60"))
    >>> list(done.skipped.values())
    ['missing.fits: no such file: check the name']
    """

    rates: list[ScWRates] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)
    reused: int = 0


@dataclass(frozen=True)
class _Job:
    bands: tuple[Band, ...]
    cuts: Cuts
    pifs: Mapping[str, tuple[str, ...]]  # SCW_ID → PIF files
    folder: Path | None

    def __call__(self, path: Path) -> ScWRates | str:
        """Measure one event list, or return a one-line reason why it cannot be used."""
        try:
            events = read_events(path)
            chosen = [pif for file in self.pifs.get(events.scw_id, ()) for pif in read_pifs(file)]
            pifs = [pif for pif in chosen if pif.scw_id == events.scw_id]
            return measure(events, self.bands, pifs, self.cuts)
        except InputError as error:
            return str(error)
        except Exception as error:  # no error in one file may stop the others
            return f"{path}: {type(error).__name__}: {' '.join(str(error).split())[:160]}"


def measure_files(
    paths: Sequence[Path],
    bands: Sequence[Band],
    *,
    pifs: Sequence[Path] = (),
    cuts: Cuts | None = None,
    folder: Path | None = None,
    scheduler: str | None = "local:1",
    progress: Callable[[], object] = lambda: None,
) -> Outcome:
    """Measure the rates of many event lists.

    Parameters
    ----------
    paths
        Event lists, one for each ScW.
    bands, cuts
        As for :func:`ridgebayes.events.rates.measure`.
    pifs
        PIF files; each is used for the event list of the same SWID.
    folder
        Folder for finished rates, created if missing. With None nothing is kept.
    scheduler
        Where event lists are measured: by default in this process; ``"local"``, a process on every core;
        ``"local:4"``, four processes; or the address of a Dask scheduler, whose workers must find the files
        under the same paths. An event list of one hour takes 0.5 GB of memory.
    progress
        Called after each event list.

    Raises
    ------
    InputError
        If a PIF file cannot be used (its sources would not be removed), the folder cannot be written, or a
        process was killed. Unusable event lists do not raise.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ridgebayes.events import measure_files, parse_bands
    >>> done = measure_files([Path("isgri_events.fits")], parse_bands("25-60,60-80"))
    >>> len(done.rates), done.skipped
    (1, {})
    """
    place = Scheduler.of(scheduler)
    job = _Job(tuple(bands), cuts or Cuts(), _by_scw(pifs), folder)
    if folder is not None:
        _make(folder)
    outcome = Outcome()
    found: dict[Path, ScWRates] = {}
    waiting = []
    # Workers on other machines have other working directories.
    given = [Path(p).expanduser().absolute() if place.address else Path(p).expanduser() for p in paths]
    for path in dict.fromkeys(given):
        kept = _kept(job, path)
        if kept is None:
            waiting.append(path)
        else:
            found[path] = kept
            outcome.reused += 1
            progress()
    for path, result in run(job, waiting, place):
        if isinstance(result, ScWRates):
            _keep(job, path, result)
            found[path] = result
        else:
            outcome.skipped[path] = result
        progress()
    _collect(outcome, found)
    return outcome


def _collect(outcome: Outcome, found: dict[Path, ScWRates]) -> None:
    first: dict[str, Path] = {}
    for path in sorted(found):
        rates = found[path]
        other = first.setdefault(rates.scw_id, path)
        if other == path:
            outcome.rates.append(rates)
        else:
            outcome.skipped[path] = f"{path}: the same ScW {rates.scw_id} as {other}: give it once"
    outcome.rates.sort(key=lambda rates: rates.scw_id)


def _by_scw(paths: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    files: dict[str, list[str]] = {}
    for path in paths:
        for scw_id in sorted({pif.scw_id for pif in read_pifs(path)}):
            files.setdefault(scw_id, []).append(str(Path(path).expanduser()))
    return {scw_id: tuple(names) for scw_id, names in files.items()}


def _identity(path: str | Path) -> list[Any]:
    stat = os.stat(path)
    return [os.path.realpath(path), stat.st_size, stat.st_mtime_ns]


def _file(job: _Job, path: Path) -> Path:
    """Return the name of the file that keeps the rates of an event list."""
    assert job.folder is not None
    bands = [[band.e_min, band.e_max] for band in job.bands]
    what = json.dumps([_METHOD, _identity(path), bands, dataclasses.asdict(job.cuts)])
    stem = path.name.split(".")[0]
    return job.folder / f"{stem}-{hashlib.sha256(what.encode()).hexdigest()[:20]}.json"


def _kept(job: _Job, path: Path) -> ScWRates | None:
    """Return the kept rates of an event list with the same PIFs, or None."""
    if job.folder is None:
        return None
    try:
        content = json.loads(_file(job, path).read_text(encoding="utf-8"))
        rates = ScWRates(**content["rates"])
        same = content["pifs"] == [_identity(file) for file in job.pifs.get(rates.scw_id, ())]
        same &= content["digest"] == _digest(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return dataclasses.replace(rates, source=str(path)) if same else None


def _keep(job: _Job, path: Path, rates: ScWRates) -> None:
    if job.folder is None:
        return
    file = _file(job, path)
    content = {"pifs": [_identity(f) for f in job.pifs.get(rates.scw_id, ())], "rates": rates.as_dict()}
    with whole_file(file) as scratch:
        scratch.write_text(json.dumps(content | {"digest": _digest(content)}), encoding="utf-8")


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of kept rates, to detect damaged files."""
    kept = json.dumps([content["pifs"], content["rates"]])
    return hashlib.sha256(kept.encode()).hexdigest()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}): choose another place") from error
