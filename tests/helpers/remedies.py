"""Tests of advice in error messages: provoke an error, follow its advice, and check that it works.

A case consists of a message, a step that provokes it, and the step that it advises. Steps take the folder of
the case; `run` calls a command, and `edited` changes a file.
"""

import dataclasses
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
from astropy.table import Table

from ridgebayes import InputError, models, read_scws, sky, write_scws
from ridgebayes.convert import convert
from ridgebayes.convert.mapping import parse_mapping
from ridgebayes.events import measure, parse_bands, read_events
from ridgebayes.priors.text import parse_prior
from tests.helpers.cli import call
from tests.helpers.event_maker import make_events, write_events
from tests.helpers.readers import few
from tests.helpers.step_run import step_run


def run(line, also=()):
    """Return a step that calls the command line in the folder; exit code 2 is an InputError.

    Exit codes in `also` count as success.
    """

    def step(folder, **found):
        done = call(*shlex.split(line.format(**found)))
        if done.exit_code == 2:
            raise InputError(done.stderr.strip().splitlines()[-1].removeprefix("ridgebayes: "))
        assert done.exit_code in (0, *also), done.output
        return done

    return step


def the_command(more="", also=(), **named):
    """Return a step that calls the command in the message, with the remaining arguments from the user.

    `named` replaces placeholders by files: ``FILE="a.fits"``.
    """

    def step(folder, *, message, **_):
        advised = re.search(r"ridgebayes ((?:[a-z]+) .*?)(?:$|`| \(| or )", message)[1].strip()
        for name, file in named.items():
            assert name in advised
            advised = re.sub(rf"{name}[.\w]*", file, advised)
        return run(f"{advised.replace('{', '{{').replace('}', '}}')} {more}", also)(folder)

    return step


def the_name(step_with):
    """Return a step that repeats the call with the name that the message suggests."""
    return lambda folder, *, message, **_: step_with(re.search(r"did you mean '(.+?)'", message)[1])(folder)


def without_that_line(folder, *, message, **_):
    """Remove the line named in the message from the file named there."""
    name, number = re.search(r"^(\S+), line (\d+): .*: remove that line$", message).groups()
    lines = (folder / name).read_text().splitlines(keepends=True)
    del lines[int(number) - 1]
    (folder / name).write_text("".join(lines))


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
    """Return a step that changes the ScW table in a file and reads it."""

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
    """Return a step that changes keywords of a file; None removes one."""

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
    """Return a step that writes a table as other programs do, without columns that are None."""

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
    """Return a step that writes the table `few` with changed fields."""

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
    subprocess.run(words, cwd=folder, check=False, capture_output=True)  # 1 if a checksum was wrong
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


def cases(quick, slow):
    """Parametrise a test with cases by name; mark those in `slow`."""
    marked = [(quick, ()), (slow, pytest.mark.slow)]
    given = [pytest.param(case, id=name, marks=m) for found, m in marked for name, case in found.items()]
    return pytest.mark.parametrize("case", given)


def follow(case, folder, monkeypatch):
    """Provoke the error of a case in a folder with some tables, and follow the advice of its message."""
    words, wrong, right = case
    monkeypatch.chdir(folder)
    scws = dataclasses.replace(few(), truth={"note": "simulated"}, meta=few().meta | {"osa_version": "11.2"})
    write_scws(scws, folder / "a.fits")
    write_scws(few(), folder / "a.ecsv")
    copied("l.fits", scw_id=later, revolution=lambda s: s.revolution + 7, meta=scws.meta)(folder)
    (folder / "two.toml").write_text(TWO)
    with pytest.raises(InputError, match=words) as caught:
        wrong(folder)
    right(folder, message=str(caught.value))
