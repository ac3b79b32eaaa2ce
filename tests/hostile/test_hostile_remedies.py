"""What an error advises is done here, and it works."""

import dataclasses
import re
import shlex

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, Table
from click.testing import CliRunner

from ridgebayes import InputError, read_scws, write_scws
from ridgebayes.cli.main import main
from ridgebayes.convert import append, clear, convert, screen
from ridgebayes.convert.mapping import parse_mapping
from ridgebayes.convert.times import read_revolutions
from tests.helpers.readers import few


def plain(**changes):
    """Return a table as another program would write it; a column of value None is left out."""
    scws = few().take_bands("A01")
    table = Table({"SCW_ID": scws.scw_id, "PHASE": scws.phase, "MJD": scws.mjd, "EXPOSURE": scws.exposure})
    table["RA"], table["DEC"], table["RATE_25_60"] = scws.ra, scws.dec, scws.rate[:, 0]
    table["ERR_25_60"] = scws.stat_err[:, 0]
    for name, values in changes.items():
        if values is None:
            table.remove_column(name)
        else:
            table[name] = values
    return table


def advised(message, names):
    """Turn the line that a message advises into a mapping, where it says it belongs.

    A line that leaves the column open gets its name from `names`.
    """
    line, where = re.search(r"put  (.+?)  (.*)$", message).groups()
    line = line.replace("COLUMN", names.get(line.split(" ")[0], "COLUMN"))
    table = re.search(r"\[(\w+)\]", where)
    return table[1] if table else "", line


def go_on(path, names=None, lines=None):
    """Do what convert advises until it converts; return the table and the lines that it took."""
    lines = dict(lines or {})
    for _ in range(12):
        text = "\n".join(
            f"[{t}]\n" + "\n".join(rows) if t else "\n".join(rows) for t, rows in sorted(lines.items())
        )
        try:
            return convert([path], parse_mapping(text)).scws, lines
        except InputError as error:
            table, line = advised(str(error).split(" (and ")[0], names or {})
            lines.setdefault(table, [])
            if line in lines[table]:
                pytest.fail(f"the advice did not help: {error}")
            lines[table].append(line)
    raise AssertionError("the advice never ended")


SCWS = few().take_bands("A01")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"MJD": SCWS.mjd - 51544.0}, {}),  # IJD
        ({"MJD": (SCWS.mjd - 51544.0) * 24}, {}),  # in hours
        ({"MJD": SCWS.mjd + 2400000.5}, {}),  # JD
        ({"MJD": None, "WHEN": SCWS.mjd}, {"time": "WHEN"}),
        ({"EXPOSURE": None, "LONG": Column(SCWS.exposure, unit="s")}, {"exposure": "LONG"}),
        ({"SCW_ID": None, "NUMBER": SCWS.scw_id}, {"scw_id": "NUMBER"}),
        ({"PHASE": None, "PART": SCWS.phase}, {"phase": "PART"}),
        ({"RA": None, "ALPHA": Column(SCWS.ra, unit="deg")}, {"ra": "ALPHA"}),
        ({"TIME": SCWS.mjd}, {}),  # two columns of time
        ({"EXPO": SCWS.exposure}, {}),  # two of exposure
        ({"DEC": np.clip(SCWS.dec, -1.5, 1.5)}, {}),  # degrees or radians
    ],
)
def test_every_line_that_convert_advises_works(tmp_path, changes, names):
    table = plain(**changes)
    table.write(tmp_path / "a.ecsv")
    with pytest.raises(InputError, match="put  "):
        convert([tmp_path / "a.ecsv"])
    found, lines = go_on(tmp_path / "a.ecsv", names)
    assert lines
    np.testing.assert_allclose(found.mjd, SCWS.mjd, atol=1e-6)
    np.testing.assert_allclose(found.exposure, SCWS.exposure)


