"""Remedies of errors of skies, models, runs and products: provoked, followed, and they work."""

import dataclasses
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ridgebayes import models, open_run, read_scws, sky, write_scws
from ridgebayes.inference.settings import Settings
from ridgebayes.instrument.crab_spectrum import crab_spectrum
from ridgebayes.instrument.redistribution import redistribution
from ridgebayes.outputs.export import export
from ridgebayes.outputs.steps import Options
from ridgebayes.plots.fit import longitude_profile
from ridgebayes.plots.style import new_figure
from ridgebayes.products.draws import posterior_draws
from ridgebayes.products.fitspec import region_spectrum, take_bands
from ridgebayes.products.monitor import read_monitor
from ridgebayes.products.residuals import residual_table
from ridgebayes.runs.run import POSTERIOR, Run
from ridgebayes.runs.sampling import meet
from ridgebayes.spectra.components import read_model
from tests.helpers.readers import few
from tests.helpers.remedies import (
    EXPORT,
    both,
    box,
    follow,
    healpix,
    made,
    prior,
    region,
    run,
    saved,
    saving,
    written,
)
from tests.helpers.synthetic_run import make_run


def model():
    return models.regions(sky.load("coarse"))


def at_the_crab():
    """Return the table `few` in one band, its first ScWs at the Crab."""
    scws, here = few().take_bands("A01"), np.arange(15) < 5
    ra, dec = np.where(here, 83.63, scws.ra), np.where(here, 22.01, scws.dec)
    return dataclasses.replace(scws, crab=here, ra=ra, dec=dec, rate=scws.rate + 113.0 * here[:, None])


def fitted_to(path):
    """Return a run whose record says that the table of a file was fitted."""
    told = {
        "path": str(path),
        "bands": ["A01", "A02"],
        "fingerprint": read_scws(path).take_bands(["A01", "A02"]).fingerprint(),
    }
    return Run(made().tree, made().record | {"data": made().record["data"] | told})


def other_posterior(folder, **_):
    """Put another file in the place of the posterior of a run, and keep its own."""
    saved(folder)
    (folder / "run" / POSTERIOR).replace(folder / "kept")
    make_run(2).save(folder / "other")
    shutil.copy(folder / "other" / POSTERIOR, folder / "run" / POSTERIOR)
    open_run(folder / "run").intensity()


def mapped(lat_max):
    return (
        '[[region]]\nname = "GB"\nlon = [-10, 10]\ncore_lat = 5\n'
        f'shape = {{kind = "template", file = "part.fits", lat_max = {lat_max}}}\n'
    )


