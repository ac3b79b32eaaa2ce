"""Captions for the files of a paper."""

from __future__ import annotations

from collections.abc import Sequence

from astropy.table import QTable

from ridgebayes.products.fitspec import RegionFit
from ridgebayes.products.published import published_indices, published_source
from ridgebayes.runs.convergence import not_converged, words
from ridgebayes.runs.intensity import CXB_NOTE
from ridgebayes.runs.run import Run


def captions(
    run: Run,
    band: str,
    along: QTable,
    across: QTable,
    results: Sequence[RegionFit],
    stems: Sequence[str],
    *,
    classical: bool,
) -> str:
    """Return a caption for each file of ``ridgebayes paper``, in Markdown.

    Parameters
    ----------
    run, band
        The run, and the band of the profiles.
    along, across
        Profiles in longitude and latitude.
    results, stems
        Spectral fits, and the names of their figures.
    classical
        Whether classical estimates are drawn.
    """
    lines = ["# Captions", ""]
    if run.simulated:
        lines += ["**Simulated data.**", ""]
    if failed := not_converged(run):
        lines += [f"**{words(failed)}: no measurement.**", ""]
    scale = along.meta["starlight"].get(band, "")
    starlight = f" Dashed: {scale} (±2 sd)." if scale else ""
    points = " Squares: classical estimate." if classical else ""
    lines += [
        f"- **longitude**: FOV flux of pointings along b = 0 in band {band}: posterior mean, 68 % and 94 % "
        f"intervals.{starlight}{points}",
        f"- **latitude**: the same across the plane at l = {across.meta['longitude']:g}°; the shape in "
        "latitude is the model's, through the response. Squares: rate less background of the ScWs, "
        "averaged, each brought to the cut with the model.",
    ]
    for result, stem in zip(results, stems, strict=True):
        lines.append(f"- **{stem}**: {_spectrum(result)}")
    lines += [
        "- **crab**, **background**: rate of the Crab over the mission, and background of an average "
        "revolution whose tracer is at its slow trend, with 94 % intervals, in six bands at most.",
        "- **regions.tex**: spectral fits of the regions side by side.",
        "",
        CXB_NOTE,
    ]
    return "\n".join([*lines, ""])


def _spectrum(result: RegionFit) -> str:
    spectrum = result.spectrum
    how = "components of the model of all bands" if result.joint else "model fitted to the bands"
    text = (
        f"E² dN/dE of {spectrum.region} in the field of view, {how} ({result.model}); 94 % interval of the "
        f"sum, 68 % of the components; points: the bands, unfolded through the model. {result.check}. "
        f"{spectrum.crab.describe()}."
    )
    if result.warnings:
        text += " **The chains of this fit have not converged: no measurement.**"
    source = published_source(spectrum.region)
    if source:
        text += f" Diamonds: {source}, for the Crab's shape within each band."
    slopes = "; ".join(f"{index:g}, {source}" for index, source in published_indices())
    return text + f" Broken lines: published photon indices through the hard part at 100 keV ({slopes})."
