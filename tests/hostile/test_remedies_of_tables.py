"""Remedies of errors of ScW tables: provoked, followed, and they work."""

import gzip
import re

import numpy as np
import pytest
from astropy.time import Time

from ridgebayes import write_scws
from ridgebayes.convert import convert
from ridgebayes.convert.mapping import parse_mapping
from tests.helpers.readers import few
from tests.helpers.remedies import (
    FLARE,
    NEXT,
    OTHER,
    REVOLUTIONS,
    RISE,
    SIMULATED,
    THREE,
    bands,
    both,
    changed_byte,
    column,
    copied,
    ebounds_beside,
    edited,
    events,
    fitscheck,
    flags,
    follow,
    header,
    one_band_csv,
    read,
    rows_kept,
    run,
    the_command,
    without,
    written,
)

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
        "convert it to ct / s",
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
    "dates in MJD": (
        "MJD holds dates, not days: make a ScW table of it: ridgebayes convert",
        edited(column("MJD", lambda t: Time(t["MJD"], format="mjd", scale="tt").isot), "a.ecsv"),
        both(written('[time]\nscale = "tt"\n', "m.toml"), the_command("--mapping m.toml"), read("NEW.fits")),
    ),
    "pointings of zero": (
        r"row 3 .*RA is 0, and so is DEC, which is no pointing: drop these ScWs",
        edited(lambda t: [t[n].__setitem__(2, 0.0) for n in ("RA", "DEC")] and None),
        edited(rows_kept(lambda t: np.asarray(t["RA"]) != 0)),
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_remedy_works(name, tmp_path, monkeypatch):
    follow(CASES[name], tmp_path, monkeypatch)
