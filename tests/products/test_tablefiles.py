"""Tables for others: CSV and LaTeX, read back by pandas and astropy."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.table import QTable, Table

from ridgebayes.products.tablefiles import csv_text, escape, latex_table, write_csv
from ridgebayes.units import MCRAB

NAMES = ["GB", "L+20, far", 'the "arm" #1', "a_b & c%"]


def make(bands=2):
    """Rows of four regions whose third is a limit and whose fourth is below zero."""
    mean = np.repeat([123.456, 0.98765, 0.5, -3.21], bands)
    sd = np.repeat([12.345, 0.04567, 0.9, 0.5], bands)
    count = len(NAMES) * bands
    return QTable(
        {
            "region": np.repeat(NAMES, bands),
            "band": np.tile([f"E_{k + 1}" for k in range(bands)], len(NAMES)),
            "E_MIN": np.tile(20.0 + np.arange(bands), len(NAMES)) * u.keV,
            "E_MAX": np.tile(21.0 + np.arange(bands), len(NAMES)) * u.keV,
            "mean": mean * MCRAB,
            "sd": sd * MCRAB,
            "lo": (mean - 1.88 * sd) * MCRAB,
            "hi": (mean + 1.88 * sd) * MCRAB,
            "covariance": np.arange(count * bands, dtype=float).reshape(count, bands) * MCRAB**2,
            "seen": np.ones(count, bool),
        },
        meta={
            "simulated": True,
            "run": "runs/first",
            "warnings": ["two\nlines", "another"],
            "data": "x.fits",
        },
    )


def test_csv_is_read_by_pandas_and_astropy(tmp_path):
    table = make()
    write_csv(table, tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", comment="#")
    other = Table.read(tmp_path / "t.csv", format="ascii.csv", comment="#")
    assert frame["region"].tolist() == other["region"].tolist() == np.repeat(NAMES, 2).tolist()
    for name in ("mean", "sd", "E_MIN"):
        assert frame[name].tolist() == other[name].tolist() == table[name].value.tolist()  # to the last digit
    np.testing.assert_array_equal(frame[["covariance_1", "covariance_2"]], table["covariance"].value)


def test_csv_says_where_it_is_from_and_in_what_units():
    comments = [line[2:] for line in csv_text(make()).splitlines() if line.startswith("# ")]
    assert comments[0] == "SIMULATED data"
    assert {"run: runs/first", "data: x.fits", "warnings: two lines", "warnings: another"} <= set(comments)
    assert {"unit of mean: mCrab", "unit of covariance_1 covariance_2: mCrab2"} <= set(comments)


def test_latex_has_significant_digits_and_limits():
    text = latex_table(make(), "Flux", "mCrab")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows[0] == r"Region & E\_1 (20--21 keV) & E\_2 (21--22 keV) \\"
    assert rows[1] == r" & mCrab & mCrab \\"
    assert rows[2] == r"GB & $123 \pm 12$ & $123 \pm 12$ \\"
    assert r"$0.988 \pm 0.046$" in rows[3]
    assert "$<2.2$" in rows[4]
    assert rows[5] == r"a\_b \& c\% & $-3.21 \pm 0.50$ & $-3.21 \pm 0.50$ \\"  # no limit: it is below zero
    assert "% SIMULATED data" in text
    assert "% run: runs/first" in text


def test_many_bands_make_a_long_table():
    text = latex_table(make(30), "Flux", "mCrab")
    assert text.count(r"\pm") + text.count("$<") == 4 * 30
    assert r"\begin{longtable}{lllr}" in text
    assert r"GB & E\_30 & 49--50 keV & $123 \pm 12$ \\" in text


def test_astropy_reads_the_latex(tmp_path):
    (tmp_path / "t.tex").write_text(latex_table(make(), "Flux", "mCrab"))
    table = Table.read(tmp_path / "t.tex", format="ascii.latex")
    assert table.colnames == ["Region", r"E\_1 (20--21 keV)", r"E\_2 (21--22 keV)"]
    assert table["Region"].tolist()[1:3] == ["GB", "L+20, far"]  # below the units
    assert table[r"E\_1 (20--21 keV)"][1] == r"$123 \pm 12$"


@pytest.mark.parametrize("text", ["a\\b", "x~y^z", "{#$}"])
def test_what_latex_takes_for_commands_is_escaped(text):
    plain = escape(text)
    for name, letter in (("textbackslash", "\\"), ("textasciitilde", "~"), ("textasciicircum", "^")):
        plain = plain.replace(f"\\{name}{{}}", letter)
    for letter in "#${}_&%":
        plain = plain.replace(f"\\{letter}", letter)
    assert plain == text
