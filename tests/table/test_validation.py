"""Every check of a ScW table, and that its message is one line which names the right thing."""

import dataclasses
import re

import numpy as np
import pytest

from ridgebayes.errors import InputError
from ridgebayes.table.scw import Band
from ridgebayes.table.validation import check_bands, check_ids, revolution_of, validate
from tests.helpers.scw_table import BANDS, make_scws


def message_of(scws):
    with pytest.raises(InputError) as error:
        validate(scws, "a.fits")
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("a.fits: ")
    return text


def with_values(name, rows, value):
    """Return a table with `value` in some rows of a column (the second band of a column with bands)."""
    scws = make_scws()
    column = getattr(scws, name).copy()
    column[(rows, 1) if column.ndim == 2 else rows] = value
    return dataclasses.replace(scws, **{name: column})


def test_a_good_table_passes():
    validate(make_scws())
    validate(make_scws(roll=None, tracer=None, tracer_err=None))
    validate(with_values("phase", [0, 1], [0.0, 1.0]))
    validate(with_values("rate", [4], -3.0))  # a residual rate may be negative


BAD_VALUES = [
    ("exposure", np.nan, "EXPOSURE is missing (NaN), must be finite and positive"),
    ("exposure", np.inf, "EXPOSURE is inf"),
    ("exposure", 0.0, "EXPOSURE is 0"),
    ("exposure", -2.5, "EXPOSURE is -2.5"),
    ("stat_err", np.nan, "STAT_ERR of band 60-80 is missing (NaN)"),
    ("stat_err", np.inf, "STAT_ERR of band 60-80 is inf"),
    ("stat_err", 0.0, "STAT_ERR of band 60-80 is 0, must be finite and positive"),
    ("stat_err", -0.1, "STAT_ERR of band 60-80 is -0.1"),
    ("rate", np.nan, "RATE of band 60-80 is missing (NaN), must be finite"),
    ("rate", -np.inf, "RATE of band 60-80 is -inf"),
    ("phase", -0.01, "PHASE is -0.01, must lie between 0 and 1"),
    ("phase", 1.01, "PHASE is 1.01"),
    ("phase", np.nan, "PHASE is missing (NaN)"),
    ("mjd", np.nan, "MJD is missing (NaN)"),
    ("ra", np.inf, "RA is inf"),
    ("dec", 90.1, "DEC is 90.1, must lie between -90 and 90 degrees"),
    ("dec", -91.0, "DEC is -91"),
    ("dec", np.nan, "DEC is missing (NaN)"),
    ("roll", np.nan, "ROLL is missing (NaN), must be finite: drop these ScWs, or the column"),
    ("tracer", np.nan, "TRACER is missing (NaN), must be finite: drop these ScWs, or the column"),
    ("tracer_err", -1.0, "TRACER_ERR is -1, must be finite and not negative"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD_VALUES)
def test_one_bad_value(name, value, expected):
    text = message_of(with_values(name, [16], value))
    assert text.startswith(f"a.fits: row 17 (SCW_ID 007200010010): {expected}")
    assert re.search(r": (drop|mend|give|write)[^:]*$", text)  # the remedy


@pytest.mark.parametrize(("name", "value", "expected"), BAD_VALUES)
def test_several_bad_values_are_counted(name, value, expected):
    text = message_of(with_values(name, np.arange(16, 29), value))
    assert text.startswith(f"a.fits: row 17 (SCW_ID 007200010010) and 12 more: {expected}")


def test_a_row_bad_in_two_bands_counts_once():
    scws = make_scws()
    error = scws.stat_err.copy()
    error[5] = 0
    assert "row 6 (SCW_ID 007000060010): STAT_ERR of band 25-60" in message_of(
        dataclasses.replace(scws, stat_err=error)
    )


@pytest.mark.parametrize(
    "bad",
    ["00720001001", "0072000100100", "00720001001x", "", "00720001 010", "٠٠٧٢٠٠٠١٠٠١٠", "-07200010010"],
)
def test_malformed_id(bad):
    ids = make_scws().scw_id.astype("U16")
    ids[16] = bad
    text = message_of(make_scws(scw_id=ids))
    assert text == f"a.fits: row 17 (SCW_ID {bad}): SCW_ID must have 12 digits: write it like 025900280010"


def test_duplicate_ids():
    ids = make_scws().scw_id.copy()
    ids[[20, 21, 30]] = ids[3], ids[3], ids[9]
    text = message_of(make_scws(scw_id=ids))
    assert text.startswith(
        "a.fits: row 21 (SCW_ID 007000040010) and 2 more: duplicate SCW_ID, the same as row 4:"
    )


def test_check_ids_takes_a_single_good_one():
    check_ids("a.fits", np.array(["007000010010"]))
    assert revolution_of(np.array(["007000010010", "274000010010"])).tolist() == [70, 2740]


def test_revolution_that_disagrees():
    revolution = make_scws().revolution.copy()
    revolution[16:18] = 71
    text = message_of(make_scws(revolution=revolution))
    assert text.startswith(
        "a.fits: row 17 (SCW_ID 007200010010) and 1 more: REVOL is 71 but SCW_ID says 72: mend one"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tracer": np.full(40, np.nan)}, "column TRACER has no finite value: fill it, or leave it out"),
        ({"tracer": None}, "column TRACER_ERR without TRACER: add TRACER"),
        ({"meta": {}}, "has a TRUTH but is not marked as simulated: set SIMUL = T"),
        ({"bands": (BANDS[0], BANDS[1], BANDS[0])}, "EBOUNDS row 3: BAND '25-60' repeats row 1: rename one"),
    ],
)
def test_bad_tables(changes, expected):
    assert expected in message_of(make_scws(**changes))


def test_empty_table():
    assert "the table has no rows: give at least one ScW" in message_of(make_scws().select([]))


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ((), "EBOUNDS has no rows: give BAND, E_MIN, E_MAX"),
        ((Band("A", 60.0, 25.0),), r"EBOUNDS row 1 \(band A\): E_MIN 60 and E_MAX 25 keV are no interval"),
        ((Band("A", 25.0, 25.0),), "E_MIN 25 and E_MAX 25 keV are no interval: give 0 < E_MIN < E_MAX"),
        ((Band("A", np.nan, 25.0),), "are no interval"),
        ((Band("A", 25.0, np.inf),), "are no interval"),
        ((Band("A", -1.0, 25.0),), "are no interval"),
        ((Band("a", 1, 2), Band("A", 2, 3)), "EBOUNDS row 2: BAND 'A' repeats row 1"),
        ((Band("", 1, 2),), "EBOUNDS row 1: BAND is ''"),
        ((Band("A ", 1, 2),), "name it in plain ASCII"),
        ((Band("α", 1, 2),), "EBOUNDS row 1: BAND is 'α'"),
    ],
)
def test_bad_bands(bands, expected):
    with pytest.raises(InputError, match=f"^a.fits: .*{expected}"):
        check_bands("a.fits", bands)


def test_the_file_is_named_when_no_source_is_given():
    scws = make_scws(exposure=np.zeros(40), meta={"path": "b.fits", "simulated": True})
    with pytest.raises(InputError, match=r"^b\.fits: row 1 .* and 39 more"):
        validate(scws)
