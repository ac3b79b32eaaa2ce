"""Remedies of errors of models, skies, classical estimates and series: provoked, followed, and they work."""

import dataclasses
import re
from functools import cache

import numpy as np
import pytest
from astropy.io import fits
from astropy_healpix import HEALPix

from ridgebayes import classical, models, simulate, sky
from ridgebayes.classical.background import Settings
from ridgebayes.convert import convert
from ridgebayes.convert.mapping import parse_mapping
from ridgebayes.instrument.response import ImageResponse, Trapezoid
from ridgebayes.priors import with_priors
from ridgebayes.priors.text import parse_prior
from ridgebayes.products.latitude import latitude_profile
from ridgebayes.products.maps import sky_maps
from ridgebayes.products.monitor import read_monitor
from ridgebayes.runs.sampling import meet
from ridgebayes.sky import point_response
from ridgebayes.table.arrays import integers, truths
from ridgebayes.table.scw import CRAB
from tests.helpers.readers import few
from tests.helpers.remedies import (
    both,
    box,
    cases,
    converted,
    follow,
    foreign,
    prior,
    region,
    the_name,
    written,
)
from tests.helpers.sky_run import scw_columns, sky_run

COARSE = sky.load("coarse")
CORE = (
    '[[region]]\nname = "A"\nlon = [0, 10]\n'
    'core_lat = {}\nshape = {{kind = "gauss", scale = 3, lat_max = {}}}\n'
)
SERIES = "date,OULU\n2003-01-01,96\n2004-01-01,97\n"


def regions(*extras, marginal=True):
    return lambda folder, **_: models.regions(COARSE, marginal=marginal).with_extras(*extras)


def series(text, name="m.csv"):
    return both(written(text, name), lambda folder, **_: read_monitor(folder / name))


def each_series(folder, *, message, **_):
    """Read a series of each of the three kinds of columns that the message names."""
    assert "date (YYYY-MM-DD), mjd, or year and month, and one of values" in message
    for head, rows in (("date", "2003-01-01"), ("mjd", "52640"), ("year,month", "2003,1")):
        later = {"date": "2004-01-01", "mjd": "53005", "year,month": "2004,1"}[head]
        series(f"{head},OULU\n{rows},96\n{later},97\n", "n.csv")(folder)


def priors_of(name, text):
    return lambda folder, **_: models.regions(COARSE).with_priors({name: parse_prior(text)})


def advised_prior(folder, *, message, **_):
    """Give the distributions that the message says, with numbers for their mean and spread."""
    name = re.search(r"prior '(\S+)'", message)[1]
    cut, other = re.search(r"take (Trunc\S+\(.*?\)), or another such as (.*)$", message).groups()
    texts = [cut.replace("mean", "0.5").replace("sd", "0.2")]
    texts += [t if "(" in t else f"{t}(0.1)" if t[0] == "H" else f"{t}(-3, 0.5)" for t in other.split(" or ")]
    for text in texts:
        with_priors(models.regions(COARSE).parameters, {name: parse_prior(text)})


def both_crabs():
    return dict.fromkeys(few().band_names, 113.0)


def calibrated(scws=None, crab_rate=None, **settings):
    """Return a step that calibrates the small mission the classical way."""

    def step(folder, **_):
        table = scws() if scws else mission()
        classical.calibrate(table, crab_rate=crab_rate, settings=Settings(**settings), cache=False)

    return step


@cache
def mission():
    """Return a mission of which two revolutions in five look at the Crab or off the plane."""
    return simulate.mission(simulate.programme(20, stop=2740, seed=22), sky=COARSE, seed=22)


def without_crab():
    scws = mission()
    return scws.select(~scws.crab).take_bands("A01")


def near_the_plane():
    scws = mission()
    return scws.select((np.abs(scws.lat) < 15) | scws.crab)


