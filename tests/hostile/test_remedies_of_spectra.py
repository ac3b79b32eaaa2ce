"""Remedies of errors of spectra and of what they are folded with: provoked, followed, and they work."""

import re
from functools import cache

import numpy as np
import pytest
from astropy.io import fits

from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum, crab_spectrum
from ridgebayes.instrument.ogip import write_rmf
from ridgebayes.instrument.redistribution import redistribution
from ridgebayes.products import fitspec
from ridgebayes.products.jointspec import joint_fit
from ridgebayes.runs.run import Run
from ridgebayes.sky import load
from ridgebayes.spectra.components import COMPONENTS, read_model
from ridgebayes.spectra.folding import fold
from ridgebayes.spectra.known import bulge
from ridgebayes.table.scw import Band
from tests.helpers.remedies import cases, follow, run, the_name
from tests.helpers.sky_run import sky_run

EDGES = np.array([[20.0, 30.0, 40.0, 60.0], [30.0, 40.0, 60.0, 90.0]])
BANDS = [Band(f"A{k + 1:02d}", *EDGES[:, k]) for k in range(4)]


def specified(read):
    """Return a step that reads each specification that the message gives, but those of files."""

    def step(folder, *, message, **_):
        examples = re.findall(r"'([a-z]\w*=[^']*)'", message.split("give e.g. ")[1])
        assert examples
        for text in examples:
            if not text.startswith("rmf="):
                read(text)

    return step


def reads(read, text):
    return lambda folder, **_: read(text)


def crab(text):
    """Return a case: a spectrum of the Crab that is refused, and the examples in its place."""
    return reads(crab_spectrum, text), specified(crab_spectrum)


def spread(text):
    """Return a case: a redistribution that is refused, and the example in its place."""
    return reads(redistribution, text), specified(redistribution)


def matrix_and_area(folder, *, message, **_):
    """Write the two files that the message names, and read them as it says."""
    text = re.search(r"'(rmf=[^']*)'", message)[1]
    rmf, arf = (part.split("=")[1] for part in text.split(","))
    write_rmf(folder / rmf, [Band("A", 12.0, 30.0), Band("B", 30.0, 900.0)], simulated=True)
    with fits.open(folder / rmf) as hdus:
        table = hdus["MATRIX"].data if "MATRIX" in hdus else hdus["SPECRESP MATRIX"].data
        low, high = table["ENERG_LO"], table["ENERG_HI"]
        columns = [fits.Column(n, "D", array=x) for n, x in (("ENERG_LO", low), ("ENERG_HI", high))]
        columns.append(fits.Column("SPECRESP", "D", array=np.ones(low.size)))
        fits.BinTableHDU.from_columns(columns, name="SPECRESP").writeto(folder / arf)
    assert redistribution(text).name


@cache
def bright():
    """Return a run of four bands whose regions are white dwarfs and a power law, 2 % off."""
    sky = load("coarse").select(["L-20", "GB", "L+20"])
    energy, weight = fold(EDGES, CRAB)
    shapes = (("whitedwarf", 0.8, 0.7), ("powerlaw", 0.4, 1.5))
    truth = sum(a * np.asarray(COMPONENTS[n].photons(energy, s) * weight).sum(-1) for n, a, s in shapes)
    noise = np.random.default_rng(3).normal(size=(400, 4, 3))
    found = sky_run(sky, truth[:, None] * (1 + 0.02 * noise))
    found.record["model"] = {"name": "regions", "options": {}, "extras": [], "priors": {}}
    return found


def own(name="GB"):
    """Return a region of a file of the user's own, and the bright run."""
    return {"run": bright(), "region": name, "sky": load("coarse").select(["GB", "L-20"])}


def region_of_a_file(name):
    return lambda folder, **_: fitspec.region_spectrum(**own(name))


def stated(quantity="fov", band=(30.0, 80.0), distance=None, mass=None):
    """Return a step that says what a region is, as a fit of it does before it begins."""

    def step(folder, **_):
        spectrum = fitspec.region_spectrum(bright(), "GB", quantity)
        fitspec.check_stated(read_model("powerlaw"), spectrum, band, distance, mass)

    return step


def advised_quantity(folder, *, message, **_):
    fitspec.region_spectrum(**own(), quantity=re.search(r"take quantity='(\w+)'", message)[1])


def white_dwarfs(**changes):
    given = {"mass": 0.65, "index": 1.5, "share": 0.7} | changes
    return lambda folder, **_: bulge(BANDS, 100.0, **given)


WHITE = "simulate --revolutions 2 --sky coarse --white-dwarfs 0.65 1.5 0.7"

