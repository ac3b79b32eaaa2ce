"""The figures of a run directory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from ridgebayes.plots import crab, fit
from ridgebayes.plots.style import each_band, group, in_style, legend_below, new_figure, write_figure
from ridgebayes.products.truth import read_truth
from ridgebayes.runs.run import Run


def write_figures(run: Run, folder: Path) -> list[Path]:
    """Write all figures of a run as PNG.

    Parameters
    ----------
    run
        The run.
    folder
        Folder to write into; created if it does not exist.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    folder = Path(folder)
    return [write_figure(partial(make, run), folder / f"{name}.png") for name, make in _figures(run).items()]


def _figures(run: Run) -> dict[str, Callable[[Run], Figure]]:
    """Name of each file and the function that draws it."""
    off = fit.off_plane(run)
    figures: dict[str, Callable[[Run], Figure]] = {}
    constant = group(run, "constant_data")
    if not off.all():
        profile = fit.longitude_profile
        flux = partial(profile, quantity="fov_flux")
        figures["longitude_profile"] = each_band("Intensity along the Galactic plane", profile)
        figures["longitude_profile_fov"] = each_band("FOV flux along the Galactic plane", flux)
    if off.any():
        other = fit.other_regions
        flux = partial(other, quantity="fov_flux")
        figures["other_regions"] = each_band("Intensity off the Galactic plane", other)
        figures["other_regions_fov"] = each_band("FOV flux off the Galactic plane", flux)
    return figures | {
        "residuals": each_band("Normalised residuals of the ScWs", fit.residuals, narrow=True),
        "background": each_band("Background over the years", fit.background),
        **(
            {"crab": partial(crab.history_figure, truth=read_truth(run))}
            if "crab_history_mean" in constant
            else {}
        ),
        "predictive": each_band("Mean rates of revolutions: observed and predicted", fit.predictive),
        "traces": _traces,
    }


@in_style
def _traces(run: Run) -> Figure:
    """Trace and histogram of the parameters with the worst sampling and of the hyperparameters."""
    scalars = fit.worth_tracing(run)
    rows = -(-len(scalars) // 2)
    figure = new_figure("Chains: worst sampled parameters, then hyperparameters", height_mm=22 + 40 * rows)
    grid = figure.add_gridspec(rows, 4, width_ratios=(4, 1, 4, 1))
    for place, scalar in enumerate(scalars):
        row, column = divmod(place, 2)
        ax = figure.add_subplot(grid[row, 2 * column])
        side = figure.add_subplot(grid[row, 2 * column + 1])
        fit.trace(run, scalar, ax, side)
        if place + 2 < len(scalars):
            ax.set_xlabel("")
            side.set_xlabel("")
    legend_below(figure)
    return figure
