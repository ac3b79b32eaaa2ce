"""A run: a posterior with everything that is needed to use, reload and repeat it.

On disk it is a directory with `posterior.nc` (ArviZ groups), `intensity.ecsv`, `run.toml`, `scws.fits`
(fitted background, sky and noise of every ScW) and `figures/`. It is written whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tomlkit
import xarray as xr
from astropy.table import QTable

from ridgebayes import markup
from ridgebayes.environment import peak_memory_gib
from ridgebayes.errors import InputError, command, counted
from ridgebayes.inference.diagnostics import Diagnosis, diagnose
from ridgebayes.instrument.response import RadialTable
from ridgebayes.io.atomic import make_room, whole_file
from ridgebayes.io.product_tables import readable_by_all
from ridgebayes.runs import convergence
from ridgebayes.runs.fitted_scws import read_scw_fit, write_scw_fit
from ridgebayes.runs.intensity import (
    CALIBRATED,
    calibration,
    calibration_words,
    fov_flux,
    intensity_table,
    main_regions,
)
from ridgebayes.runs.runfiles import check_closed, check_digest, digests, read_record
from ridgebayes.sky import Sky, from_record
from ridgebayes.table.formats import read_scws, write_scws
from ridgebayes.table.scw import ScWTable

POSTERIOR, TABLE, RECORD, SCWS = "posterior.nc", "intensity.ecsv", "run.toml", "scws.fits"
DATA = "data.fits"
"""ScW table of an updated run, if no file has all of its ScWs."""
FIGURES = "figures"
CHECKPOINT = "checkpoint"
"""Folder in a run directory that exists only while the run is being sampled."""


@dataclass(frozen=True, eq=False)
class Run:
    """A sampled posterior.

    Attributes
    ----------
    tree
        ArviZ groups posterior, sample_stats, prior, posterior_predictive, observed_data, constant_data.
    record
        Contents of `run.toml`: model, priors, settings, versions, data.
    path
        The run directory; None for a run in memory.
    fit
        Fitted background, sky and noise of every ScW (see `ridgebayes.runs.fitted_scws`); read on first use.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> run = rb.open_run("runs/first")
    >>> run.intensity().mean(("chain", "draw")).dims  # mCrab/deg²
    ('band', 'region')
    >>> run.table()["mean"].unit
    Unit("mCrab / deg2")
    >>> run.verdict
    'converged: the chains agree'
    """

    tree: xr.DataTree
    record: dict[str, Any] = field(repr=False)
    path: Path | None = None
    fit: QTable | None = field(default=None, repr=False)

    @classmethod
    def open(cls, path: str | Path, *, level: int = 1) -> Run:
        """Read a run directory, with a `RidgeBayesWarning` if it has not converged.

        Parameters
        ----------
        path
            The directory.
        level
            Number of calls between this one and the line that the warning names.

        Raises
        ------
        InputError
            If it is not a run directory, or is incomplete.
        """
        path = Path(path)
        _settle(path)
        for name in (RECORD, POSTERIOR):
            if not (path / name).is_file():
                if (path / CHECKPOINT / RECORD).is_file():
                    raise InputError(f"{path}: is unfinished: go on with `{command('resume', path)}`")
                raise InputError(f"{path}: not a run directory ({name} is missing): give the folder of a fit")
        record = read_record(path / RECORD)
        check_closed(path / POSTERIOR)
        check_digest(path, POSTERIOR, record)  # HDF5 can crash on a changed byte
        try:
            with xr.open_datatree(path / POSTERIOR, engine="h5netcdf") as tree:
                run = cls(tree.load(), record, path)
        except Exception as error:  # whatever HDF5 does with a broken file
            raise InputError(f"{path}: cannot be read ({str(error)[:160]}): fit again") from error
        convergence.warn(record, path, level=level + 1)
        return run

    def save(self, path: str | Path, *, overwrite: bool = False, data: ScWTable | None = None) -> Run:
        """Write the run directory, whole or not at all, and return the run with this path.

        Parameters
        ----------
        path
            The directory.
        overwrite
            Replace an existing one.
        data
            ScW table to write into it.

        Raises
        ------
        InputError
            When the directory exists and `overwrite` is False, or cannot be written.
        """
        path = Path(path)
        check_free(path, overwrite=overwrite)
        try:
            scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        here, before = self._moved(path, self.record), peak_memory_gib()
        try:
            make_room(scratch / POSTERIOR, _size(self.tree))
            self.tree.to_netcdf(scratch / POSTERIOR, engine="h5netcdf")
            readable_by_all(here.table()).write(scratch / TABLE, format="ascii.ecsv")
            if self.fit is not None:
                write_scw_fit(self.fit, scratch / SCWS)
            if data is not None:
                write_scws(data, scratch / DATA)
            record = self.record | {"files": digests(scratch, (POSTERIOR, SCWS))}
            if peak_memory_gib() > before:
                record["peak_memory_gib"] = round(peak_memory_gib(), 2)
            (scratch / RECORD).write_text(tomlkit.dumps(record), encoding="utf-8")
            (scratch / FIGURES).mkdir()
            _replace(scratch, path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return here._moved(path, record)

    def noted(self, name: str, told: Any) -> Run:
        """Add an entry to the record, also on disk, and return the run with it.

        Raises
        ------
        InputError
            When `run.toml` cannot be written.
        """
        record = self.record | {name: told}
        if self.path is None:
            return replace(self, record=record)
        with whole_file(self.path / RECORD) as scratch:
            scratch.write_text(tomlkit.dumps(record), encoding="utf-8")
        return self._moved(self.path, record)

    def __str__(self) -> str:
        """Summary of the run in some ten lines; the last is the verdict on its convergence."""
        data, sampling = self.record["data"], self.record["sampling"]
        lines = [
            f"run of model {self.record['model']['name']!r}{': simulated data' if self.simulated else ''}",
            f"path: {self.path or 'in memory'}",
            f"data: {data['path'] or 'in memory'}, bands {', '.join(data['bands'])}{_tracers(data)}",
            f"{counted(sampling['chains'], 'chain')} of {sampling['draws']} draws, seed {sampling['seed']}",
            calibration_words(self),
            self.diagnosis.in_short,
        ]
        lines += [f"warning: {warning}" for warning in self.diagnosis.warnings[:3]]
        return "\n".join([*lines, self.verdict])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        title, *lines = str(self).splitlines()
        table = main_regions(self.table())
        pages = [markup.lines(lines)]
        if table.colnames:
            truth = ["fov_truth"] if "fov_truth" in table.colnames else []
            shown = ("region", "band", "mean", "sd", "lo", "hi", "fov_mean", "fov_sd", *truth)
            head = ("region", "band", "intensity, mCrab/deg²", "sd", "3 %", "97 %", "FOV flux, mCrab", "sd")
            rows = [[getattr(row[name], "value", row[name]) for name in shown] for row in table]
            rows = [[float(x) if i > 1 else str(x) for i, x in enumerate(row)] for row in rows]
            pages.append(markup.table((*head, *(["truth"] if truth else [])), rows))
            pages.append(markup.lines([f"the regions measured best; all {len(self.sky.names)}: run.table()"]))
        return markup.page(title, *pages)

    def _moved(self, path: Path, record: dict[str, Any]) -> Run:
        """Return the run with another path; keep the diagnosis, which takes seconds for many bands."""
        moved = Run(self.tree, record, path, self.fit)
        moved.__dict__["diagnosis"] = self.diagnosis
        return moved

    @cached_property
    def converged(self) -> dict[str, bool]:
        """Band → whether its draws may be used; all products check this."""
        return {str(band): not self.diagnosis.fails(str(band)) for band in self.record["data"]["bands"]}

    @property
    def verdict(self) -> str:
        """One line that says whether the draws may be used."""
        stopped = f"; stopped {self.record['stopped']}" if self.record.get("stopped") else ""
        failed = convergence.not_converged(self)
        if not failed:
            return f"converged: the chains agree{stopped}"
        which = "" if len(failed) == len(self.converged) else f" in {', '.join(failed)}"
        return f"NOT CONVERGED{which}{stopped}: do not use these numbers; see docs/troubleshooting.md"

    @property
    def simulated(self) -> bool:
        """True if the data were simulated."""
        return bool(self.record["data"]["simulated"])

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """R-hat, ESS, divergences and warnings."""
        return diagnose(self.tree, self.record.get("stopped", ""))

    @cached_property
    def scws(self) -> QTable:
        """Fitted background, sky and noise, one row for each ScW (see `ridgebayes.runs.fitted_scws`).

        Raises
        ------
        InputError
            If the run does not have this table.
        """
        if self.fit is not None:
            return self.fit
        if self.path is None or not (self.path / SCWS).is_file():
            raise InputError(f"{self.path or 'the run'}: {SCWS} is missing: fit again")
        check_digest(self.path, SCWS, self.record)
        return read_scw_fit(self.path / SCWS)

    @cached_property
    def sky(self) -> Sky:
        """The sky regions of the model."""
        return from_record(self.record["sky"])

    @property
    def response(self) -> RadialTable:
        """The response of the instrument, averaged over roll."""
        constant = self.tree["constant_data"].dataset
        return RadialTable(constant["response_angle"].values, constant["response_averaged"].values)

    def data(self, path: str | Path | None = None) -> ScWTable:
        """Read the fitted ScW rate table, in the fitted bands.

        Parameters
        ----------
        path
            The table, if it has been moved since.

        Raises
        ------
        InputError
            If it is missing or has changed.
        """
        return read_fitted(self.record, path)

    @property
    def calibrated(self) -> Run:
        """The run with draws calibrated by revolution instead of the posterior draws.

        Raises
        ------
        InputError
            If the intervals of the run are not calibrated, with the reason.
        """
        if CALIBRATED not in self.tree.children:
            reason = calibration(self.record)
            raise InputError(f"{self.path or 'the run'}: its intervals are not calibrated ({reason})")
        return self._with_posterior(CALIBRATED)

    @property
    def plain(self) -> Run:
        """The run with the posterior's own draws, which all that weights draws by a density needs."""
        plain: Run = self.__dict__.get("_plain", self)
        return plain

    @property
    def best(self) -> Run:
        """The run with calibrated draws if it has them, else the run itself."""
        return self.calibrated if CALIBRATED in self.tree.children else self

    def _with_posterior(self, group: str) -> Run:
        groups = {name: child.to_dataset(inherit=False) for name, child in self.tree.children.items()}
        groups["posterior"] = groups.pop(group)
        tree = xr.DataTree.from_dict(groups)
        tree.attrs.update(self.tree.attrs)
        other = Run(tree, self.record | {"draws": group}, self.path, self.fit)
        other.__dict__["diagnosis"] = self.diagnosis  # of the chains, which calibration does not change
        other.__dict__["_plain"] = self
        return other

    def intensity(self) -> xr.DataArray:
        """Intensity, mCrab/deg²; axes chain, draw, band, region."""
        return self.tree["posterior"].dataset["sky.intensity"]

    def fov_flux(self) -> xr.DataArray:
        """Flux in the field of view of a pointing at each region, mCrab; axes chain, draw, band, region."""
        return fov_flux(self.tree)

    def table(self) -> QTable:
        """Intensity and FOV flux of every region and band, with units and warnings."""
        return intensity_table(self)


