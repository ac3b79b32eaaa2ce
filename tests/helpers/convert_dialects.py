"""Writes a ScW table in formats of other programs, to test conversion."""

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.io import fits
from astropy.table import Column, Table
from astropy.time import Time
from numpy.testing import assert_allclose, assert_array_equal

from ridgebayes.convert import BandColumns, Mapping
from tests.helpers.votable import write_votable

FORMATS = ("fits", "fits.gz", "ecsv", "csv", "csv.gz", "txt", "parquet", "vot")
RATES = ("ct/s", "ct/ks", "counts", "1/s")
SKIES = ("deg", "galactic", "rad", "hours", "sexagesimal")
TIMES = ("mjd", "ijd", "ijd seconds", "jd", "iso", "utc", "ends", "phase only", "time only")
CASES = ("upper", "lower")
IDS = ("text", "integer", "version")


@dataclass(frozen=True)
class Dialect:
    """One way to write a table."""

    format: str = "fits"
    rates: str = "ct/s"
    sky: str = "deg"
    time: str = "mjd"
    vectors: bool = False
    case: str = "upper"
    ids: str = "text"


def write(scws, folder, d):
    """Write the table; return the path, and the mapping that resolves its ambiguities."""
    table, system, scale = Table(), None, None
    table["SCW_ID"] = {
        "text": scws.scw_id,
        "integer": scws.scw_id.astype(np.int64),
        "version": np.char.add(scws.scw_id, ".001"),
    }[d.ids]
    table["EXPOSURE"] = Column(scws.exposure / 1e3, unit="ks")
    if d.time != "time only":
        table["PHASE"] = scws.phase
    system, scale = _write_time(table, scws, d.time)
    units = _write_sky(table, scws, d.sky)
    table["ROLL"] = Column(scws.roll, unit="deg")
    _write_rates(table, scws, d)
    table["CRAB"] = scws.crab if d.format in ("fits", "parquet", "vot", "ecsv") else scws.crab.astype(int)
    texts = d.format in ("csv", "csv.gz", "txt")
    if texts:  # texts have no units
        units = {name: str(table[name].unit) for name in table.colnames if table[name].unit} | units
    change = {"upper": str.upper, "lower": str.lower}[d.case]
    table.rename_columns(table.colnames, [change(name) for name in table.colnames])
    bands = (
        ()
        if d.format.startswith("fits")
        else tuple(BandColumns(b.name, b.e_min, b.e_max) for b in scws.bands)
    )
    mapping = Mapping(bands=bands, units=units, system=system, scale=scale, simulated=True)
    return _write_file(table, scws, folder, d.format), mapping


def _write_time(table, scws, how):
    time = Time(scws.mjd, format="mjd", scale="tt", precision=9)
    if how in ("mjd", "time only"):
        table["TIME"] = Column(scws.mjd, unit="d")
    elif how == "ijd":
        table["TIME"] = Column(scws.mjd - 51544, unit="d")
    elif how == "ijd seconds":
        table["TIME"] = Column((scws.mjd - 51544) * 86400, unit="s")
    elif how == "jd":
        table["TIME"] = Column(scws.mjd + 2400000.5, unit="d")
    elif how == "iso":
        table["DATE_OBS"] = time.isot
        return None, "tt"
    elif how == "utc":
        table["DATE_OBS"] = np.char.add(time.utc.isot, "Z")
    elif how == "ends":
        half = scws.exposure / 86400 / 2
        table["TSTART"], table["TSTOP"] = Column(scws.mjd - half, unit="d"), Column(scws.mjd + half, unit="d")
    return None, None


def _write_sky(table, scws, how):
    sky = scws.position
    if how == "galactic":
        table["GLON"], table["GLAT"] = (
            Column(sky.galactic.l.deg, unit="deg"),
            Column(sky.galactic.b.deg, unit="deg"),
        )
    elif how == "rad":
        table["RA"], table["DEC"] = Column(sky.ra.rad, unit="rad"), Column(sky.dec.rad, unit="rad")
    elif how == "hours":
        table["RA"], table["DEC"] = sky.ra.hourangle, sky.dec.deg
        return {"RA": "hourangle", "DEC": "deg"}
    elif how == "sexagesimal":
        table["RA"] = Angle(sky.ra).to_string(unit=u.hourangle, sep=":", precision=9, pad=True)
        table["DEC"] = Angle(sky.dec).to_string(unit=u.deg, sep=":", precision=9, alwayssign=True)
        return {"RA": "hourangle"}
    else:
        table["RA"], table["DEC"] = Column(scws.ra, unit="deg"), Column(scws.dec, unit="deg")
    return {}


