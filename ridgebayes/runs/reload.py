"""Reload a run for further computation: its model, its data and its unconstrained draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.instrument.response import ImageResponse, Response
from ridgebayes.likelihood.design import FitData, Prepared
from ridgebayes.likelihood.reference import Scales
from ridgebayes.likelihood.tracer_bands import TracerScales
from ridgebayes.model import Model
from ridgebayes.runs.metadata import recorded_model, recorded_response
from ridgebayes.runs.run import Run
from ridgebayes.runs.sampling import independent, meet
from ridgebayes.table.scw import ScWTable


class Recalled(NamedTuple):
    """Inputs of a run.

    Attributes
    ----------
    model
        The model.
    scws
        The fitted ScW table.
    response, crab_rate, scales
        As in `ridgebayes.likelihood.design.prepare`.
    """

    model: Model
    scws: ScWTable
    response: Response
    crab_rate: Mapping[str, float] | None
    scales: Scales


class Reopened(NamedTuple):
    """A reloaded fit.

    Attributes
    ----------
    model, prepared
        The model and its prepared data.
    posterior
        Its log density.
    parts
        The independent fits: one for each band, or one for all.
    z
        Unconstrained draws, (part, chain, draw, parameter).
    """

    model: Model
    prepared: Prepared
    posterior: Posterior
    parts: list[FitData]
    z: NDArray


def reopen(run: Run, scws: ScWTable | str | Path | None = None) -> Reopened:
    """Reload a fit; arguments and errors as for `recall`."""
    model, table, response, crab_rate, scales = recall(run, scws)
    model, prepared = meet(model, table, response=response, crab_rate=crab_rate, scales=scales)
    parts = independent(model, prepared.data)
    posterior = Posterior(model, parts[0])
    return Reopened(model, prepared, posterior, parts, unconstrained(run, model, posterior, len(parts)))


def recall(run: Run, scws: ScWTable | str | Path | None = None) -> Recalled:
    """Reload the inputs of a run.

    A run of a user's model has a copy of the file that defines it, and this function runs that file.

    Parameters
    ----------
    run
        The run.
    scws
        The fitted ScW table or its path, if it has been moved since.

    Raises
    ------
    InputError
        If the table is missing or has changed, or if the model cannot be rebuilt.
    """
    where = run.path or "the run"
    table = scws if isinstance(scws, ScWTable) else run.data(scws)
    if table.fingerprint() != run.record["data"]["fingerprint"]:
        raise InputError(f"{where}: the ScW table given is not the one that was fitted")
    model = recorded_model(run.record, where, run.sky)
    response = recorded_response(run.record, where, _image(run))
    return Recalled(model, table, response, run.record["data"]["crab_rate"] or None, recorded_scales(run))


def recorded_scales(run: Run) -> Scales:
    """Return the reference scales of a run."""
    constant = run.tree["constant_data"].dataset
    if "clock" not in constant:
        raise InputError(f"{run.path or 'the run'}: was made by an earlier version: fit again")
    middle, half_span = (float(x) for x in constant["clock"].values)
    return Scales(
        constant["revolution"].values,
        constant["level"].transpose("band", "revolution").values,
        constant["tracer_trend"].values,
        constant["crab_rate"].values,
        middle,
        half_span,
        (int(constant["modes"][0]), int(constant["modes"][1])),
        _recorded_tracers(constant),
    )


def _recorded_tracers(constant: xr.Dataset) -> TracerScales:
    if "tracer_level" not in constant:  # a run of before there were any
        return TracerScales.none(constant.sizes["revolution"])
    return TracerScales(
        constant["tracer_level"].transpose("tracer_band", "revolution").values, constant["tracer_crab"].values
    )


def _image(run: Run) -> ImageResponse | None:
    constant = run.tree["constant_data"].dataset
    if "response_image" not in constant:
        return None
    image = constant["response_image"]
    x, y = image.attrs["centre"]
    return ImageResponse(image.values, float(image.attrs["scale_deg"]), (float(x), float(y)))


def unconstrained(run: Run, model: Model, posterior: Posterior, parts: int) -> NDArray:
    """Return the draws of a run as unconstrained vectors, (part, chain, draw, parameter)."""
    stored = run.tree["posterior"].dataset
    z = []
    for part in range(parts):
        named = {}
        for name, shape in posterior.shapes.items():
            values = stored[name].values
            if parts > 1:
                values = values.take([part], 2 + model.parameters[name].dims.index("band"))
            # A value that is shared along an axis is stored for every label.
            cut = tuple(slice(0, n) for n in shape)
            named[name] = values[(slice(None), slice(None), *cut)]
        z.append(posterior.unconstrain(named))
    return np.stack(z)
