"""Tables of results: astropy reads them without a warning, and ridgebayes with all units."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.utils.masked import Masked

import ridgebayes as rb
from ridgebayes.errors import InputError
from ridgebayes.io.product_tables import write_ecsv
from ridgebayes.units import MCRAB
from tests.helpers.elsewhere import read_elsewhere


def table():
    made = QTable(
        {
            "region": ["GB", "L+20"],
            "mean": [0.5, 0.25] * MCRAB / u.deg**2,
            "flux": [150.0, 80.0] * MCRAB,
            "covariance": np.arange(4.0).reshape(2, 2) * MCRAB**2,
            "published": Masked([155.0, 0.0], [False, True]) * MCRAB,
            "E_MIN": [25.0, 60.0] * u.keV,
            "ess": [400.0, 500.0],
        },
        meta={"simulated": True, "note": "é"},
    )
    made["mean"].info.description = "posterior mean"
    return made


def same(found, expected):
    assert found.colnames == expected.colnames
    for name in expected.colnames:
        assert getattr(found[name], "unit", None) == getattr(expected[name], "unit", None), name
        if name == "published":
            assert found[name].mask.tolist() == [False, True]
            assert found[name][0] == expected[name][0]
        else:
            assert np.all(found[name] == expected[name]), name


def test_a_table_is_read_by_all_and_has_its_units_back(tmp_path):
    write_ecsv(table(), tmp_path / "t.ecsv")
    read_elsewhere(tmp_path / "t.ecsv")
    found = rb.read_table(tmp_path / "t.ecsv")
    same(found, table())
    assert found.meta == table().meta
    assert found["mean"].info.description == "posterior mean"


def test_without_ridgebayes_the_file_says_scale_and_meaning(tmp_path):
    write_ecsv(table(), tmp_path / "t.ecsv")
    plain = Table.read(tmp_path / "t.ecsv")
    assert plain["mean"].tolist() == [0.5, 0.25]
    assert plain["mean"].unit is None
    assert plain["mean"].description == "[mCrab / deg2] posterior mean"
    assert plain["mean"].meta == {"unit": "mCrab / deg2"}
    assert (
        plain["flux"].description == "[mCrab] mCrab: thousandth of the Crab's detector rate in the same band"
    )
    assert plain["E_MIN"].unit == u.keV


def test_older_files_with_mcrab_as_unit_are_read(tmp_path):
    table().write(tmp_path / "old.ecsv")  # as written before: units that only ridgebayes knows
    same(rb.read_table(tmp_path / "old.ecsv"), table())
    column = fits.Column("FLUX", "D", unit="mCrab/deg2", array=[1.0, 2.0])
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column])]).writeto(tmp_path / "old.fits")
    assert rb.read_table(tmp_path / "old.fits")["FLUX"].unit == MCRAB / u.deg**2


def test_no_table_is_one_line(tmp_path):
    (tmp_path / "t.ecsv").write_text("# %ECSV 1.0\n# ---\n# datatype: [\n")
    fits.PrimaryHDU(np.ones((3, 3))).writeto(tmp_path / "i.fits")
    for name, words in (("t.ecsv", "not a table of results"), ("i.fits", "no table"), ("no.fits", "no such")):
        with pytest.raises(InputError, match=words):
            rb.read_table(tmp_path / name)