def open_run(path: str | Path) -> Run:
    """Read a run directory that a fit wrote.

    Parameters
    ----------
    path
        The directory: ``--out`` of ``ridgebayes fit``, `out` of `ridgebayes.sample`.

    Raises
    ------
    InputError
        When it is not one, or is not whole.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> run = rb.open_run("runs/first")
    >>> run.record["sampling"]["chains"]
    4
    """
    return Run.open(path, level=2)


def as_run(run: Run | str | Path) -> Run:
    """Return a run with its posterior's own draws, or read the directory that is named in its place.

    To be called by functions that a user calls: a warning names the line of the user.

    Raises
    ------
    InputError
        When it is neither, or is not whole.
    """
    if isinstance(run, Run):
        return run.plain
    if isinstance(run, str | Path):
        return Run.open(run, level=3)
    raise InputError(f"run: is of type {type(run).__name__}: give a run, as rb.open_run(...) reads one")


def _tracers(data: Mapping[str, Any]) -> str:
    names = data.get("tracer_bands")
    return f", background after {', '.join(names)}" if names else ""


def _size(tree: xr.DataTree) -> int:
    """Upper limit of the bytes that a tree takes on disk."""
    each = [
        variable for group in tree.subtree for variable in group.to_dataset(inherit=False).variables.values()
    ]
    return 2**17 + sum(variable.nbytes + 2**13 for variable in each)