def off_the_crab():
    """Return the mission with ScWs that are said to contain the Crab, and see it at the edge."""
    scws = mission().take_bands("A01")
    ra, dec = np.where(scws.crab, 83.63, scws.ra), np.where(scws.crab, 22.01 - 13.6, scws.dec)
    moved = dataclasses.replace(scws, ra=ra, dec=dec)
    seen = [point_response(table, CRAB, Trapezoid()) for table in (moved, scws)]
    return dataclasses.replace(moved, rate=scws.rate + 113.0 * (seen[0] - seen[1])[:, None])


def crab_without_neighbours():
    """Return the mission whose revolutions of the Crab have nothing else, and no other within five days."""
    scws = mission()
    crab = np.isin(scws.revolution, np.unique(scws.revolution[scws.crab]))
    return scws.select(~crab | scws.crab)


@cache
def flat():
    """Return a run of an even sky."""
    sees = scw_columns([0.0, 20.0], [0.0, 0.0], np.zeros((2, 1)))
    draws = 1 + 0.01 * np.random.default_rng(1).normal(size=(200, 1, len(COARSE)))
    return sky_run(COARSE, draws, scws=sees)


def image(**cards):
    """Return a step that writes an image of the response, and reads it."""

    def step(folder, **_):
        at = 0.5 * (np.arange(80) - 39.5)
        header = fits.Header({"CRPIX1": 40.5, "CRPIX2": 40.5} | cards)
        fits.PrimaryHDU(Trapezoid()(at, at[:, None]), header).writeto(folder / "r.fits", overwrite=True)
        return ImageResponse.from_fits(folder / "r.fits")

    return step


def scaled(deg):
    return lambda folder, **_: ImageResponse.from_fits(folder / "r.fits", scale_deg=deg)


def simulated(world=None, **truth):
    def step(folder, **_):
        pointings = few().take_bands("A01")
        told = simulate.Truth(bands=simulate.BANDS[:1], **truth)
        simulate.mission(pointings, told, sky=COARSE, world=world or simulate.World(), cache=False)

    return step


def template(folder, beyond):
    """Write a map of the sky that has nothing beyond some latitude, and return its path."""
    grid = HEALPix(32, order="ring")
    lat = grid.healpix_to_lonlat(np.arange(grid.npix))[1].to_value("deg")
    column = fits.Column("T", "D", array=np.where(np.abs(lat) < beyond, np.exp(-np.abs(lat) / 3), np.nan))
    table = fits.BinTableHDU.from_columns([column])
    table.header.update(ORDERING="RING", COORDSYS="G")
    path = folder / f"beyond{beyond:g}.fits"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return str(path)


def as_in_example(folder, *, message, **_):
    low = re.search(r"for example \[(\S+), (\S+)\]", message)
    region(box("A", float(low[1]), float(low[2])))(folder)


def phases_of_times(folder, **_):
    numbers, start = np.unique(few().revolution), few().mjd.min() - 0.5
    lines = "".join(f"{n},{start + 3 * k},3.0\n" for k, n in enumerate(numbers))
    (folder / "rev.csv").write_text(f"REVOL,START,PERIOD\n{lines}")
    convert([folder / "f.ecsv"], parse_mapping('[columns]\nphase = ""'), revolutions=folder / "rev.csv")


