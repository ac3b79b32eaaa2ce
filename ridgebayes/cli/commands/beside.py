"""The classical estimate that products show beside the posterior."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ridgebayes.errors import InputError

if TYPE_CHECKING:
    from ridgebayes.classical import Calibration
    from ridgebayes.runs.run import Run

no_classical_option = click.option(
    "--no-classical", is_flag=True, help="Leave the classical estimate out; it needs the fitted table."
)


def classical_calibration(run: Run, scws: Path | None) -> Calibration | None:
    """Calibrate the table of a run the classical way; None, and one line why, where that cannot be done.

    Raises
    ------
    InputError
        When `scws` is given and is not the table that was fitted.
    """
    from ridgebayes import classical

    try:
        table = run.data(scws)
    except InputError as error:
        if scws is not None:
            raise
        click.echo(f"no classical estimate: {error}", err=True)
        return None
    given = None
    if not table.crab.any():  # the fit was given a rate, which it keeps as its reference
        constant = run.tree["constant_data"].dataset
        given = {str(b): float(constant["crab_rate"].sel(band=b)) for b in constant["band"].values}
    try:
        return classical.calibrate(table, crab_rate=given)
    except InputError as error:
        click.echo(f"no classical estimate: {error}", err=True)
        return None
