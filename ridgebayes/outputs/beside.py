"""The classical estimate that products compare with the posterior."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from astropy.table import QTable

from ridgebayes import classical
from ridgebayes.errors import InputError
from ridgebayes.runs.run import Run

logger = logging.getLogger(__name__)


def classical_calibration(run: Run, scws: Path | None) -> classical.Calibration | None:
    """Calibrate the table of a run with the classical method; log the reason and return None if it fails.

    Raises
    ------
    InputError
        If `scws` is given and is not the fitted table.
    """
    try:
        table = run.data(scws)
    except InputError as error:
        if scws is not None:
            raise
        logger.info("no classical estimate: %s", error)
        return None
    given = None
    if not table.crab.any():  # the fit was given a rate, which it keeps as its reference
        constant = run.tree["constant_data"].dataset
        given = {str(b): float(constant["crab_rate"].sel(band=b)) for b in constant["band"].values}
    try:
        return classical.calibrate(table, crab_rate=given)
    except InputError as error:
        logger.info("no classical estimate: %s", error)
        return None


def classical_profile(run: Run, scws: Path | None) -> QTable | None:
    """Average the classical residuals along the plane; None if there is no classical estimate."""
    calibration = classical_calibration(run, scws)
    return None if calibration is None else classical.profile(calibration, np.arange(-185.0, 176.0, 10.0))
