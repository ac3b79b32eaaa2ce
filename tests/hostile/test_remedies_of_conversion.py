"""Remedies of errors of conversion and event lists: provoked, followed, and they work."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable.tree import Resource, TableElement, VOTableFile
from astropy.table import Column, Table

from ridgebayes.convert.times import read_revolutions
from ridgebayes.events import parse_bands
from ridgebayes.events.pif import read_pifs
from ridgebayes.events.rates import Cuts
from ridgebayes.events.table import assemble
from tests.helpers.event_maker import write_pif
from tests.helpers.readers import few
from tests.helpers.remedies import (
    BAND,
    RATES,
    REVOLUTIONS,
    WITH,
    both,
    converted,
    events,
    follow,
    foreign,
    header,
    measured,
    run,
    written,
)


def rates_with(**options):
    """Return a step that makes a table of the event list `e.fits`."""

    def step(folder, **_):
        revolutions = read_revolutions(folder / "rev.csv")
        return assemble([measured()(folder)], parse_bands("25-60"), revolutions, **options)

    return step


def same_times(name, mapping=""):
    """Return a step that converts a table, and finds the times of `few`."""
    return lambda folder, **_: np.testing.assert_allclose(
        converted(name, mapping)(folder).scws.mjd, few().mjd
    )


def two_votables(folder, **_):
    file, table = VOTableFile(), Table.read(folder / "f.ecsv")
    file.resources.append(Resource())
    for _ in range(2):
        file.resources[0].tables.append(TableElement.from_table(file, table))
    file.to_xml(str(folder / "two.vot"), _debug_python_based_parser=True)


CASES = {
    # conversion
    "a phase that is missing": (
        r"or give --revolution-table, a table of them\)",
        both(foreign(PHASE=None), run("convert f.ecsv --out o.fits")),
        both(
            lambda folder, **_: Table(
                {"REVOL": np.unique(few().revolution), "START": [few().mjd.min() - 0.5], "PERIOD": [3.0]}
            ).write(folder / "v.csv"),
            run("convert f.ecsv --revolution-table v.csv --out o.fits"),
        ),
    ),
    "files of other ScWs": (
        "--common",
        both(
            foreign("f25-60.csv"), foreign("g60-80.csv"),
            lambda f, **_: Table.read(f / "g60-80.csv")[3:].write(f / "g60-80.csv", overwrite=True),
            run("convert f25-60.csv g60-80.csv --mapping two.toml --out o.fits"),
        ),
        run("convert f25-60.csv g60-80.csv --mapping two.toml --out o.fits --common"),
    ),
    "several extensions": (
        r'put  extension = "A"  at the top',
        both(
            foreign(),
            lambda folder, **_: fits.HDUList(
                [fits.PrimaryHDU(), *(fits.table_to_hdu(Table.read(folder / "f.ecsv"), name=n) for n in "AB")]
            ).writeto(folder / "two.fits"),
            converted("two.fits"),
        ),
        converted("two.fits", 'extension = "A"'),
    ),
    "times in Z": (
        r'put  scale = "utc"  under \[time\]',
        both(
            foreign(MJD=None, DATE=["2004-01-26T01:00:00Z"] * 15),
            converted("f.ecsv", '[time]\nsystem = "iso"\nscale = "tt"'),
        ),
        converted("f.ecsv", '[time]\nsystem = "iso"\nscale = "utc"'),
    ),
    "a scale of text": (
        r'put  scale = "utc"  under \[time\]',
        both(foreign(MJD=None, DATE=["2004-01-26T01:00:00"] * 15), converted("f.ecsv")),
        converted("f.ecsv", '[time]\nscale = "utc"'),
    ),
    "hours or degrees": (
        r'put  RA = "hourangle"  under \[units\]',
        both(foreign(RA=["05:34:31"] * 15), converted("f.ecsv")),
        converted("f.ecsv", '[units]\nRA = "hourangle"'),
    ),
    "an exposure of some unit": (
        r'put  EXPOSURE = "UNIT"  \(s, ks, min, h, d\) under \[units\]',
        both(foreign(EXPOSURE=lambda s: s.exposure / 60), converted("f.ecsv")),
        converted("f.ecsv", '[units]\nEXPOSURE = "min"'),
    ),
    "no band in a name": (
        r'put  \[\[bands\]\] with name = "HARD"',
        both(foreign(RATE_25_60=None, ERR_25_60=None, RATE_HARD=lambda s: s.rate[:, 0]), converted("f.ecsv")),
        converted("f.ecsv", BAND + 'rate = "RATE_HARD"'),
    ),
    "rates of several elements": (
        "state element of its band",
        both(
            foreign(VEC=lambda s: Column(np.repeat(s.rate, 2, axis=1), unit="ct/s")),
            converted("f.ecsv", BAND + 'rate = "VEC"\nstat_err = "ERR_25_60"'),
        ),
        converted("f.ecsv", BAND + 'rate = "VEC"\nstat_err = "ERR_25_60"\nelement = 2'),
    ),
    "a band of a file that is not there": (
        r"put  file = 1  there",
        both(foreign(), converted("f.ecsv", BAND + 'rate = "RATE_25_60"\nfile = 2')),
        converted("f.ecsv", BAND + 'rate = "RATE_25_60"\nfile = 1'),
    ),
    "a column that is no flag": (
        r'put  source = ""  under \[columns\]',
        both(foreign(CRAB=lambda s: s.rate[:, 0]), converted("f.ecsv")),
        converted("f.ecsv", '[columns]\nsource = ""'),
    ),
    "simulated, and the mapping denies it": (
        "leave simulated out of it",
        converted("a.fits", "simulated = false"),
        converted("a.fits"),
    ),
    "a key misspelt": (
        r"did you mean 'columns'",
        converted("a.fits", "[colums]"),
        converted("a.fits", "[columns]"),
    ),
    "a zero that is text": (
        "the MJD at which the time is 0, a number",
        converted("a.fits", '[time]\nzero = "0"'),
        converted("a.fits", "[time]\nzero = 0.0"),
    ),
    "a rate of 0 without errors": (
        "name a stat_err column, or drop these ScWs",
        both(
            foreign(
                ERR_25_60=None,
                E=lambda s: s.stat_err[:, 0],
                RATE_25_60=lambda s: np.where(np.arange(15) == 2, 0, s.rate[:, 0]),
            ),
            converted("f.ecsv"),
        ),
        converted("f.ecsv", BAND + 'rate = "RATE_25_60"\nstat_err = "E"\n[units]\nE = "ct/s"'),
    ),
    # event lists
    "no revolutions": (
        "give --revolution-table TABLE with columns REVOL, START",
        both(events(), REVOLUTIONS, run(RATES)),
        run(WITH),
    ),
    "a pointing that is not known": (
        "give --pointing, a table of SCW_ID, RA, DEC, ROLL",
        both(events(RA_SCX=None, DEC_SCX=None), REVOLUTIONS, run(WITH)),
        both(
            written("SCW_ID,RA,DEC,ROLL\n255900280010,286.8,20.3,10.0\n", "p.csv"),
            run(f"{WITH} --pointing p.csv"),
        ),
    ),
    "a pointing twice": (
        "keep one row a ScW",
        both(
            events(RA_SCX=None, DEC_SCX=None), REVOLUTIONS,
            written("SCW_ID,RA,DEC\n255900280010,286.8,20.3\n255900280010,286.8,20.3\n", "p.csv"),
            run(f"{WITH} --pointing p.csv"),
        ),
        both(written("SCW_ID,RA,DEC\n255900280010,286.8,20.3\n", "p.csv"), run(f"{WITH} --pointing p.csv")),
    ),
    "dead time of some": (
        "or by --dead-time",
        both(
            events(DEADC=0.9), events("e2.fits", "255900290010"), REVOLUTIONS,
            run(WITH.replace("e.fits", "e.fits e2.fits")),
        ),
        run(WITH.replace("e.fits", "e.fits e2.fits") + " --dead-time 0.1"),
    ),
    "a dead time of 150 %": (
        "a fraction from 0 to below 1",
        both(events(), REVOLUTIONS, run(f"{WITH} --dead-time 1.5")),
        run(f"{WITH} --dead-time 0.15"),
    ),
    "bands that are none": (
        "no interval LOW-HIGH in keV, like 25-60",
        both(events(), REVOLUTIONS, run(f"{WITH} --energies 60-25")),
        run(f"{WITH} --energies 25-60"),
    ),
    "no revolutions (Python)": (
        r"give revolutions=\.\.\., a table with columns REVOL, START",
        both(events(), lambda f, **_: assemble([measured()(f)], parse_bands("25-60"), None)),
        both(
            REVOLUTIONS,
            lambda f, **_: assemble([measured()(f)], parse_bands("25-60"), read_revolutions(f / "rev.csv")),
        ),
    ),
    "a live fraction of 0": (
        r"give live=\.\.\. above 0 and up to 1",
        both(events(), REVOLUTIONS, rates_with(live=0.0)),
        rates_with(live=0.85),
    ),
    "no MJDREF": (
        "add it .51544 for INTEGRAL days.",
        both(events(MJDREF=None), measured()),
        both(header("e.fits", MJDREF=51544.0), measured()),
    ),
    "events in UTC": (
        "give times in TT",
        both(events(TIMESYS="UTC"), measured()),
        both(header("e.fits", TIMESYS="TT"), measured()),
    ),
    "no SWID": (
        "must be 12 digits like 025900280010: add it",
        both(events(SWID=None), measured()),
        both(header("e.fits", SWID="255900280010"), measured()),
    ),
    "REVOL and SWID": (
        "REVOL is 12 but SWID 255900280010: mend one",
        both(events(REVOL=12), measured()),
        both(header("e.fits", REVOL=2559), measured()),
    ),
    # more of conversion
    "two errors of a band": (
        r'put  stat_err = "ERR_25_60"  under its \[\[bands\]\]',
        both(foreign(ERROR_25_60=lambda s: s.stat_err[:, 0]), converted("f.ecsv")),
        converted("f.ecsv", BAND + 'rate = "RATE_25_60"\nstat_err = "ERR_25_60"'),
    ),
    "no rates": (
        r"no column of rates or counts: put  \[\[bands\]\]",
        both(foreign(RATE_25_60=None, ERR_25_60=None, X=lambda s: s.rate[:, 0]), converted("f.ecsv")),
        converted("f.ecsv", BAND + 'rate = "X"\n[units]\nX = "ct/s"'),
    ),
    "two rates of a band": (
        r'put  \[\[bands\]\] .*rate = "RATE_25_60"',
        both(foreign(COUNTS_25_60=lambda s: s.rate[:, 0]), converted("f.ecsv")),
        converted("f.ecsv", BAND + 'rate = "RATE_25_60"\nstat_err = "ERR_25_60"'),
    ),
    "rates that are not clear": (
        r'put  rate = "COLUMN"  under its',
        both(foreign(), converted("f.ecsv", BAND.replace("A01", "soft"))),
        converted("f.ecsv", BAND.replace("A01", "soft") + 'rate = "RATE_25_60"\nstat_err = "ERR_25_60"'),
    ),
    "a vector without bands": (
        r'put  \[\[bands\]\] .*element = 1',
        both(
            foreign(
                RATE_25_60=None,
                ERR_25_60=None,
                RATE=lambda s: Column(np.repeat(s.rate, 2, 1), unit="ct/s"),
            ),
            converted("f.ecsv"),
        ),
        converted("f.ecsv", BAND + 'rate = "RATE"\nelement = 1'),
    ),
    "a unit that is not clear": (
        r'put  X = "ct/s"  under \[units\]',
        both(
            foreign(X=lambda s: s.rate[:, 0]),
            converted("f.ecsv", BAND + 'rate = "X"\nstat_err = "ERR_25_60"'),
        ),
        converted("f.ecsv", BAND + 'rate = "X"\nstat_err = "ERR_25_60"\n[units]\nX = "ct/s"'),
    ),
    "half a position": (
        r'no column for the dec: put  dec = "COLUMN"',
        both(foreign(DEC=None, DELTA=lambda s: s.dec), converted("f.ecsv", '[columns]\nra = "RA"')),
        converted("f.ecsv", '[columns]\nra = "RA"\ndec = "DELTA"'),
    ),
    "a TIMESYS of no kind (convert)": (
        r'put  scale = "tt"  under \[time\]',
        both(header(TIMESYS="LOCAL"), converted("a.fits")),
        converted("a.fits", '[time]\nscale = "tt"'),
    ),
    "an extension misspelt": (
        "did you mean 'SCW'",
        converted("a.fits", 'extension = "SWC"'),
        converted("a.fits", 'extension = "SCW"'),
    ),
    "seconds of another zero": (
        r"730 d after the revolutions of SCW_ID: put  zero = 50814\.0  .*under \[time\]",
        both(
            foreign(MJD=None, TIME=lambda s: Column((s.mjd - 50814.0) * 86400, unit="s")), converted("f.ecsv")
        ),
        same_times("f.ecsv", "[time]\nzero = 50814.0"),
    ),
    "one of two VOTables": (
        r'put  extension = "TABLE1"  at the top',
        both(foreign(), two_votables, converted("two.vot")),
        converted("two.vot", 'extension = "TABLE1"'),
    ),
    "a unit by another name": (
        "has the unit 'deg', which is no s: convert the column",
        both(foreign(EXPOSURE=lambda s: Column(s.exposure, unit="deg")), converted("f.ecsv")),
        both(foreign(EXPOSURE=lambda s: Column(s.exposure, unit="sec")), same_times("f.ecsv")),
    ),
    "one date that is none": (
        r"column MJD is not numeric \(row 6: '0000-00-00'\): mend that value",
        both(
            foreign(MJD=lambda s: np.where(np.arange(15) == 5, "0000-00-00", s.mjd.astype(str))),
            converted("f.ecsv"),
        ),
        both(foreign(MJD=lambda s: s.mjd.astype(str)), same_times("f.ecsv")),
    ),
    "decimal commas": (
        "column EXPOSURE is not numeric .*: write numbers, with a decimal point",
        both(
            foreign(EXPOSURE=lambda s: np.char.replace(s.exposure.astype(str), ".", ",")), converted("f.ecsv")
        ),
        both(foreign(EXPOSURE=lambda s: s.exposure.astype(str)), same_times("f.ecsv")),
    ),
    "a header that is no number": (
        "a.fits: keyword TIMEZERO is 'abc', not a number: mend it",
        both(header(TIMEZERO="abc"), converted("a.fits")),
        both(header(TIMEZERO=0.0), converted("a.fits")),
    ),
    "a mapping that is no TOML": (
        r"not TOML \(.* at line 2 .*\): mend that line",
        both(foreign(), converted("f.ecsv", '[time]\nscale = tt\n')),
        converted("f.ecsv", '[time]\nscale = "tt"\n'),
    ),
    "bands that are one table": (
        r"bands is no list of tables: write \[\[bands\]\] once a band",
        both(foreign(), converted("f.ecsv", BAND.replace("[[bands]]", "[bands]"))),
        converted("f.ecsv", BAND + 'rate = "RATE_25_60"'),
    ),
    "a band without its end": (
        r"has no e_max: give name, e_min and e_max \(keV\)",
        both(foreign(), converted("f.ecsv", BAND.replace("e_max = 60\n", ""))),
        converted("f.ecsv", BAND + 'rate = "RATE_25_60"'),
    ),
    # sources of an event list, and cuts
    "a model file of no shadow": (
        "e.fits: no image extension .*: give the model file that OSA's ii_pif writes",
        both(events(), lambda f, **_: read_pifs(f / "e.fits")),
        lambda f, **_: read_pifs(write_pif(f / "pif.fits", np.ones((134, 130)))),
    ),
    "a cut of 40 standard deviations": (
        "burst_sigma 40: give 1 to 30 standard deviations, or 0 for no cut",
        lambda f, **_: Cuts(burst_sigma=40.0),
        lambda f, **_: [Cuts(burst_sigma=sigma) for sigma in (1.0, 30.0, 0.0)],
    ),
    "bins of no length": (
        "scatter_s 0: give bins of a few hundred seconds",
        lambda f, **_: Cuts(scatter_s=0.0),
        lambda f, **_: Cuts(scatter_s=300.0),
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_the_remedy_works(name, tmp_path, monkeypatch):
    follow(CASES[name], tmp_path, monkeypatch)
