"""A run made ready to compute with again: its model, its data and its draws as the sampler knew them."""

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
    """What a run was made from.

    Attributes
    ----------
    model
        The model.
    scws
        The ScW table that was fitted.
    response, crab_rate, scales
        As those of `ridgebayes.likelihood.design.prepare`.
    """

    model: Model
    scws: ScWTable
    response: Response
    crab_rate: Mapping[str, float] | None
    scales: Scales


class Reopened(NamedTuple):
    """What was sampled.

    Attributes
    ----------
    model, prepared
        The model, and the data made ready for it.
    posterior
        Its log density.
    parts
        The independent fits: one a band, or one for all.
    z
        Unconstrained draws, (part, chain, draw, parameter).
    """

    model: Model
    prepared: Prepared
    posterior: Posterior
    parts: list[FitData]
    z: NDArray


def reopen(run: Run, scws: ScWTable | str | Path | None = None, *, model: Model | None = None) -> Reopened:
    """Bring back what was sampled; arguments and errors as those of `recall`."""
    model, table, response, crab_rate, scales = recall(run, scws, model=model)
    model, prepared = meet(model, table, response=response, crab_rate=crab_rate, scales=scales)
    parts = independent(model, prepared.data)
    posterior = Posterior(model, parts[0])
    return Reopened(model, prepared, posterior, parts, unconstrained(run, model, posterior, len(parts)))


def recall(run: Run, scws: ScWTable | str | Path | None = None, *, model: Model | None = None) -> Recalled:
    """Bring back what a run was made from.

    A run of a user's model holds a copy of the file that made it, and this runs that file.

    Parameters
    ----------
    run
        The run.
    scws
        The ScW table that was fitted, or where it is now; by default where it was.
    model
        The model; by default as recorded. Needed where a prior could not be written as text.

    Raises
    ------
    InputError
        When the table is not there or not the same, or the model cannot be brought back.
    """
    where = run.path or "the run"
    table = scws if isinstance(scws, ScWTable) else run.data(scws)
    if table.fingerprint() != run.record["data"]["fingerprint"]:
        raise InputError(f"{where}: the ScW table given is not the one that was fitted")
    if model is None:
        model = recorded_model(run.record, where, run.sky)
    response = recorded_response(run.record, where, _image(run))
    return Recalled(model, table, response, run.record["data"]["crab_rate"] or None, recorded_scales(run))


def recorded_scales(run: Run) -> Scales:
    """Return the reference scales that a run was made with."""
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
            # One value along an axis is stored for every label of it.
            cut = tuple(slice(0, n) for n in shape)
            named[name] = values[(slice(None), slice(None), *cut)]
        z.append(posterior.unconstrain(named))
    return np.stack(z)
