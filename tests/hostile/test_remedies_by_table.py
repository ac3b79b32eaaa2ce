"""A table of errors and what each advises: the error is provoked, the advice is followed, and it works.

A case is a message, a step that meets it, and the step that the message advises. Steps take the folder of the
case; `run` is a line of the command line, and `edited` a change of a file.
"""

import dataclasses
import gzip
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, Table

from ridgebayes import InputError, models, read_scws, sky, write_scws
from ridgebayes.convert import convert
from ridgebayes.convert.mapping import parse_mapping
from ridgebayes.events import measure, parse_bands, read_events
from ridgebayes.instrument.crab_spectrum import crab_spectrum
from ridgebayes.priors.text import parse_prior
from ridgebayes.products.draws import posterior_draws
from ridgebayes.products.monitor import read_monitor
from tests.helpers.cli import call
from tests.helpers.event_maker import make_events, write_events
from tests.helpers.readers import few
from tests.helpers.step_run import step_run


def run(line):
    """Return a step that calls the command line in the folder; exit code 2 is an InputError."""

    def step(folder, **found):
        done = call(*shlex.split(line.format(**found)))
        if done.exit_code == 2:
            raise InputError(done.stderr.strip().splitlines()[-1].removeprefix("ridgebayes: "))
        assert done.exit_code == 0, done.output
        return done

    return step


def the_command(more=""):
    """Return a step that calls the command which the message advises, with what it leaves to the user."""

    def step(folder, *, message, **_):
        advised = re.search(r"ridgebayes ((?:[a-z]+) .*?)(?:$|`| \(| or )", message)[1].strip()
        return run(f"{advised.replace('{', '{{').replace('}', '}}')} {more}")(folder)

    return step


def both(*steps):
    def step(folder, **found):
        for one in steps:
            one(folder, **found)

    return step


def read(name="a.fits"):
    return lambda folder, **_: read_scws(folder / name)


def converted(name, mapping=""):
    return lambda folder, **_: convert([folder / name], parse_mapping(mapping))


def edited(change, name="a.fits"):
    """Return a step that changes the ScW table of a file, and reads it."""

    def step(folder, **_):
        table = Table.read(folder / name, hdu="SCW") if name.endswith("fits") else Table.read(folder / name)
        table = change(table) or table
        if name.endswith(".fits"):
            with fits.open(folder / name) as hdus:
                table.meta = {}
                new = fits.table_to_hdu(table, name="SCW")
                for key in ("SIMUL", "OSAVER", "ORIGIN", "TIMESYS"):
                    if key in hdus["SCW"].header:
                        new.header[key] = hdus["SCW"].header[key]
                for hdu in hdus:
                    hdu.header.remove("CHECKSUM", ignore_missing=True)
                    hdu.header.remove("DATASUM", ignore_missing=True)
                fits.HDUList([hdus[0], new, *(h for h in hdus[1:] if h.name != "SCW")]).writeto(
                    folder / "edited.fits", overwrite=True
                )
            shutil.move(folder / "edited.fits", folder / name)
        else:
            table.write(folder / name, overwrite=True)
        return read_scws(folder / name)

    return step


def column(name, values):
    def change(table):
        table[name] = values(table) if callable(values) else values

    return change


def without(*names):
    return lambda table: table.remove_columns(list(names))


def rows_kept(keep):
    return lambda table: table[keep(table)]


def header(name="a.fits", extension=1, **cards):
    """Return a step that changes keywords of a file; None takes one away."""

    def step(folder, **_):
        with fits.open(folder / name, mode="update") as hdus:
            for hdu in hdus:
                hdu.header.remove("CHECKSUM", ignore_missing=True)
                hdu.header.remove("DATASUM", ignore_missing=True)
            for key, value in cards.items():
                if value is None:
                    hdus[extension].header.remove(key, ignore_missing=True)
                else:
                    hdus[extension].header[key] = value

    return step


def bands(change, name="a.fits"):
    def step(folder, **_):
        with fits.open(folder / name) as hdus:
            data = Table(hdus["EBOUNDS"].data)
            change(data)
            kept = [h for h in hdus if h.name != "EBOUNDS"]
            for hdu in kept:
                hdu.header.remove("CHECKSUM", ignore_missing=True)
                hdu.header.remove("DATASUM", ignore_missing=True)
            fits.HDUList([*kept, fits.table_to_hdu(data, name="EBOUNDS")]).writeto(folder / "e.fits")
        shutil.move(folder / "e.fits", folder / name)
        return read_scws(folder / name)

    return step


