"""Simulated event lists with known answers, in the format of the archive."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from ridgebayes.events.reading import SHAPE

START = 8320.25  # INTEGRAL days: MJD 59864.25
SCW = "255900280010"
RATES = {(25, 60): 70.0, (60, 80): 45.0, (80, 200): 100.0, (600, 1000): 30.0}
ROWS = np.setdiff1d(np.arange(134), [32, 33, 66, 67, 100, 101])
COLUMNS = np.setdiff1d(np.arange(130), [64, 65])
PIXELS = (ROWS[:, None] * SHAPE[1] + COLUMNS).ravel()
"""The 16384 pixels of the detector."""

LIT = PIXELS[::8]
"""Live pixels of these lists; few, so that a small number of events gives many counts per pixel."""


def mask_shadow(seed=3, rows=134):
    """Return a PIF like that of a coded mask: open and closed cells of 2.4 pixels, over the first rows."""
    cells = np.random.default_rng(seed).integers(0, 2, (60, 60))
    z, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = cells[(z / 2.4).astype(int), (y / 2.4).astype(int)] * (z < rows)
    shadow = np.zeros(SHAPE[0] * SHAPE[1])
    shadow[PIXELS] = image.ravel()[PIXELS]
    return shadow


def make_events(
    rng, seconds=600.0, rates=None, hot=(), hot_rate=0.5, bursts=(), burst_counts=400, pif=None, flux=0.0
):
    """Draw times (s), energies (keV) and pixels; hot pixels and the source emit in 25–60 keV."""
    parts = []

    def add(times, low, high, pixels):
        parts.append((times, rng.uniform(low, high, times.size), pixels))

    for (low, high), rate in (rates or RATES).items():
        n = rng.poisson(rate * seconds)
        add(rng.uniform(0, seconds, n), low, high, rng.choice(LIT, n))
    for pixel in hot:
        n = rng.poisson(hot_rate * seconds)
        add(rng.uniform(0, seconds, n), 25, 60, np.full(n, pixel))
    for second in bursts:
        add(rng.uniform(second, second + 1, burst_counts), 25, 60, rng.choice(LIT, burst_counts))
    if pif is not None:
        n = rng.poisson(flux * seconds)
        add(rng.uniform(0, seconds, n), 25, 60, rng.choice(LIT, n, p=pif[LIT] / pif[LIT].sum()))
    time, energy, pixel = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(time)
    return time[order], energy[order], pixel[order]


def write_events(path, events, gti=None, scw_id=SCW, keywords=None, selected=None, drop=()):
    """Write a FITS event list; keywords of value None are left out, and extensions and columns in `drop`."""
    time, energy, pixel = events
    gti = np.atleast_2d([[0.0, np.max(time, initial=0.0)]] if gti is None else gti)
    flag = np.zeros(time.size) if selected is None else ~np.asarray(selected)
    columns = [
        fits.Column("DETY", "B", array=pixel % SHAPE[1]),
        fits.Column("DETZ", "B", array=pixel // SHAPE[1]),
        fits.Column("ISGRI_ENERGY", "E", array=energy, unit="keV"),
        fits.Column("SELECT_FLAG", "B", array=flag),
        fits.Column("TIME", "D", array=START + time / 86400, unit="d"),
    ]
    table = fits.BinTableHDU.from_columns([c for c in columns if c.name not in drop], name="ISGR-EVTS-ALL")
    header = {"SWID": scw_id, "REVOL": int(scw_id[:4]), "SW_TYPE": "POINTING", "MJDREF": 51544.0}
    header |= {"TIMESYS": "TT", "RA_SCX": 286.8229, "DEC_SCX": 20.2763, "RA_SCZ": 199.3752}
    header |= {"DEC_SCZ": -6.8731, "SIMUL": True} | (keywords or {})
    for key, value in header.items():
        if value is not None:
            table.header[key] = value
    spans = [
        fits.Column(name, "D", array=START + gti[:, k] / 86400, unit="d")
        for k, name in enumerate(("START", "STOP"))
    ]
    good = fits.BinTableHDU.from_columns([c for c in spans if c.name not in drop], name="IBIS-GNRL-GTI")
    hdus = [fits.PrimaryHDU(), *(h for h in (table, good) if h.name not in drop)]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return Path(path)


def write_pif(path, shadow, scw_id=SCW, name="Test X-1", ra=286.0, dec=20.0):
    """Write a PIF image as OSA does."""
    image = fits.ImageHDU(shadow.reshape(SHAPE).astype(np.float32), name="ISGR-PIF.-SHD")
    for key, value in {"SWID": scw_id, "NAME": name, "RA_OBJ": ra, "DEC_OBJ": dec}.items():
        if value is not None:
            image.header[key] = value
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)
    return Path(path)
