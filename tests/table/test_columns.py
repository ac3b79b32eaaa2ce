"""Columns of a table as read: units, masks, what is no number."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table
from astropy.time import Time

from ridgebayes.errors import InputError
from ridgebayes.table.columns import Columns


@pytest.mark.parametrize(
    ("given", "target", "factor"),
    [
        ("cts/s", u.ct / u.s, 1),
        ("counts s-1", u.ct / u.s, 1),
        ("1/s", u.ct / u.s, 1),
        ("ct / ks", u.ct / u.s, 1e-3),
        ("1 / min", u.ct / u.s, 1 / 60),
        ("hourangle", u.deg, 15),
        ("rad", u.deg, 180 / np.pi),
        ("degrees", u.deg, 1),
        ("ks", u.s, 1e3),
        ("h", u.s, 3600),
        ("s", u.d, 1 / 86400),
        ("%", u.dimensionless_unscaled, 0.01),
        ("", u.s, 1),
        (None, u.s, 1),
        ("MeV", u.keV, 1e3),
    ],
)
def test_units_are_converted(given, target, factor):
    table = Table({"X": [1.0, 2.0, 50.0]})
    table["X"].unit = None if given is None else u.Unit(given, parse_strict="silent")
    np.testing.assert_allclose(
        Columns("a", table).floats("x", target), factor * np.array([1, 2, 50]), rtol=1e-14
    )


def test_quantities_and_times_are_converted():
    table = Table({"X": [1.0, 2.0] * u.ks, "T": Time([58000.0, 58001.0], format="mjd", scale="utc")})
    columns = Columns("a", table)
    assert columns.floats("X", u.s).tolist() == [1000, 2000]
    # TT − UTC: 32.184 s + 37 leap seconds since 2017.
    np.testing.assert_allclose(columns.floats("T", u.d) - [58000, 58001], 69.184 / 86400, atol=1e-10)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (MaskedColumn([1.0, 2.0], mask=[False, True]), [1, np.nan]),
        (MaskedColumn(["1.5", ""], mask=[False, True]), [1.5, np.nan]),
        (MaskedColumn([1, 2], mask=[True, True]), [np.nan, np.nan]),
        (MaskedColumn([0.1, 2], mask=[False, True], dtype=np.float32), [np.float32(0.1), np.nan]),
        (["1.5", "-2"], [1.5, -2]),
    ],
)
def test_masked_values_become_nan(column, expected):
    np.testing.assert_array_equal(Columns("a", Table({"X": column})).floats("X", u.s), expected)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (Table({"EXPOSUR": [1.0]}), r"a: column EXPOSURE is missing \(did you mean 'EXPOSUR'\?\): add it"),
        (
            Table({"EXPOSURE": [1.0], "exposure": [1.0]}),
            "columns 'EXPOSURE' and 'exposure' differ only in case",
        ),
        (Table({"EXPOSURE": ["1", "two"]}), "a: column EXPOSURE is not numeric .*two"),
        (Table({"EXPOSURE": [[1.0, 2.0]]}), "column EXPOSURE has 2 elements a row: give one"),
        (
            Table({"EXPOSURE": [1.0] * u.deg}),
            "EXPOSURE has the unit 'deg', which is no s: convert the column",
        ),
    ],
)
def test_bad_columns(table, expected):
    with pytest.raises(InputError, match=expected):
        Columns("a", table).scalars("EXPOSURE", u.s)


def test_unknown_unit_is_named_with_its_column():
    table = Table({"EXPOSURE": [1.0]})
    table["EXPOSURE"].unit = u.Unit("fortnigths", parse_strict="silent")
    with pytest.raises(InputError, match="EXPOSURE has the unknown unit 'fortnigths': convert it to s"):
        Columns("a", table).scalars("EXPOSURE", u.s)