def written(content, name):
    def step(folder, **_):
        (folder / name).write_bytes(content(folder) if callable(content) else content.encode())

    return step


def foreign(name="f.ecsv", **changes):
    """Return a step that writes a table as another program would; a column of None is left out."""

    def step(folder, **_):
        scws = few().take_bands("A01")
        table = Table({"SCW_ID": scws.scw_id, "PHASE": scws.phase, "MJD": scws.mjd})
        table["EXPOSURE"], table["RA"], table["DEC"] = scws.exposure, scws.ra, scws.dec
        table["RATE_25_60"], table["ERR_25_60"] = scws.rate[:, 0], scws.stat_err[:, 0]
        for key, values in changes.items():
            if values is None:
                table.remove_column(key)
            else:
                table[key] = values(scws) if callable(values) else values
        formats = {"csv": "ascii.csv", "ecsv": "ascii.ecsv"}
        table.write(folder / name, format=formats.get(name.split(".")[-1]), overwrite=True)

    return step


def copied(name, **changes):
    """Return a step that writes the table `few` with other fields."""

    def step(folder, **_):
        given = {k: v(few()) if callable(v) else v for k, v in changes.items()}
        write_scws(dataclasses.replace(few(), **given), folder / name, overwrite=True)

    return step


def later(scws):
    return np.array([f"0{int(i[1:4]) + 7:03d}{i[4:]}" for i in scws.scw_id])


NEXT = {"scw_id": later, "revolution": lambda scws: scws.revolution + 7}
SIMULATED = {"simulated": True, "osa_version": "11.2"}


def flags(name, value, screening):
    return copied(name, screen=np.full(15, value), meta=SIMULATED | {"screening": screening})


def events(name="e.fits", scw="255900280010", **keywords):
    def step(folder, **_):
        drawn = make_events(np.random.default_rng(2), 70.0)
        write_events(folder / name, drawn, scw_id=scw, keywords=keywords)

    return step


def measured(name="e.fits"):
    return lambda folder, **_: measure(read_events(folder / name), parse_bands("25-60"))


REVOLUTIONS = written("REVOL,START,PERIOD\n2559,59863.0,2.5\n", "rev.csv")
RATES = "rates e.fits --pixels all --out t.fits"
WITH = f"{RATES} --revolution-table rev.csv"
FLARE = {"FLARE": {"bit": 0, "log": "x"}}
OTHER = {"DUST": {"bit": 0, "log": "y"}}
BAND = '[[bands]]\nname = "A01"\ne_min = 25\ne_max = 60\n'
RISE = written("x", "out.fits")
EXPORT = "export run --only draws"


def region(text, name="r.toml"):
    return both(written(text, name), lambda folder, **_: sky.load(folder / name))


def box(name, low, high):
    return f'[[region]]\nname = "{name}"\nlon = [{low}, {high}]\nshape = {{kind = "uniform", lat_max = 10}}\n'


def healpix(**cards):
    def step(folder, **_):
        table = fits.BinTableHDU.from_columns([fits.Column("T", "D", array=np.arange(1.0, 193.0))])
        table.header.update(cards)
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / "m.fits", overwrite=True)
        return sky.read_template(folder / "m.fits")

    return step


THREE = {"BAND": ["a", "b", "c"], "E_MIN": [1, 2, 3], "E_MAX": [2, 3, 4]}


def ebounds_beside(folder, **_):
    Table({"BAND": ["A01"], "E_MIN": [25.0], "E_MAX": [60.0]}).write(folder / "c.ebounds.ecsv")
    return read_scws(folder / "c.csv")


def one_band_csv(folder, **_):
    write_scws(dataclasses.replace(few().take_bands("A01"), truth=None), folder / "c.csv")
    (folder / "c.ebounds.ecsv").unlink()