CASES = {
    # models and their priors
    "outliers beside sampled terms": (
        "need the revolution terms integrated out: leave marginal=False away",
        regions("outliers", marginal=False),
        regions("outliers"),
    ),
    "a prior below 0": (
        r"must not be below 0: take TruncatedNormal\(mean, sd, low=0\), or another such as HalfNormal",
        prior("Normal(0.5, 0.2)"),
        advised_prior,
    ),
    "an axis that is none": (
        "the parameter has no axis 'bands' .did you mean 'band'",
        priors_of("background.scatter", "Shared(HalfNormal(0.02), bands)"),
        the_name(lambda name: priors_of("background.scatter", f"Shared(HalfNormal(0.02), {name})")),
    ),
    "tracer bands of no table": (
        r"the model follows tracer bands: say which \(scws\.with_tracer_bands\(\.\.\.\)\)",
        lambda f, **_: meet(models.regions(COARSE).with_tracer_bands(), few(), crab_rate=both_crabs()),
        lambda f, **_: meet(
            models.regions(COARSE).with_tracer_bands(),
            few().with_tracer_bands([few().band_names[-1]]),
            crab_rate=dict(list(both_crabs().items())[:-1]),
        ),
    ),
    "a method that is none": (
        r"'\.mask' is not understood: only \.expand\(\[sizes\]\) and \.to_event\(number of axes\) are",
        lambda f, **_: parse_prior("Normal(0, 1).mask(True)"),
        lambda f, **_: (parse_prior("Normal(0, 1).expand([2])"),
                        parse_prior("Normal(0, 1).expand([2]).to_event(1)")),
    ),
    "a number of one value": (
        "background.scatter' = .*: give the number itself to fix the parameter",
        priors_of("background.scatter", "Delta(0.02)"),
        priors_of("background.scatter", "0.02"),
    ),
    # regions
    "a region file that is no TOML": (
        r"r\.toml: not valid TOML: .*line 3.*; correct that line",
        region('[[region]]\nname = "A"\nlon = [0, 10\n'),
        region(box("A", 0, 10)),
    ),
    "a region that is one table": (
        r"region: write each region as a \[\[region\]\] table",
        region(box("A", 0, 10).replace("[[region]]", "[region]")),
        region(box("A", 0, 10)),
    ),
    "a core without width": (
        "core_lat: 0 must be above 0 degrees", region(CORE.format(0, 10)), region(CORE.format(2, 10)),
    ),
    "a region smaller than its core": (
        "lat_max: 3 is below core_lat 5: make the region hold its core",
        region(CORE.format(5, 3)),
        both(region(CORE.format(5, 8)), region(CORE.format(2, 3))),
    ),
    "a region across the antipode": (
        r"low 170 is not below high -170: write \[low, high\], for example \[-190, -170\]",
        region(box("A", 170, -170)),
        as_in_example,
    ),
    "a shape misspelt": (
        "unknown shape 'unifrom' .did you mean 'uniform'",
        region(box("A", -5, 5).replace("uniform", "unifrom")),
        the_name(lambda name: region(box("A", -5, 5).replace("uniform", name))),
    ),
    # series
    "a series that is not there": (
        "cannot be read .*: give a CSV file with", lambda f, **_: read_monitor(f / "m.csv"), each_series,
    ),
    "a series of one line": ("holds no table: give a CSV file with", series("date,OULU\n"), each_series),
    "a series of uneven rows": (
        "is no table of equally long rows: give", series(SERIES + "2005-01-01\n"), each_series,
    ),
    "a series without times": (
        r"no column is a time \(it has A, B\): give", series("A,B\n1,2\n3,4\n"), each_series,
    ),
    "a series without values": (
        "has no column of values: give", series("date\n2003-01-01\n2004-01-01\n"), each_series,
    ),
    "a series of odd dates": (
        "row 1: date is 'soon', not a date: give", series(SERIES.replace("2003-01-01", "soon")), each_series,
    ),
    # products
    "a map of a band misspelt": (
        "did you mean 'E01'",
        lambda f, **_: sky_maps(flat(), bands=["E1"], nside=16),
        the_name(lambda name: lambda f, **_: sky_maps(flat(), bands=[name], nside=16)),
    ),
    "a step wider than its reach": (
        "reach=10, step=20: give degrees, reach up to 90 and step below it",
        lambda f, **_: latitude_profile(flat(), 0.0, reach=10.0, step=20.0),
        lambda f, **_: latitude_profile(flat(), 0.0, reach=10.0, step=5.0),
    ),
    # numbers that are given in Python
    "a revolution of a half": (
        "row 2: REVOL is not whole: give whole numbers",
        lambda f, **_: integers("REVOL", np.array([1.0, 2.5])),
        lambda f, **_: integers("REVOL", np.array([1.0, 2.0])),
    ),
    "a truth that is missing": (
        "row 2: CRAB is missing: fill it in, or drop these ScWs",
        lambda f, **_: truths("CRAB", np.ma.array([True, False], mask=[False, True])),
        lambda f, **_: (truths("CRAB", [True, False]), truths("CRAB", np.ma.array([True], mask=[False]))),
    ),
    # conversion in Python
    "times without phases": (
        r"time or phase is missing: give revolutions=\.\.\., a table of them",
        both(foreign(PHASE=None), converted("f.ecsv", '[columns]\nphase = ""')),
        phases_of_times,
    ),
    # images and worlds
    "an image without a scale": (
        "no CDELT or CD keywords: pass scale_deg, the size of a pixel in degrees",
        image(),
        scaled(0.5),
    ),
    "an image of a negative scale": (
        "give a positive scale_deg",
        both(image(CDELT1=0.5, CDELT2=0.5), scaled(-0.5)),
        scaled(0.5),
    ),
    "a trapezoid upside down": (
        "must obey 0 <= flat_deg < edge_deg <= 45 degrees",
        lambda f, **_: Trapezoid(flat_deg=9.0, edge_deg=4.0),
        lambda f, **_: Trapezoid(flat_deg=4.0, edge_deg=9.0),
    ),
    "a bar of no template": (
        "strong_bar changes the template, and the truth has none: give truth.template",
        simulated(simulate.World.on("strong_bar"), template=None),
        simulated(simulate.World.on("strong_bar"), template="starlight"),
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""

SLOW = {
    # pointings
    "a dither of half the sky": (
        "dither_deg 90: give 0 to 30 degrees",
        lambda f, **_: simulate.read_programme(f / "a.fits", dither_deg=90.0),
        lambda f, **_: simulate.read_programme(f / "a.fits", dither_deg=30.0),
    ),
    "a template without its poles": (
        r"the template has no data at l = \S+, b = \S+: lower template_lat, or fill the map",
        lambda f, **_: simulated(template=template(f, beyond=15.0), template_lat=25.0)(f),
        lambda f, **_: (
            simulated(template=template(f, beyond=15.0), template_lat=5.0)(f),
            simulated(template=template(f, beyond=90.0), template_lat=25.0)(f),
        ),
    ),
    "a Crab that becomes infinite": (
        "crab_shape makes the rate of the Crab zero or infinite: give smaller coefficients",
        simulated(crab_shape=(-2000.0, 0.0, 0.0)),
        simulated(crab_shape=(-0.2, 0.0, 0.0)),
    ),
    # the classical estimate
    "a Crab rate of a band misspelt": (
        "did you mean 'A01'",
        calibrated(without_crab, {"A1": 113.0}),
        the_name(lambda name: calibrated(without_crab, {name: 113.0})),
    ),
    "no ScW off the plane": (
        r"no ScW at \|b\| > 20 deg: .*, lower min_latitude or",
        calibrated(near_the_plane),
        calibrated(near_the_plane, min_latitude=2.0, neighbour_days=365.0),
    ),
    "the Crab at the edge": (
        r"at a response below 0\.2: mend SOURCE or the pointings, or lower min_crab_response",
        calibrated(off_the_crab, neighbour_days=365.0),
        calibrated(off_the_crab, neighbour_days=365.0, min_crab_response=0.05),
    ),
    "no background beside the Crab": (
        "raise neighbour_days, or drop those ScWs and give a Crab rate",
        calibrated(crab_without_neighbours, neighbour_days=0.0),
        both(
            calibrated(crab_without_neighbours, neighbour_days=365.0),
            calibrated(without_crab, {"A01": 113.0}),
        ),
    ),
    # a world
    "a world below zero": (
        r"the expected rate is -\S+ cts/s: raise truth\.level or lower the sky",
        simulated(level=[0.0], gb_fov=[-900.0]),
        both(simulated(level=[90.0], gb_fov=[-900.0]), simulated(level=[1.0], gb_fov=[0.0])),
    ),
}


@cases(CASES, SLOW)
@pytest.mark.slow
def test_the_remedy_works(case, tmp_path, monkeypatch):
    follow(case, tmp_path, monkeypatch)