def test_the_time_that_inspect_advises_is_converted(tmp_path):
    write_scws(few(), tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus["SCW"].data["MJD"] -= 51544.0
        for hdu in hdus:
            hdu.header.remove("CHECKSUM", ignore_missing=True)
            hdu.header.remove("DATASUM", ignore_missing=True)
        hdus.writeto(tmp_path / "ijd.fits")
    with pytest.raises(InputError, match=r"as IJD they fit: ridgebayes convert") as caught:
        read_scws(tmp_path / "ijd.fits")
    line = re.search(r"with  (.+?)  under \[time\]", str(caught.value))[1]
    found = convert([tmp_path / "ijd.fits"], parse_mapping(f"[time]\n{line}")).scws
    np.testing.assert_allclose(found.mjd, few().mjd, atol=1e-9)


@pytest.mark.parametrize(
    ("cards", "unit", "zero"),
    [
        ({"MJDREFI": 52200, "MJDREFF": 0.0}, "s", 52200.0),
        ({"MJDREF": 51544.0, "TIMEZERO": 1000.0}, "d", 52544.0),
        ({"MJDREF": 51544.0, "TIMEZERI": 86400, "TIMEZERF": 0.0, "TIMEUNIT": "s"}, "s", 51545.0),
        ({"JDREF": 2452200.5}, "d", 52200.0),
        ({"DATEREF": "2001-10-18"}, "d", 52200.0),
    ],
)
def test_a_zero_of_the_header_or_of_the_mapping(tmp_path, cards, unit, zero):
    table = plain(MJD=None)
    table["TIME"] = Column((SCWS.mjd - zero) * (86400.0 if unit == "s" else 1.0), unit=unit)
    hdu = fits.table_to_hdu(table)
    hdu.writeto(tmp_path / "mapped.fits")
    hdu.header.update(cards | {"TIMESYS": "TT"})
    hdu.writeto(tmp_path / "header.fits")
    mapped = convert([tmp_path / "mapped.fits"], parse_mapping(f"[time]\nzero = {zero}")).scws
    for found in (convert([tmp_path / "header.fits"]).scws, mapped):
        np.testing.assert_allclose(found.mjd, SCWS.mjd, atol=1e-8)


def test_convert_says_all_at_once_and_gives_bands_to_edit(tmp_path):
    table = plain(SCW_ID=None, MJD=None, PHASE=None, RATE_25_60=None, ERR_25_60=None)
    table["soft_ra"], table["rate_hard_e"] = SCWS.ra, SCWS.stat_err[:, 0]
    table["rate_hard"], table["crab_in"] = SCWS.rate[:, 0], SCWS.crab.astype(int)
    table["name"] = SCWS.scw_id
    table.write(tmp_path / "a.csv", format="ascii.csv")
    done = CliRunner().invoke(main, ["convert", str(tmp_path / "a.csv"), "--out", str(tmp_path / "o.fits")])
    assert done.exit_code == 2
    for words in (
        "no column for the scw_id", "no column for the time", "the band of column rate_hard",
        "column name is not used: perhaps the scw_id?", "column soft_ra is not used: perhaps the ra?",
        "or give --revolution-table, a table of them", "column rate_hard_e is not used: perhaps the errors",
        'stat_err = "rate_hard_e"', 'put  source = "crab_in"', '[[bands]]\nname = "A01"',
        'rate = "rate_hard"',
    ):  # fmt: skip
        assert words in done.stderr, words


def test_the_options_that_append_and_screen_advise_work(tmp_path):
    write_scws(few(), tmp_path / "a.fits")
    advice = [(["--duplicates", "first"], "choose --duplicates first or --duplicates last")]
    both = ["append", str(tmp_path / "a.fits"), str(tmp_path / "a.fits"), "--out", str(tmp_path / "b.fits")]
    for option, words in advice:
        assert words in CliRunner().invoke(main, both).stderr
        assert CliRunner().invoke(main, [*both, *option]).exit_code == 0
    assert "or --overwrite" in CliRunner().invoke(main, [*both, *advice[0][0]]).stderr
    assert CliRunner().invoke(main, [*both, *advice[0][0], "--overwrite"]).exit_code == 0
    # All flagged: the command that is advised takes the flags back.
    flagged = screen(few())
    write_scws(dataclasses.replace(flagged, screen=flagged.screen * 0 + 1), tmp_path / "s.fits")
    with pytest.raises(InputError, match="SCREEN flags all 15 ScWs: take the flags back") as caught:
        read_scws(tmp_path / "s.fits")
    command = shlex.split(str(caught.value).split("ridgebayes ", 1)[1])
    command[command.index("--out") + 1] = str(tmp_path / "t.fits")
    assert CliRunner().invoke(main, command).exit_code == 0
    assert len(read_scws(tmp_path / "t.fits")) == 15
    assert len(append([few()])) == 15
    assert clear(few(), []).screen is None


@pytest.mark.parametrize(
    "names", [("rev", "start_ijd_tt", "period_d"), ("REVOL", "START", "PERIOD"), ("orbit", "tstart", "tstop")]
)
def test_revolution_tables_by_their_usual_names(tmp_path, names, caplog):
    start = 52769.0 + 2.99 * np.arange(9)
    given = start - 51544.0 if "ijd" in names[1] else start
    last = np.full(9, 2.99) if "period" in names[2].lower() else start + 2.99
    table = Table([np.arange(70, 79), given, last], names=names, masked=True)
    table.add_row([79, 0.0, 0.0], mask=[False, True, True])  # says nothing
    table.write(tmp_path / "r.csv", format="ascii.csv")
    with caplog.at_level("INFO", "ridgebayes"):
        found = read_revolutions(tmp_path / "r.csv")
    assert found.number.tolist() == list(range(70, 79))
    np.testing.assert_allclose(found.start, start)
    np.testing.assert_allclose(found.end, start + 2.99)
    assert "1 rows without a revolution" in caplog.text
