"""The record of a run, from which it can be repeated; model and response rebuilt from a record."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import ImageResponse, Response, Trapezoid
from ridgebayes.likelihood.design import Prepared
from ridgebayes.model import Model
from ridgebayes.models import find, from_source
from ridgebayes.priors.text import describe, spell
from ridgebayes.sky import Sky, from_record

if TYPE_CHECKING:
    from ridgebayes.inference.settings import Device, Settings

PACKAGES = ("jax", "jaxlib", "numpyro", "numpy", "scipy", "astropy", "xarray", "arviz-base", "arviz-stats")


def record_of(model: Model, prepared: Prepared, settings: Settings, device: Device) -> dict[str, Any]:
    """Return the record of model, data, settings and versions, ready for TOML."""
    scws = prepared.scws
    return {
        "ridgebayes": metadata.version("ridgebayes"),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv) if sys.argv else "",
        "git_commit": git_commit(),
        "warnings": [],
        "model": {
            "name": model.name,
            "options": dict(model.options),
            "extras": list(model.extras),
            "priors": {n: spell(p.prior) or describe(p.prior) for n, p in model.parameters.items()},
            "source": model.source,
        },
        "sky": model.sky.record(),
        "response": prepared.response.key(),
        "data": {
            "path": str(Path(scws.meta["path"]).absolute()) if scws.meta["path"] else "",
            "fingerprint": scws.fingerprint(),
            "simulated": bool(scws.meta["simulated"]),
            "osa_version": str(scws.meta["osa_version"] or ""),
            "scws": len(scws),
            "revolutions": int(prepared.layout.revolutions.size),
            "bands": [band.name for band in scws.bands],
            "tracer_bands": [band.name for band in scws.tracer_bands],
            "unseen_regions": list(prepared.unseen),
            "crab_rate": given_crab_rate(prepared),
        },
        "sampling": {**vars(settings), "device": str(device)},
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}},
    }


def given_crab_rate(prepared: Prepared) -> dict[str, float]:
    """Crab rate of each band, cts/s, if it was given because no ScW contains the Crab; else empty."""
    rates = [float(rate) for rate in prepared.data.crab_rate]
    # A model of the background alone needs no Crab rate.
    if not prepared.crab_given or not np.isfinite(rates).all():
        return {}
    return {band.name: rate for band, rate in zip(prepared.scws.bands, rates, strict=True)}


def recorded_model(record: Mapping[str, Any], where: Any, sky: Sky | None = None) -> Model:
    """Build the model that a record describes.

    The record of a user's model holds a copy of the file that made it, and this runs that file.

    Parameters
    ----------
    record
        Record of `record_of`.
    where
        The run, for error messages.
    sky
        Its sky regions, if they have been built already.

    Raises
    ------
    InputError
        If a prior could not be recorded, or if the file of a user's model no longer builds one.
    """
    told = record["model"]
    source = told.get("source", "")
    build = from_source(source, told["name"]) if source else find(told["name"])
    sky = sky or from_record(record["sky"])
    try:
        model = build(sky, **told["options"]).with_extras(*told["extras"])
        if record["data"].get("tracer_bands"):
            model = model.with_tracer_bands()
        return model.with_priors(told["priors"])
    except (InputError, TypeError) as error:
        raise InputError(f"{where}: its model cannot be built again ({error}): fit again") from None


def recorded_response(record: Mapping[str, Any], where: Any, image: ImageResponse | None = None) -> Response:
    """Return the response that a record describes; `image` is the measured one, if the run has it."""
    for response in (image, _trapezoid(record["response"])):
        if response is not None and response.key() == record["response"]:
            return response
    raise InputError(f"{where}: its response is not kept: fit again")


def _trapezoid(key: str) -> Trapezoid | None:
    kind, *numbers = key.split()
    return Trapezoid(*map(float, numbers)) if kind == "trapezoid" else None


def git_commit() -> str:
    """Commit of the running source tree, with a + if it has changes; empty outside a checkout.

    Git must track this file: a package in a virtual environment may lie inside the repository of another
    project.
    """
    here = Path(__file__).resolve()

    def git(*words: str) -> str:
        # Hooks of git set variables that name another repository.
        other = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
        known = {name: value for name, value in os.environ.items() if name not in other}
        done = subprocess.run(
            ("git", *words),
            cwd=here.parent,
            env=known,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "--", here.name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