def _write_rates(table, scws, d):
    name = "COUNTS" if d.rates == "counts" else "RATE"
    scale = {"ct/s": 1, "ct/ks": 1000, "1/s": 1, "counts": scws.exposure[:, None]}[d.rates]
    unit = {"counts": "ct"}.get(d.rates, d.rates)
    values = {name: scws.rate * scale, f"{name}_ERR": scws.stat_err * scale}
    if d.vectors and d.format not in ("csv", "csv.gz", "txt", "parquet"):
        for column, value in values.items():
            table[column] = Column(value, unit=unit)
    else:
        for column, value in values.items():
            for k, band in enumerate(scws.band_names):
                table[f"{column}_{band}"] = Column(value[:, k], unit=unit)
    table["TRACER"] = Column(scws.tracer, unit="ct/s")
    table["TRACER_ERR"] = Column(scws.tracer_err, unit="ct/s")


def _write_file(table, scws, folder, kind):
    path = folder / f"rates.{kind}"
    if kind.startswith("fits"):
        ebounds = Table({"BAND": list(scws.band_names)})
        ebounds["E_MIN"] = Column([b.e_min for b in scws.bands], unit="keV")
        ebounds["E_MAX"] = Column([b.e_max for b in scws.bands], unit="keV")
        hdu = fits.table_to_hdu(table, name="RATES")
        fits.HDUList([fits.PrimaryHDU(), hdu, fits.table_to_hdu(ebounds, name="EBOUNDS")]).writeto(path)
        return path
    formats = {"csv": "ascii.csv", "csv.gz": "ascii.csv", "txt": "ascii.basic"}
    if kind == "csv.gz":
        import gzip

        plain = folder / "plain.csv"
        table.write(plain, format="ascii.csv")
        path.write_bytes(gzip.compress(plain.read_bytes()))
        return path
    if kind == "vot":
        write_votable(table, path)
        return path
    table.write(path, format=formats.get(kind, {"ecsv": "ascii.ecsv"}.get(kind, kind)))
    return path


def write_revolutions(scws, path):
    """Write a revolution table from a linear fit of phases and times in each revolution of the mission."""
    rows = []
    for revolution in np.unique(scws.revolution):
        here = scws.revolution == revolution
        period, start = np.polyfit(scws.phase[here], scws.mjd[here], 1)
        rows.append((revolution, start, period))
    Table(rows=rows, names=["REVOL", "START", "PERIOD"]).write(path, format="ascii.ecsv")
    return path


def assert_same(back, scws, *, time_d=2e-10):
    """Compare all columns of two tables to rounding."""
    assert_array_equal(back.scw_id, scws.scw_id)
    assert_array_equal(back.revolution, scws.revolution)
    assert_array_equal(back.crab, scws.crab)
    assert_allclose(back.mjd, scws.mjd, rtol=0, atol=time_d)
    assert_allclose(back.phase, scws.phase, rtol=0, atol=1e-9)
    for name in ("exposure", "rate", "stat_err", "tracer", "tracer_err", "roll"):
        one, other = getattr(back, name), getattr(scws, name)
        assert (one is None) == (other is None), name
        if other is not None:
            assert_allclose(one, other, rtol=1e-13, atol=0, err_msg=name)
    positions = [SkyCoord(t.ra, t.dec, unit="deg") for t in (back, scws)]
    assert positions[0].separation(positions[1]).arcsec.max() < 1e-6
    assert [(b.e_min, b.e_max) for b in back.bands] == [(b.e_min, b.e_max) for b in scws.bands]
    assert back.meta["simulated"] == scws.meta["simulated"]