CASES = {
    # what the Crab is
    "no index": (r"index is missing: give e\.g\.", *crab("norm=10")),
    "no value": (r"'index' is not key=value: give e\.g\.", *crab("norm=10,index")),
    "a norm twice": (r"norm is given twice: give e\.g\.", *crab("norm=10,norm=9,index=2.1")),
    "a norm of letters": (r"norm is 'ten', not a number: give e\.g\.", *crab("norm=ten,index=2.1")),
    "no norm at all": (r"norm 0 must be above 0.*: give e\.g\.", *crab("norm=0,index=2.1")),
    "an index that overflows": (r"index 99 must lie within ±10: give e\.g\.", *crab("norm=10,index=99")),
    "a norm without end": (
        r"norm inf is not finite: give e\.g\.",
        lambda folder, **_: CrabSpectrum(np.inf, 2.1),
        specified(crab_spectrum),
    ),
    # how energies are spread
    "a width of letters": (r"fwhm=wide is not a number: give e\.g\.", *spread("fwhm=wide")),
    "a width without a value": (r"'fwhm=' is not key=value: give e\.g\.", *spread("fwhm=")),
    "a width twice": (r"fwhm is given twice: give e\.g\.", *spread("fwhm=0.1,fwhm=0.2")),
    "an energy without a width": (r"neither fwhm nor rmf.*: give e\.g\.", *spread("at=60")),
    "a matrix that is not there: a width": (
        r"nowhere\.rmf: no such file: give the matrix, or state a width: give e\.g\.",
        *spread("rmf=nowhere.rmf"),
    ),
    "a matrix that is not there: files": (
        "or a file: 'rmf=", reads(redistribution, "rmf=nowhere.rmf"), matrix_and_area,
    ),
    # spectra of regions
    "an intensity of a region of a file": (
        "take quantity='fov'",
        lambda f, **_: fitspec.region_spectrum(**own(), quantity="intensity"),
        advised_quantity,
    ),
    "a region of a file misspelt": (
        "did you mean 'GB'",
        region_of_a_file("GBB"),
        the_name(region_of_a_file),
    ),
    "a band of shares upside down": (
        r"share_band=\.\.\.: 80 to 30: give two energies in keV, the lower first",
        stated(band=(80.0, 30.0)),
        stated(band=(30.0, 80.0)),
    ),
    "a luminosity of an intensity": (
        "an intensity has no luminosity: take quantity='fov'",
        stated("intensity", distance=8.0),
        stated("fov", distance=8.0),
    ),
    "stars at no distance": (
        r"stellar_mass=\.\.\.: the luminosity over it needs distance=\.\.\. too",
        stated(mass=1e10),
        stated(mass=1e10, distance=8.0),
    ),
    "a share of 150 %": (
        "share=1.5: give the part of white dwarfs, from 0 to 1",
        white_dwarfs(share=1.5),
        white_dwarfs(share=1.0),
    ),
    "a photon index of 9": (
        "index=9: give a photon index from -5 to 5", white_dwarfs(index=9.0), white_dwarfs(index=5.0),
    ),
    # files of other programs
    "a response over a response": (
        r"a\.rsp: exists already: choose another name, or overwrite=True",
        lambda f, **_: [write_rmf(f / "a.rsp", BANDS, simulated=True) for _ in range(2)],
        lambda f, **_: (
            write_rmf(f / "b.rsp", BANDS, simulated=True),
            write_rmf(f / "a.rsp", BANDS, simulated=True, overwrite=True),
        ),
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""


def widened():
    """Return the bright run, as of white dwarfs whose latitude is free."""
    tree = bright().tree.copy(deep=True)
    latitude = np.full((1, 400, 4, 2), 0.1)
    posterior = tree["posterior"].to_dataset()
    tree["posterior"].dataset = posterior.assign(
        {"sky.latitude": (("chain", "draw", "band", "way"), latitude)}
    )
    model = {"name": "whitedwarf", "options": {}, "extras": ["free_latitude"], "priors": {}}
    return Run(tree, bright().record | {"model": model})


def power_law(found):
    """Return a step that fits a power law to a region's spectrum, without the model of the run."""
    return lambda f, **_: fitspec.fit_region(fitspec.region_spectrum(found(), "GB"), "powerlaw", draws=50)


SLOW = {
    "a redistribution of no spectrum": (
        "--redistribution: it needs the spectrum of the sky: --white-dwarfs",
        run("simulate --revolutions 2 --sky coarse --redistribution fwhm=0.1 --out o.fits"),
        run(f"{WHITE} --redistribution fwhm=0.1 --out o.fits"),
    ),
    "a joint fit of a model without components": (
        r"joint=True: its model 'regions' has no components: fit .*, or leave out joint=True",
        lambda f, **_: joint_fit(bright(), "GB"),
        power_law(bright),
    ),
    "a joint fit of a free latitude": (
        "with free_latitude every band sees another sky: leave out joint=True",
        lambda f, **_: joint_fit(widened(), "GB"),
        power_law(widened),
    ),
}


@cases(CASES, SLOW)
@pytest.mark.slow
def test_the_remedy_works(case, tmp_path, monkeypatch):
    follow(case, tmp_path, monkeypatch)
