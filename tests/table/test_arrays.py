"""What is given in memory: a missing value is never a number, a unit never lost."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.time import Time
from astropy.utils.masked import Masked

from ridgebayes import InputError, write_scws
from ridgebayes.table.validation import validate
from tests.helpers.readers import few

ROW = 5
GONE = np.arange(15) == ROW
FLOATS = ("phase", "mjd", "exposure", "ra", "dec", "roll", "rate", "stat_err", "tracer", "tracer_err")


def masked_time(values):
    times = Time(values, format="mjd", scale="tt")
    times[ROW] = np.ma.masked
    return times


WAYS = {
    "NaN": lambda v: np.where(GONE, np.nan, v),
    "masked array": lambda v: np.ma.array(v, mask=GONE),
    "Masked": lambda v: Masked(v, GONE),
    "None": lambda v: [None if gone else x for x, gone in zip(v.tolist(), GONE, strict=True)],
    "pandas.NA": lambda v: pd.Series(pd.array(v, dtype="Float64")).mask(GONE),
    "float32 NaN": lambda v: np.where(GONE, np.nan, v).astype(np.float32),
    "-999": lambda v: np.where(GONE, -999.0, v),
    "1e30": lambda v: np.where(GONE, 1e30, v),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FLOATS)
def test_a_missing_number_is_refused_by_its_row(name, way, tmp_path):
    scws = few().take_bands("A01")
    broken = dataclasses.replace(scws, **{name: WAYS[way](getattr(scws, name).reshape(-1))})
    for refuses in (validate, lambda s: write_scws(s, tmp_path / "a.fits")):
        with pytest.raises(InputError, match=rf"row {ROW + 1} .*{name.upper()}.* is "):
            refuses(broken)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("crab", np.ma.array(np.zeros(15, bool), mask=GONE)),
        ("crab", np.where(GONE, np.nan, 0.0)),  # which is True to NumPy
        ("crab", [None if gone else False for gone in GONE]),
        ("crab", pd.array([pd.NA if gone else False for gone in GONE], dtype="boolean")),
        ("crab", np.where(GONE, 2, 0)),
        ("revolution", np.ma.array(few().revolution, mask=GONE)),
        ("revolution", np.where(GONE, np.nan, few().revolution)),
        ("screen", np.ma.array(np.zeros(15, int), mask=GONE)),
    ],
)
def test_what_has_no_nan_is_refused_at_once(name, given):
    with pytest.raises(InputError, match=rf"row {ROW + 1}: {name} is (missing|neither)"):
        dataclasses.replace(few(), **{name: given})


def test_text_is_no_truth_value():
    with pytest.raises(InputError, match="crab holds text: give True and False"):
        dataclasses.replace(few(), crab=["False"] * 15)  # which is True to NumPy


def test_a_missing_id_is_refused():
    with pytest.raises(InputError, match=r"row 6 .*SCW_ID must have 12 digits"):
        validate(dataclasses.replace(few(), scw_id=np.ma.array(few().scw_id, mask=GONE)))


def test_quantities_and_times_are_converted():
    scws = few()
    same = dataclasses.replace(
        scws,
        mjd=Time(scws.mjd, format="mjd", scale="tt").utc,
        exposure=(scws.exposure * u.s).to(u.ks),
        ra=(scws.ra * u.deg).to(u.rad),
        rate=(scws.rate * u.ct / u.s).to(u.ct / u.ks),
        stat_err=scws.stat_err / u.s,
    )
    np.testing.assert_allclose(same.mjd, scws.mjd, atol=1e-9, rtol=0)
    for name in ("exposure", "ra", "rate", "stat_err"):
        np.testing.assert_allclose(getattr(same, name), getattr(scws, name), rtol=1e-14)
    with pytest.raises(InputError, match=r"exposure .*keV"):
        dataclasses.replace(scws, exposure=scws.exposure * u.keV)
    with pytest.raises(InputError, match=r"row 6 .*MJD is missing"):
        validate(dataclasses.replace(scws, mjd=masked_time(scws.mjd)))
