"""Sample a model, or resume an interrupted fit; both return a `Run`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ridgebayes.errors import InputError, counted
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.runner import Clock
from ridgebayes.inference.settings import Device, Settings, resolve_device
from ridgebayes.instrument.response import Response
from ridgebayes.likelihood.design import FitData, Prepared, prepare
from ridgebayes.likelihood.reference import Scales
from ridgebayes.model import Model
from ridgebayes.model.components import CRAB
from ridgebayes.model.extensions import EXTRAS
from ridgebayes.parallel.scheduler import Scheduler
from ridgebayes.parallel.software import check_same
from ridgebayes.priors.text import spell
from ridgebayes.runs import convergence
from ridgebayes.runs.assemble import build_run, few_draws
from ridgebayes.runs.checkpoint import Checkpoint
from ridgebayes.runs.elsewhere import Fits, run_anywhere
from ridgebayes.runs.metadata import record_of, recorded_model, recorded_response
from ridgebayes.runs.run import Run, check_free, read_fitted
from ridgebayes.runs.sent import Sent
from ridgebayes.table.formats import as_scws
from ridgebayes.table.scw import ScWTable

logger = logging.getLogger(__name__)


def sample(
    model: Model,
    scws: ScWTable | str | Path,
    *,
    out: str | Path | None = None,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    settings: Settings | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    max_time: float | None = None,
    scheduler: str | None = None,
    **changes: Any,
) -> Run:
    """Sample the posterior of a model.

    Parameters
    ----------
    model
        The model, such as ``ridgebayes.models.regions(sky)``.
    scws
        The ScW rate table, or its file.
    out
        Run directory to write; None keeps the run in memory. It stores the progress of the chains, for
        `resume`.
    response
        Response of the instrument; the trapezoid by default.
    crab_rate
        Crab rate by band in cts/s, if no ScW contains the Crab. It is fixed unless the model has another than
        the default prior for ``crab.rate``, the rate over the given one.
    settings
        Chains, draws, seed; or give them as keywords: ``sample(..., chains=4, draws=500, seed=1)``.
    workers
        Chains that a process runs at a time; by default as many as it has cores.
    overwrite
        Replace an existing run directory, with the products, checks and report in it.
    progress
        Show a progress bar on stderr; by default in a terminal and in a notebook.
    max_time
        Minutes after which the chains stop. The run then has as many draws as the shortest chain, and an
        entry ``stopped`` in its record.
    scheduler
        Where the independent fits (one for each band) run: by default in this process; ``"local:4"`` for four
        other processes; or the address of a Dask scheduler. Draws are the same bit for bit.

    Returns
    -------
    Run
        Posterior, diagnostics and products. If chains have not converged, `Run.converged` says for which
        bands, and a `RidgeBayesWarning` is given.

    Raises
    ------
    InputError
        Bad settings, an existing run directory, no Crab calibration, stopped with too few draws.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> sky = rb.sky.load("coarse").select(["L-20", "GB", "L+20"])
    >>> scws = rb.read_scws("mission.fits")
    >>> run = rb.sample(rb.models.regions(sky), scws, draws=250, seed=1, progress=False)
    >>> run.intensity().dims
    ('chain', 'draw', 'band', 'region')
    """
    settings = (settings or Settings()).changed(changes, inspect.signature(sample).parameters)
    clock = Clock()
    if out is not None:
        check_free(Path(out), overwrite=overwrite)
    scws = as_scws(scws)
    model, prepared = meet(model, scws, response=response, crab_rate=crab_rate)
    how = _how(workers, progress, max_time, scheduler)
    check_devices(settings, how["place"])
    if out is None:
        return _warned(_sampled(model, prepared, settings, clock, **how))
    device = resolve_device(
        settings.chains * len(independent(model, prepared.data)), workers, settings.devices
    )
    checkpoint = Checkpoint.begin(Path(out), record_of(model, prepared, settings, device), prepared.response)
    return _warned(_kept(checkpoint, model, prepared, settings, clock, **how))


def resume(
    out: str | Path,
    *,
    scws: ScWTable | str | Path | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    max_time: float | None = None,
    scheduler: str | None = None,
) -> Run:
    """Resume an interrupted run; the draws are the same, bit for bit, as without the interruption.

    Parameters
    ----------
    out
        Its run directory.
    scws
        The fitted ScW table or its path, if it has been moved since.
    workers, progress, max_time, scheduler
        As in `sample`.

    Raises
    ------
    InputError
        If there is nothing to resume, if the data have changed, or if the installed versions of the software
        would give other numbers.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> try:
    ...     rb.resume("runs/first")
    ... except rb.InputError as error:
    ...     print(error)
    runs/first: is complete: there is nothing to resume
    """
    out, clock = Path(out), Clock()
    how = _how(workers, progress, max_time, scheduler)
    checkpoint = Checkpoint.open(out)
    try:
        record = checkpoint.record
        check_same(record, out, "fit again with overwrite=True")
        table = scws if isinstance(scws, ScWTable) else read_fitted(record, scws)
        model, prepared = meet(
            recorded_model(record, out),
            table,
            response=recorded_response(record, out, checkpoint.response),
            crab_rate=record["data"]["crab_rate"] or None,
        )
        settings = Settings.recorded(record)
        check_devices(settings, how["place"])
        _check_same(record, record_of(model, prepared, settings, Device("", "", 1)), out)
    except BaseException:
        checkpoint.close()
        raise
    return _warned(_kept(checkpoint, model, prepared, settings, clock, **how))


def _how(
    workers: int | None, progress: bool | None, max_time: float | None, scheduler: str | None
) -> dict[str, Any]:
    place = place_of(scheduler, max_time)
    return {"workers": workers, "progress": progress, "max_time": max_time, "place": place}


def place_of(scheduler: str | None, max_time: float | None) -> Scheduler:
    """Read where chains run, and refuse `max_time` unless it is this process."""
    place = Scheduler.of(scheduler)
    if max_time is not None and not place.here:
        raise InputError("max_time=... is for a fit in this process: leave it away, or scheduler=...")
    return place


def check_devices(settings: Settings, place: Scheduler) -> None:
    """Refuse several devices unless chains run in this process."""
    if settings.devices > 1 and not place.here:
        raise InputError(
            f"devices={settings.devices}: is for a fit in this process: leave scheduler=... away"
        )


def _warned(run: Run) -> Run:
    """Warn of bands that have not converged, with the line of the user."""
    convergence.warn(run.record, run.path, level=3)
    return run


def _check_same(then: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    """Refuse if the rebuilt model or the data differ from those on record."""
    differs = {f"another {what}": then[what] != now[what] for what in ("model", "sky", "response")}
    differs["other data"] = then["data"]["fingerprint"] != now["data"]["fingerprint"]
    for other in differs:
        if differs[other]:
            raise InputError(f"{out}: was begun with {other}: fit again with overwrite=True")


def _kept(checkpoint: Checkpoint, model: Model, prepared: Prepared, *given: Any, **options: Any) -> Run:
    """Sample with a checkpoint, and replace it by the finished run."""
    try:
        run = _sampled(model, prepared, *given, checkpoint=checkpoint, **options)
        saved = run.save(checkpoint.run, overwrite=True)
    except BaseException:
        checkpoint.close()
        raise
    checkpoint.close(remove=True)
    return saved


def _sampled(
    model: Model,
    prepared: Prepared,
    settings: Settings,
    clock: Clock,
    *,
    workers: int | None,
    progress: bool | None,
    max_time: float | None,
    place: Scheduler,
    checkpoint: Checkpoint | None = None,
) -> Run:
    parts = independent(model, prepared.data)
    device = resolve_device(len(parts) * settings.chains, workers, settings.devices)
    logger.info(
        "%s of %s on %s, seed %d",
        counted(len(parts), "independent fit"),
        counted(settings.chains, "chain"),
        device,
        settings.seed,
    )
    posterior = Posterior(model, parts[0])
    if len(parts) < len(prepared.scws.bands):
        few = few_draws(prepared, (len(parts), settings.chains, settings.draws, posterior.size))
        if few:
            logger.warning("intervals will not be calibrated: %s", few)
    clock.lap("prepare")

    def fits() -> Fits:
        record = record_of(model, prepared, settings, device)
        return Fits(Sent.of(record, model.sky, parts), settings, workers)

    chains = run_anywhere(
        posterior,
        parts,
        settings,
        device,
        clock,
        place=place,
        fits=fits,
        names=names_of(prepared, len(parts)),
        checkpoint=checkpoint,
        progress=progress,
        max_time=max_time,
    )
    run = build_run(model, prepared, posterior, parts, chains, settings, device, clock.laps)
    clock.lap("finish")
    run.record["seconds"]["finish"] = round(clock.laps["finish"], 1)
    return run


def meet(
    model: Model,
    scws: ScWTable,
    *,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    scales: Scales | None = None,
) -> tuple[Model, Prepared]:
    """Prepare the data for a model, and fix parameters of the Crab that they cannot constrain.

    Arguments as in `sample` and, for the scales, in `prepare`.
    """
    if not isinstance(model, Model):
        raise InputError(
            f"model: is of type {type(model).__name__}: give one such as rb.models.regions('milkyway')"
        )
    if scws.tracer_bands:
        model = model.with_tracer_bands()
    elif "background.tracer_bands" in model.parameters:
        where = scws.meta["path"] or "the ScW table"
        raise InputError(f"{where}: the model follows tracer bands: say which (scws.with_tracer_bands(...))")
    prepared = prepare(
        scws,
        model.sky,
        response=response,
        crab_rate=crab_rate,
        opened=model.asks_for,
        chosen=model.chosen,
        scales=scales,
    )
    if prepared.unseen:
        logger.warning("no ScW sees %s: their intensity is prior only", ", ".join(prepared.unseen))
    if prepared.crab_given:
        held = _without_crab(model)
        if "crab.rate" in held:
            logger.info("no ScW contains the Crab: its rate is held at the given one")
        model = model.with_priors(held)
    return model, prepared


def _without_crab(model: Model) -> dict[str, float]:
    """Values at which parameters of the Crab are fixed if its rate is given.

    A parameter whose prior was changed keeps this prior, which says how well the given rate is known.
    """
    values, usual = {"crab.rate": 1.0, "crab.shape": 0.0, "crab.scatter": 0.0}, dict(CRAB)
    for extra in EXTRAS.values():
        values |= extra.without_crab
        usual |= extra.parameters
    own = model.parameters
    # Compare priors as text, so that a file of the default priors, written and read again, changes none.
    return {n: x for n, x in values.items() if n in own and spell(own[n].prior) == spell(usual[n].prior)}


def names_of(prepared: Prepared, parts: int) -> list[str]:
    """Name the independent fits after their bands; a joint fit is that of all bands."""
    names = [band.name for band in prepared.scws.bands]
    return names if len(names) == parts else ["all bands"]


def independent(model: Model, data: FitData) -> list[FitData]:
    """Split data into fits that share no parameter: one for each band if the model allows it."""
    bands = range(data.rate.shape[0])
    return [data.band(k) for k in bands] if model.bands_apart else [data]