def part_of_the_sky(folder, **_):
    """Write a map of |b| < 20° alone."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix = ["GLON-CAR", "GLAT-CAR"], [60.5, 20.5]
    wcs.wcs.cdelt, wcs.wcs.crval = [-1.0, 1.0], [0.0, 0.0]
    fits.PrimaryHDU(np.ones((40, 120)), wcs.to_header()).writeto(folder / "part.fits")


CASES = {
    # regions, templates, Crab, priors, monitors, simulation
    "no regions": (
        r"add a \[tiling\] or at least one \[\[region\]\]",
        region('name = "x"'),
        region(box("GB", -5, 5)),
    ),
    "a region key misspelt": (
        "did you mean 'lon'",
        region(box("GB", -5, 5).replace("lon", "lons")),
        region(box("GB", -5, 5)),
    ),
    "two regions of a name": (
        "give each its own name",
        region(box("A", -5, 5) + box("A", 5, 9)),
        region(box("A", -5, 5) + box("B", 5, 9)),
    ),
    "regions that overlap": (
        "shrink or remove one",
        region(box("A", -5, 5) + box("B", 3, 9)),
        region(box("A", -5, 3) + box("B", 3, 9)),
    ),
    "an order misspelt": (
        "did you mean 'RING'",
        healpix(ORDERING="RINGS", COORDSYS="G"),
        healpix(ORDERING="RING", COORDSYS="G"),
    ),
    "an ecliptic map": (
        r"use G \(galactic\) or C",
        healpix(ORDERING="RING", COORDSYS="E"),
        healpix(ORDERING="RING", COORDSYS="C"),
    ),
    "a Crab spectrum misspelt": (
        "did you mean 'atel4869'",
        lambda folder, **_: crab_spectrum("atel4896"),
        lambda folder, **_: crab_spectrum("atel4869"),
    ),
    "half a broken power law": (
        "give break and index2 together or neither",
        lambda folder, **_: crab_spectrum("norm=10,index=2.1,break=100"),
        lambda folder, **_: crab_spectrum("norm=10,index=2.1,break=100,index2=2.3"),
    ),
    "a distribution misspelt": (
        "did you mean 'HalfNormal'", prior("HalfNorml(0.02)"), prior("HalfNormal(0.02)"),
    ),
    "a prior of a name that is not there": (
        "did you mean 'background.scatter'",
        lambda folder, **_: models.regions(sky.load("coarse")).with_priors({"background.scater": 0.01}),
        lambda folder, **_: models.regions(sky.load("coarse")).with_priors({"background.scatter": 0.01}),
    ),
    "a column of a series misspelt": (
        "did you mean 'OULU'",
        both(
            written("date,OULU\n2003-01-01,96\n2004-01-01,97\n", "m.csv"),
            lambda f, **_: read_monitor(f / "m.csv", "OULO"),
        ),
        lambda f, **_: read_monitor(f / "m.csv", "OULU"),
    ),
    "no band to simulate": (
        "give at least one",
        run("simulate --revolutions 2 --sky coarse --n-bands 0 --out o.fits"),
        run("simulate --revolutions 2 --sky coarse --n-bands 1 --out o.fits"),
    ),
    "a switch misspelt": (
        "did you mean 'outliers'",
        run("simulate --revolutions 2 --sky coarse --world outlier --out o.fits"),
        run("simulate --revolutions 2 --sky coarse --world outliers --out o.fits"),
    ),
    "a band misspelt": (
        r"did you mean 'A01'",
        lambda folder, **_: few().take_bands("A1"),
        lambda folder, **_: few().take_bands("A01"),
    ),
    # models, skies and formats by name
    "a model misspelt": (
        "did you mean 'regions'", lambda f, **_: models.find("region"), lambda f, **_: models.find("regions"),
    ),
    "a sky misspelt": (
        "did you mean 'milkyway'", lambda f, **_: sky.load("milkiway"), lambda f, **_: sky.load("milkyway"),
    ),
    "a region of a sky misspelt": (
        "did you mean 'GB'",
        lambda f, **_: sky.load("coarse").select(["Gb1"]),
        lambda f, **_: sky.load("coarse").select(["GB"]),
    ),
    "a format misspelt": (
        "did you mean 'fits'",
        lambda f, **_: read_scws(f / "a.fits", format="fit"),
        lambda f, **_: read_scws(f / "a.fits", format="fits"),
    ),
    "write over a table": (
        "choose another name, or overwrite=True",
        lambda f, **_: write_scws(few(), f / "a.fits"),
        lambda f, **_: write_scws(few(), f / "a.fits", overwrite=True),
    ),
    "a key of the Crab misspelt": (
        "did you mean 'index'",
        lambda f, **_: crab_spectrum("norm=10,indx=2.1"),
        lambda f, **_: crab_spectrum("norm=10,index=2.1"),
    ),
    # a run
    "save over a run": (
        "choose another place, or overwrite=True",
        lambda f, **_: saved(f) and made().save(f / "run"),
        lambda f, **_: made().save(f / "run", overwrite=True),
    ),
    "save over another folder": (
        "is not a run directory, so it is not overwritten: choose another",
        lambda f, **_: ((f / "d").mkdir(), (f / "d" / "x").touch(), made().save(f / "d", overwrite=True)),
        lambda f, **_: made().save(f / "e", overwrite=True),
    ),
    "a posterior of another fit": (
        r"is not the file that the fit wrote .*: bring that back, or fit again",
        other_posterior,
        lambda f, **_: ((f / "kept").replace(f / "run" / POSTERIOR), open_run(f / "run").intensity()),
    ),
    "no run directory": (
        "give the folder of a fit", both(saving, run("background-history . --out p")),
        run("background-history run --out p"),
    ),
    "a column without its file": (
        "give --monitor FILE too",
        both(saving, run("background-history run --monitor-column OULU --out p")),
        both(
            written("date,OULU\n2005-01-01,96\n2010-01-01,97\n", "m.csv"),
            run("background-history run --monitor m.csv --monitor-column OULU --out p"),
        ),
    ),
    "draws misspelt": (
        "did you mean 'fov_flux'",
        lambda f, **_: posterior_draws(made(), ["fov_flx"]),
        lambda f, **_: posterior_draws(made(), ["fov_flux"]),
    ),
    "no draw in 0": (
        "every=0: give 1 or more",
        lambda f, **_: posterior_draws(made(), ["fov_flux"], every=0),
        lambda f, **_: posterior_draws(made(), ["fov_flux"], every=1),
    ),
    "an export over another folder": (
        "so it is not replaced: choose another place",
        both(saving, lambda f, **_: ((f / "d").mkdir(), (f / "d" / "x").touch()), run(f"{EXPORT} --out d")),
        run(f"{EXPORT} --out e"),
    ),
    "an export over an export": (
        "choose another place, or --overwrite",
        both(saving, *[run(f"{EXPORT} --out e")] * 2),
        run(f"{EXPORT} --out e --overwrite"),
    ),
    "an export of no kind of draws": (
        "did you mean 'intensity'",
        both(saving, run("export run --only draws --draws-of intensty --out e")),
        run("export run --only draws --draws-of intensity --out e"),
    ),
    # more of models, products and files
    "an extra misspelt": (
        "did you mean 'outliers'",
        lambda f, **_: model().with_extras("outlier"),
        lambda f, **_: model().with_extras("outliers"),
    ),
    "no Crab": (
        r"no Crab rate is given for A01: .*such as crab_rate={'A01': 119}",
        lambda f, **_: meet(model(), few().take_bands("A01")),
        lambda f, **_: meet(model(), few().take_bands("A01"), crab_rate={"A01": 113.0}),
    ),
    "a Crab rate of a band misspelt": (
        "did you mean 'A01'",
        lambda f, **_: meet(model(), few().take_bands("A01"), crab_rate={"A1": 113.0}),
        lambda f, **_: meet(model(), few().take_bands("A01"), crab_rate={"A01": 113.0}),
    ),
    "a Crab rate beside the Crab": (
        "leave out the given Crab rate",
        lambda f, **_: meet(model(), at_the_crab(), crab_rate={"A01": 113.0}),
        lambda f, **_: meet(model(), at_the_crab()),
    ),
    "the Crab out of sight": (
        "mend SOURCE or the pointings, or give a Crab rate",
        lambda f, **_: meet(model(), dataclasses.replace(few(), crab=np.full(15, True))),
        lambda f, **_: meet(model(), at_the_crab()),
    ),
    "a sampler misspelt": (
        "must be one of auto, nuts",
        lambda f, **_: Settings(sampler="nut"),
        lambda f, **_: Settings(sampler="nuts"),
    ),
    "a target of 100 %": (
        "must lie between 0 and 1",
        lambda f, **_: Settings(target_accept=1.0),
        lambda f, **_: Settings(target_accept=0.95),
    ),
    "a negative seed": (
        "must not be negative", lambda f, **_: Settings(seed=-1), lambda f, **_: Settings(seed=0),
    ),
    "a kind of export misspelt": (
        "did you mean 'draws'",
        lambda f, **_: export(made(), f / "e", Options(kinds=("drws",))),
        lambda f, **_: export(made(), f / "e", Options(kinds=("draws",))),
    ),
    "a format of draws misspelt": (
        "did you mean 'csv'",
        lambda f, **_: export(made(), f / "e", Options(kinds=("draws",), formats=("cvs",))),
        lambda f, **_: export(made(), f / "e", Options(kinds=("draws",), formats=("csv",))),
    ),
    "a region of residuals misspelt": (
        "did you mean 'GAL'",
        lambda f, **_: residual_table(made(), "GALL"),
        lambda f, **_: residual_table(made(), "GAL"),
    ),
    "a band of a figure misspelt": (
        "did you mean 'E01'",
        lambda f, **_: longitude_profile(made(), "E1", new_figure("x", height_mm=50).add_subplot()),
        lambda f, **_: longitude_profile(made(), "E01", new_figure("x", height_mm=50).add_subplot()),
    ),
    "a region of spectra misspelt": (
        "did you mean 'GB'",
        lambda f, **_: region_spectrum(made(), "GBB"),
        lambda f, **_: region_spectrum(made(), "GB"),
    ),
    "a band of a spectrum misspelt": (
        "did you mean 'E01'",
        lambda f, **_: take_bands(region_spectrum(made(), "GB"), ["A01"]),
        lambda f, **_: take_bands(region_spectrum(made(), "GB"), ["E01"]),
    ),
    "a key of the redistribution misspelt": (
        "did you mean 'fwhm'",
        lambda f, **_: redistribution("fwmh=0.1,at=60"),
        lambda f, **_: redistribution("fwhm=0.1,at=60"),
    ),
    "a component misspelt": (
        "did you mean 'powerlaw'",
        lambda f, **_: read_model("powrlaw"),
        lambda f, **_: read_model("powerlaw"),
    ),
    "files of a spectrum that are there": (
        "or --overwrite",
        both(saving, *[run("region-spectrum run --region GB --out p")] * 2),
        run("region-spectrum run --region GB --out p --overwrite"),
    ),
    "the fitted table elsewhere": (
        r"say where it is \(scws=\.\.\.\)",
        both(saving, lambda f, **_: Run.open(f / "run").data()),
        lambda f, **_: fitted_to(f / "a.fits").data(f / "a.fits"),
    ),
    "another table than the fitted": (
        r"say where that is \(scws=\.\.\.\)",
        lambda f, **_: fitted_to(f / "a.fits").data(f / "l.fits"),
        lambda f, **_: fitted_to(f / "a.fits").data(f / "a.fits"),
    ),
    # images and regions
    "a region larger than its map": (
        r"make the region smaller \(lat_max, lon\)",
        both(part_of_the_sky, region(mapped(30))),
        region(mapped(10)),
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_the_remedy_works(name, tmp_path, monkeypatch):
    follow(CASES[name], tmp_path, monkeypatch)