def read_fitted(record: Mapping[str, Any], path: str | Path | None = None) -> ScWTable:
    """Read the ScW rate table that a record names, in its bands (see `Run.data`)."""
    told = record["data"]
    where = Path(path or told["path"])
    if not (path or told["path"]) or not where.is_file():
        raise InputError(f"{where}: the table that was fitted is not there: say where it is (scws=...)")
    scws = read_scws(where).with_tracer_bands(told.get("tracer_bands", ())).take_bands(told["bands"])
    if scws.fingerprint() != told["fingerprint"]:
        raise InputError(f"{where}: is not the table that was fitted: say where that is (scws=...)")
    return scws


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a run directory that cannot be written, before hours are spent on sampling."""
    _settle(path)
    if path.exists() and not overwrite:
        if (path / CHECKPOINT / RECORD).is_file():
            raise InputError(
                f"{path}: holds an unfinished run: go on with `{command('resume', path)}`, or overwrite=True"
            )
        raise InputError(f"{path}: exists already: choose another place, or overwrite=True")
    ours = (path / RECORD).is_file() or (path / CHECKPOINT).is_dir()
    if path.exists() and not ours and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(
            f"{path}: exists and is not a run directory, so it is not overwritten: choose another place"
        )
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{parent}: cannot be made ({error.strerror}): choose another place") from error
    if not os.access(parent, os.W_OK):
        raise InputError(f"{parent}: cannot be written: choose another place")


def _replace(new: Path, path: Path) -> None:
    """Replace a directory by a new one; after an interruption at any time `_settle` completes it."""
    ready = _ready(path)
    if ready.exists():
        shutil.rmtree(ready)
    new.replace(ready)
    ready.chmod(0o755)
    _settle(path)


def _settle(path: Path) -> None:
    """Move a complete directory that waits beside `path` to `path`."""
    ready = _ready(path)
    if ready.is_dir():
        if path.exists():
            shutil.rmtree(path)
        ready.replace(path)


def _ready(path: Path) -> Path:
    return path.parent / f".{path.name}.complete"