def fitscheck(folder, *, message, **_):
    words = shlex.split(message.split("accept it: ")[1])
    words[0] = str(Path(sys.executable).with_name("fitscheck"))
    subprocess.run(words, cwd=folder, check=False, capture_output=True)  # 1 where a sum did not fit
    return read_scws(folder / "a b.fits")


def changed_byte(folder, **_):
    content = (folder / "a.fits").read_bytes()
    (folder / "a b.fits").write_bytes(content.replace(b"'TT      '", b"'UTC     '", 1))


def prior(text):
    return lambda folder, **_: models.regions(sky.load("coarse")).with_priors(
        {"background.scatter": parse_prior(text)}
    )


@cache
def made():
    return step_run(1)


def saved(folder):
    return made().save(folder / "run")


def saving(folder, **_):
    saved(folder)


CASES = {
    # what is written where
    "append over a file": (
        "choose another --out, or --overwrite",
        both(RISE, run("append a.fits l.fits --out out.fits")),
        run("append a.fits l.fits --out out.fits --overwrite"),
    ),
    "convert over a file": (
        "choose another --out",
        both(RISE, run("convert a.fits --out out.fits")),
        run("convert a.fits --out other.fits"),
    ),
    "screen over a file": (
        "choose another --out, or --overwrite",
        both(RISE, run("screen a.fits --out out.fits")),
        run("screen a.fits --out out.fits --overwrite"),
    ),
    "simulate over a file": (
        "choose another --out, or --overwrite",
        both(RISE, run("simulate --revolutions 2 --sky coarse --out out.fits")),
        run("simulate --revolutions 2 --sky coarse --out out.fits --overwrite"),
    ),
    "rates over a file": (
        "choose another --out, or --overwrite",
        both(RISE, events(), REVOLUTIONS, run("rates e.fits --revolution-table rev.csv --out out.fits")),
        run("rates e.fits --pixels all --revolution-table rev.csv --out out.fits --overwrite"),
    ),
    "convert without --out": (r"no --out: .*--guess", run("convert a.fits"), run("convert a.fits --guess")),
    "a folder that is not there": (
        "create it first",
        lambda folder, **_: write_scws(few(), folder / "new" / "a.fits"),
        lambda folder, **_: ((folder / "new").mkdir(), write_scws(few(), folder / "new" / "a.fits")),
    ),
    "a name that says no format": (
        r"name it \.fits",
        lambda folder, **_: write_scws(few(), folder / "a.dat"),
        lambda folder, **_: write_scws(few(), folder / "a.fits.gz"),
    ),
    # joining and screening
    "the same ScWs twice": (
        "choose --duplicates first or --duplicates last",
        run("append a.fits a.fits --out o.fits"),
        run("append a.fits a.fits --out o.fits --duplicates last"),
    ),
    "other OSA": (
        "--mix-osa",
        both(
            copied("o.fits", **NEXT, meta=SIMULATED | {"osa_version": "10.2"}),
            run("append a.fits o.fits --out j.fits"),
        ),
        run("append a.fits o.fits --out j.fits --mix-osa"),
    ),
    "a column that one lacks": (
        "--drop-optional",
        both(
            copied("o.fits", **NEXT, roll=None, meta=SIMULATED),
            run("append a.fits o.fits --out j.fits"),
        ),
        run("append a.fits o.fits --out j.fits --drop-optional"),
    ),
    "all flagged": (
        "SCREEN flags all 15",
        both(flags("s t.fits", 1, FLARE), read("s t.fits")),
        both(the_command(), read("NEW.fits")),
    ),
    "flags of two names": (
        "bit 0 of SCREEN is DUST, of another table FLARE",
        both(
            flags("s.fits", 1, FLARE),
            flags("u v.fits", 1, OTHER),
            run("append s.fits 'u v.fits' --duplicates last --out j.fits"),
        ),
        both(the_command(), run("append s.fits NEW.fits --duplicates last --out j.fits")),
    ),
    "flags without a name": (
        "bit 0 of SCREEN has no name",
        both(
            flags("s.fits", 1, FLARE),
            flags("u.fits", 1, {}),
            run("append s.fits u.fits --duplicates last --out j.fits"),
        ),
        both(the_command(), run("append s.fits NEW.fits --duplicates last --out j.fits")),
    ),
    "a bit that is taken": (
        r"is taken \(DUST\): clear the flags first \(ridgebayes screen FILE --undo\)",
        both(flags("u.fits", 2, OTHER), run("screen u.fits --out s.fits")),
        both(run("screen u.fits --undo --out v.fits"), run("screen v.fits --out s.fits")),
    ),
    "a cut of another name": (
        "did you mean 'FLARE'",
        both(flags("s.fits", 1, FLARE), run("screen s.fits --clear FLAIR --out o.fits")),
        run("screen s.fits --clear FLARE --out o.fits"),
    ),
    "a negative threshold": (
        "or 0 for no such cut",
        run("screen a.fits --flare -1 --out o.fits"),
        run("screen a.fits --flare 0 --out o.fits"),
    ),
    "phases that fall": (
        "two phases between 0 and 1, rising",
        run("screen a.fits --phase 0.9 0.1 --out o.fits"),
        run("screen a.fits --phase 0.1 0.9 --out o.fits"),
    ),
    # rows and columns of the table
    "a NaN": (
        r"row 3 .*RATE .* drop these ScWs",
        edited(column("RATE", lambda t: np.where(np.arange(15)[:, None] == 2, np.nan, t["RATE"]))),
        edited(rows_kept(lambda t: np.isfinite(np.ma.filled(t["RATE"], np.nan)).all(axis=1))),
    ),
    "a tracer that is missing": (
        "drop these ScWs, or the column for a fit without",
        edited(column("TRACER", lambda t: np.where(np.arange(15) == 2, np.nan, t["TRACER"]))),
        edited(without("TRACER", "TRACER_ERR")),
    ),
    "errors of no tracer": (
        "add TRACER or leave out both", edited(without("TRACER")), edited(without("TRACER_ERR")),
    ),
    "errors of a tracer that are negative": (
        "or the column TRACER_ERR",
        edited(column("TRACER_ERR", lambda t: np.where(np.arange(15) == 2, -3.3, t["TRACER_ERR"]))),
        edited(without("TRACER_ERR")),
    ),
    "a roll that is none": (
        "or the column to average the response over roll",
        edited(column("ROLL", lambda t: np.where(np.arange(15) == 2, 900.0, t["ROLL"]))),
        edited(without("ROLL")),
    ),
    "a revolution that SCW_ID denies": (
        "or leave out REVOL", edited(column("REVOL", lambda t: t["REVOL"] + 1)), edited(without("REVOL")),
    ),
    "a ScW twice": (
        "keep one row a ScW",
        edited(column("SCW_ID", lambda t: np.where(np.arange(15) == 2, t["SCW_ID"][0], t["SCW_ID"]))),
        edited(rows_kept(lambda t: np.arange(15) != 2)),
    ),
    "an id without its zeros": (
        "write it like 025900280010",
        edited(column("SCW_ID", lambda t: [i.lstrip("0") for i in t["SCW_ID"]])),
        edited(column("SCW_ID", lambda t: [i.zfill(12) for i in t["SCW_ID"]])),
    ),
    "a name misspelt": (
        r"did you mean 'EXPOSUR'\?\): add it, rename one",
        edited(lambda t: t.rename_column("EXPOSURE", "EXPOSUR")),
        edited(lambda t: t.rename_column("EXPOSUR", "EXPOSURE")),
    ),
    "names that only convert knows": (
        "make a ScW table of it: ridgebayes convert",
        edited(lambda t: t.rename_column("EXPOSURE", "ONTIME")),
        both(the_command(), read("NEW.fits")),
    ),
    "two names of one column": (
        "differ only in case: rename one",
        edited(column("rate", lambda t: t["RATE"]), "a.ecsv"),
        edited(lambda t: t.rename_column("rate", "rate_of_others"), "a.ecsv"),
    ),
    "a unit of no kind": (
        "write ct / s",
        edited(lambda t: setattr(t["RATE"], "unit", "furlongs"), "a.ecsv"),
        edited(lambda t: setattr(t["RATE"], "unit", "ct/s"), "a.ecsv"),
    ),
    "a flag that is not known": (
        "fill it in, or drop these ScWs",
        edited(column("SOURCE", lambda t: np.where(np.arange(15) == 2, "", "no")), "a.ecsv"),
        edited(column("SOURCE", "no"), "a.ecsv"),
    ),
    "a column CRAB of something else": (
        "or rename it where it is of something else",
        edited(column("CRAB", lambda t: np.full(15, 119.0))),
        edited(lambda t: t.rename_column("CRAB", "CRAB_RATE")),
    ),
    "bits that are none": (
        "or leave the column out", edited(column("SCREEN", np.full(15, 0.5))), edited(without("SCREEN")),
    ),
    "times in IJD": (
        'system = "ijd"',
        edited(column("MJD", lambda t: t["MJD"] - 51544.0)),
        lambda folder, message, **_: convert(
            [folder / "a.fits"], parse_mapping("[time]\n" + re.search(r"with  (.+?)  under", message)[1])
        ),
    ),
    "TIMESYS of no kind": (
        "give times in TT, and say so",
        both(header(TIMESYS="LOCAL"), read()),
        both(header(TIMESYS="TT"), read()),
    ),
    "a truth of real data": (
        "set SIMUL = T",
        both(header(SIMUL=False), header(extension=0, SIMUL=False), read()),
        both(header(SIMUL=True), read()),
    ),
    "bands without EBOUNDS (CSV)": (
        r"add the side file c\.ebounds\.ecsv with BAND, E_MIN, E_MAX",
        both(one_band_csv, read("c.csv")),
        ebounds_beside,
    ),
    "bands without EBOUNDS (ECSV)": (
        "add EBOUNDS to the meta",
        edited(lambda t: t.meta.update(EBOUNDS=None), "a.ecsv"),
        edited(lambda t: t.meta.update(EBOUNDS=THREE), "a.ecsv"),
    ),
    "a band from 0 keV": (
        "give 0 < E_MIN < E_MAX",
        bands(lambda t: t["E_MIN"].__setitem__(0, 0.0)),
        bands(lambda t: t["E_MIN"].__setitem__(0, 20.0)),
    ),
    "a band twice": (
        "repeats row 1: rename one",
        bands(lambda t: t["BAND"].__setitem__(1, "A01")),
        bands(lambda t: t["BAND"].__setitem__(1, "A02")),
    ),
    "bands of another number": (
        "give one row of EBOUNDS a band",
        bands(lambda t: t.remove_row(2)),
        bands(lambda t: t.add_row(["A03", 80.0, 200.0])),
    ),
    # files
    "a checksum that does not fit": (
        "fitscheck --write --force", both(changed_byte, read("a b.fits")), fitscheck,
    ),
    "compressed twice": (
        "unpack it first",
        both(
            written(lambda f: gzip.compress(gzip.compress((f / "a.fits").read_bytes())), "b.fits"),
            read("b.fits"),
        ),
        both(written(lambda f: gzip.decompress((f / "b.fits").read_bytes()), "c.fits"), read("c.fits")),
    ),
    # conversion
    "a phase that is missing": (
        r"or give a table of --revolution-table\)",
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
        r'put  EXPOSURE = "s"  under \[units\]',
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
        both(events(), REVOLUTIONS, run(f"{WITH} --bands 60-25")),
        run(f"{WITH} --bands 25-60"),
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
        "choose another name or set overwrite",
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
        "keep one draw in 1 or more",
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
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""

TWO = """
[[bands]]
name = "A01"
e_min = 25
e_max = 60
rate = "RATE_25_60"
stat_err = "ERR_25_60"
file = 1
[[bands]]
name = "A02"
e_min = 60
e_max = 80
rate = "RATE_25_60"
stat_err = "ERR_25_60"
file = 2
"""


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_remedy_works(name, tmp_path, monkeypatch):
    words, wrong, right = CASES[name]
    monkeypatch.chdir(tmp_path)
    scws = dataclasses.replace(few(), truth={"note": "simulated"}, meta=few().meta | {"osa_version": "11.2"})
    write_scws(scws, tmp_path / "a.fits")
    write_scws(few(), tmp_path / "a.ecsv")
    copied("l.fits", scw_id=later, revolution=lambda s: s.revolution + 7, meta=scws.meta)(tmp_path)
    (tmp_path / "two.toml").write_text(TWO)
    with pytest.raises(InputError, match=words) as caught:
        wrong(tmp_path)
    right(tmp_path, message=str(caught.value))
