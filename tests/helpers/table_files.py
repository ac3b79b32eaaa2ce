"""Files of ScW tables, valid and invalid, and the messages of readers."""

import dataclasses

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws
from tests.helpers.scw_table import make_scws

FILES = ["a.fits", "a.fits.gz", "a.fit", "a.ecsv", "a.csv", "a.parquet"]
NOT_ARRAYS = ("meta", "bands", "truth", "tracer_bands")
FIELDS = [f.name for f in dataclasses.fields(make_scws()) if f.name not in NOT_ARRAYS]


def message_of(path, **kwargs):
    """Return the one-line error of reading a file, without the path in front."""
    with pytest.raises(InputError) as error:
        read_scws(path, **kwargs)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def write_table(path, table, *, ebounds=None, header=None):
    """Write columns as FITS with plain astropy, as other programs do."""
    if ebounds is None:
        ebounds = Table({"BAND": ["25-60", "60-80", "80-200"], "E_MIN": [25, 60, 80], "E_MAX": [60, 80, 200]})
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(table, name="SCW")]
    if ebounds is not False:
        hdus.append(fits.table_to_hdu(ebounds, name="EBOUNDS"))
    hdus[1].header.update(header or {})
    fits.HDUList(hdus).writeto(path)
    return path


def plain_table(n=40):
    """Return the columns of a valid table, without units."""
    table = make_scws(n).to_table()
    for column in table.columns.values():
        column.unit = None
    return table


def assert_same(one, other):
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        if a is None or b is None:
            assert a is b, name
        else:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)
    assert one.bands == other.bands
    assert one.truth == other.truth
    assert one.fingerprint() == other.fingerprint()
