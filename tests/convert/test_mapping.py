"""What is guessed, what is refused, and the line that settles it; mappings as TOML."""

import dataclasses

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table
from astropy.time import Time
from numpy.testing import assert_allclose

from ridgebayes.convert import BandColumns, Mapping, convert, dump_mapping, load_mapping
from ridgebayes.convert.mapping import parse_mapping
from ridgebayes.convert.names import energies, rate_name
from ridgebayes.convert.times import read_revolutions
from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws, write_scws
from tests.helpers.cli import call
from tests.helpers.convert_dialects import Dialect, assert_same, write


def plain(mission, **columns):
    """Return a small table of one band in plain units."""
    table = Table({"SCW_ID": mission.scw_id, "PHASE": mission.phase})
    table["MJD"] = Column(mission.mjd, unit="d")
    table["EXPOSURE"] = Column(mission.exposure, unit="s")
    table["RA"], table["DEC"] = Column(mission.ra, unit="deg"), Column(mission.dec, unit="deg")
    table["RATE_25_60"] = Column(mission.rate[:, 0], unit="ct/s")
    table["ERR_25_60"] = Column(mission.stat_err[:, 0], unit="ct/s")
    for name, column in columns.items():
        if column is None:
            table.remove_column(name)
        else:
            table[name] = column
    return table


def saved(table, tmp_path, name="rates.ecsv"):
    table.write(tmp_path / name, format="ascii.ecsv" if name.endswith("ecsv") else None, overwrite=True)
    return tmp_path / name


def refusal(*args, **kwargs):
    with pytest.raises(InputError) as error:
        convert(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_energies_in_names_are_the_bands(mission, tmp_path):
    table = plain(mission, RATE_600_1000=Column(mission.tracer, unit="ct/s"))
    done = convert([saved(table, tmp_path)])
    assert [(b.e_min, b.e_max) for b in done.scws.bands] == [(25, 60)]
    assert_allclose(done.scws.rate[:, 0], mission.rate[:, 0])
    assert_allclose(done.scws.tracer, mission.tracer)
    assert any("RATE_600_1000" in note for note in done.notes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RATE", (False, False, "")),
        ("rate_A01", (False, False, "A01")),
        ("A01_rate", (False, False, "A01")),
        ("STAT_ERR_25-60", (True, False, "25-60")),
        ("counts_error_a02", (True, True, "a02")),
        ("CTS2", (False, True, "2")),
        ("EXPOSURE", None),
        ("TRACER_RATE", None),
        ("SYST_ERR_A01", None),
        ("BKG_RATE", None),
    ],
)
def test_names_of_rates(name, expected):
    found = rate_name(name)
    assert (found and tuple(found)) == expected


def test_energies_in_texts():
    assert energies("rate_25_60keV") == (25, 60)
    assert energies("25.5-60") == (25.5, 60)
    assert energies("60-25") is None
    assert energies("A01") is None
    assert energies("1-2_3-4") is None


@pytest.mark.parametrize(
    ("changes", "words", "mapping"),
    [
        ({"ONTIME": "EXPOSURE"}, 'exposure = "EXPOSURE"', 'columns.exposure = "EXPOSURE"'),
        ({"SCW": "SCW_ID"}, 'scw_id = "SCW_ID"', 'columns.scw_id = "SCW_ID"'),
        ({"DATE": "MJD"}, 'time = "MJD"', 'columns.time = "MJD"'),
        ({"ERROR_25_60": "ERR_25_60"}, 'stat_err = "ERR_25_60"', None),
        ({"COUNTS_25_60": "RATE_25_60"}, 'rate = "RATE_25_60"', None),
        ({"RATE_A": "RATE_25_60"}, 'name = "A"', None),
    ],
)
def test_two_candidates_are_refused_with_the_line_that_settles_it(mission, tmp_path, changes, words, mapping):
    table = plain(mission)
    for new, old in changes.items():
        table[new] = table[old]
    path = saved(table, tmp_path)
    assert words in refusal([path])
    if mapping is None:
        mapping = '[[bands]]\nname="x"\ne_min=25\ne_max=60\nrate="RATE_25_60"\nstat_err="ERR_25_60"\n'
    done = convert([path], parse_mapping(mapping))
    assert_allclose(done.scws.rate[:, 0], mission.rate[:, 0])
    assert_allclose(done.scws.mjd, mission.mjd)


@pytest.mark.parametrize(
    ("name", "column", "words"),
    [
        ("EXPOSURE", lambda m: m.exposure / 3600, 'EXPOSURE = "UNIT"'),
        ("RA", lambda m: m.position.ra.hourangle, 'RA = "deg"'),
        ("DEC", lambda m: m.position.dec.rad, 'DEC = "deg"'),
        ("RA", lambda m: m.position.ra.to_string(unit="hourangle", sep=":"), 'RA = "hourangle"'),
        ("MJD", lambda m: m.mjd - 51544, 'system = "ijd"'),
        ("MJD", lambda m: (m.mjd - 51544) * 24, 'MJD = "h"'),
        ("MJD", lambda m: Time(m.mjd, format="mjd").isot, 'scale = "utc"'),
        ("EXPOSURE", None, 'exposure = "COLUMN"'),
        ("PHASE", None, "revolutions=..."),
        ("MJD", None, 'time = "COLUMN"'),
        ("DEC", None, 'ra = "COLUMN"'),
        ("RATE_25_60", None, "[[bands]]"),
    ],
)
def test_what_is_missing_or_not_clear_is_refused(mission, tmp_path, name, column, words):
    path = saved(plain(mission, **{name: None if column is None else column(mission)}), tmp_path)
    message = refusal([path])
    assert words in message
    assert str(path) in message


@pytest.mark.parametrize("unit", ["mCrab", "ct/s/cm2", "keV", "%"])
def test_units_that_are_no_rate_are_refused(mission, tmp_path, unit):
    path = saved(plain(mission, RATE_25_60=Column(mission.rate[:, 0], unit=unit)), tmp_path)
    assert "RATE_25_60" in refusal([path])


def test_a_wrong_time_system_is_found(mission, tmp_path):
    path = saved(plain(mission), tmp_path)
    assert "outside the mission" in refusal([path], Mapping(system="ijd"))


def test_ids_that_are_none_and_revolutions_that_differ(mission, tmp_path):
    ids = mission.scw_id.copy()
    ids[3] = "0255001200"  # a prefix of an identifier, not one that lost its zeros
    assert "row 4" in refusal([saved(plain(mission, SCW_ID=ids), tmp_path)])
    message = refusal([saved(plain(mission, REV=mission.revolution + 1), tmp_path)])
    assert "is not what SCW_ID says" in message


def test_without_an_error_column_it_is_the_square_root_of_the_counts_and_said(mission, tmp_path):
    done = convert([saved(plain(mission, ERR_25_60=None), tmp_path)])
    assert_allclose(
        done.scws.stat_err[:, 0], np.sqrt(mission.rate[:, 0] * mission.exposure) / mission.exposure
    )
    assert any("square root" in note for note in done.notes)
    twice = plain(mission, ERR_25_60=None, EXPOSURE=Column(2 * mission.exposure, unit="s"))
    longer = convert([saved(twice, tmp_path)])
    assert_allclose(longer.scws.stat_err * np.sqrt(2), done.scws.stat_err)
    rates = mission.rate[:, 0].copy()
    rates[5] = -1
    assert "row 6" in refusal([saved(plain(mission, ERR_25_60=None, RATE_25_60=rates), tmp_path)])


def test_utc_is_turned_into_tt(mission, tmp_path):
    path = saved(plain(mission), tmp_path)
    offset = (convert([path], Mapping(scale="utc")).scws.mjd - mission.mjd) * 86400
    # 32.184 s and the leap seconds: 32 in 2003 and 37 since 2017 (IERS Bulletin C).
    assert_allclose([offset[0], offset[-1]], [64.184, 69.184], atol=1e-4)


def test_columns_of_astropy_say_themselves_what_they_are(mission, tmp_path):
    table = plain(mission, RA=None, DEC=None)
    table["MJD"] = Time(mission.mjd, format="mjd", scale="tt").utc
    table["pointing"] = mission.position.galactic
    done = convert([saved(table, tmp_path)])
    assert_allclose(done.scws.mjd, mission.mjd, rtol=0, atol=1e-9)
    assert done.scws.position.separation(mission.position).arcsec.max() < 1e-6


def test_b1950_is_precessed(mission, tmp_path):
    old = mission.position.transform_to("fk4")
    table = plain(mission, RA=Column(old.ra.deg, unit="deg"), DEC=Column(old.dec.deg, unit="deg"))
    table.meta["EQUINOX"] = 1950.0
    done = convert([saved(table, tmp_path)])
    expected = SkyCoord(old.ra, old.dec, frame="fk4").icrs
    assert done.mapping.frame == "fk4"
    assert done.scws.position.separation(expected).arcsec.max() < 1e-3


def test_rows_in_any_order_give_the_same_table(mission, tmp_path):
    path, mapping = write(mission, tmp_path, Dialect("ecsv", "counts", "sexagesimal", "iso"))
    one = convert([path], mapping).scws
    table = Table.read(path)
    saved(table[np.random.default_rng(1).permutation(len(table))], tmp_path)
    other = convert([path], mapping).scws
    assert other.fingerprint() == one.fingerprint()
    assert_same(other, one, time_d=0)


# --- one file a band


def write_bands(mission, tmp_path, rng):
    paths = []
    for k, band in enumerate(mission.bands):
        table = plain(mission, RATE_25_60=None, ERR_25_60=None)
        table["COUNTS"] = Column(mission.rate[:, k] * mission.exposure, unit="ct")
        table["ERROR"] = Column(mission.stat_err[:, k] * mission.exposure, unit="ct")
        if k == 2:
            table.keep_columns(["SCW_ID", "COUNTS", "ERROR"])
        name = f"isgri_{band.e_min:g}_{band.e_max:g}.fits"
        paths.append(saved(table[rng.permutation(len(table))], tmp_path, name))
    return paths


def test_one_file_a_band(mission, tmp_path, rng):
    paths = write_bands(mission, tmp_path, rng)
    done = convert(paths, Mapping(simulated=True))
    bare = dataclasses.replace(mission, roll=None, tracer=None, tracer_err=None, crab=None)
    assert_same(done.scws, bare)
    # The same through a mapping that names bands otherwise and takes files in their order.
    bands = tuple(BandColumns(b.name, b.e_min, b.e_max) for b in mission.bands)
    named = convert(paths, Mapping(simulated=True, bands=bands)).scws
    assert named.band_names == mission.band_names
    assert_allclose(named.rate, mission.rate)


def test_files_of_bands_that_do_not_fit_each_other(mission, tmp_path, rng):
    paths = write_bands(mission, tmp_path, rng)
    table = Table.read(paths[1])
    table.remove_rows([0, 1])
    saved(table, tmp_path, paths[1].name)
    assert "common=True" in refusal(paths)
    kept = convert(paths, common=True).scws
    assert len(kept) == len(mission) - 2
    rows = np.searchsorted(mission.scw_id, kept.scw_id)
    assert_allclose(kept.rate, mission.rate[rows])
    table["EXPOSURE"][0] += 7
    saved(table, tmp_path, paths[1].name)
    assert "EXPOSURE" in refusal(paths, common=True)


# --- simulated or real


def test_simulated_is_carried_over_and_never_taken_back(mission, tmp_path):
    write_scws(mission, tmp_path / "m.fits")
    done = convert([tmp_path / "m.fits"])
    assert done.scws.meta["simulated"]
    assert done.scws.truth == mission.truth
    assert done.scws.fingerprint() == mission.fingerprint()
    assert "SIMUL" in refusal([tmp_path / "m.fits"], Mapping(simulated=False))
    path = saved(plain(mission), tmp_path)
    silent = convert([path])
    assert not silent.scws.meta["simulated"]
    assert any(note.startswith("simulated: false") for note in silent.notes)
    assert convert([path], Mapping(simulated=True)).scws.meta["simulated"]


# --- mappings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colums = 1", "did you mean 'columns'"),
        ("[columns]\nexposre = 'A'", "did you mean 'exposure'"),
        ("[columns]\nra = 3", "in quotes"),
        ("columns = 3", "make it a table"),
        ("[columns]\ntime = ['A']", "start"),
        ("[time]\nsystem = 'gps'", "write one of"),
        ("simulated = 'no'", "true or false"),
        ("bands = 3", "[[bands]]"),
        ("[[bands]]\nname = 'A'", "no e_min"),
        ("[[bands]]\nname = 'A'\ne_min = 'x'\ne_max = 3", "number in keV"),
        ("[[bands]]\nname = 'A'\ne_min = 1\ne_max = 3\nelement = 0", "whole number"),
        ("a = ", "not TOML"),
        ("[units]\nA = 1", "in quotes"),
    ],
)
def test_bad_mappings(text, words):
    with pytest.raises(InputError) as error:
        parse_mapping(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mapping_that_names_no_column(mission, tmp_path):
    path = saved(plain(mission), tmp_path)
    assert "did you mean" in refusal([path], parse_mapping("columns.exposure = 'EXPOSRE'"))
    assert "is missing" in refusal([path], parse_mapping("units.FOO = 's'"))


def test_a_mapping_with_odd_names_survives(tmp_path):
    mapping = Mapping(
        columns={"ra": 'α "x"', "time": ("a b", "c.d"), "roll": ""},
        bands=(BandColumns("A#1", 25.0, 60.5, "é", "", 2, 3),),
        units={"a b": "ct / ks", "é": "ct"},
        simulated=True,
        scale="utc",
        origin="x\\y",
    )
    (tmp_path / "m.toml").write_text(dump_mapping(mapping, ["several\tremarks", "ä"]), encoding="utf-8")
    assert load_mapping(tmp_path / "m.toml") == mapping


# --- the revolution table, and the command


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(70, 52770.0, 2.99), (70, 52773.0, 2.99)], "twice"),
        ([(70, 700.0, 2.99)], "no revolution"),
        ([(70, 52770.0, -1.0)], "no revolution"),
        ([(70.5, 52770.0, 2.99)], "no revolution"),
    ],
)
def test_bad_revolution_tables(tmp_path, rows, words):
    path = saved(Table(rows=rows, names=["REVOL", "START", "PERIOD"]), tmp_path)
    with pytest.raises(InputError, match=words):
        read_revolutions(path)


def test_a_revolution_that_is_not_in_the_table(mission, tmp_path):
    path = saved(plain(mission, PHASE=None), tmp_path)
    few = saved(Table(rows=[(1, 52600.0, 52603.0)], names=["REVOL", "START", "END"]), tmp_path, "r.ecsv")
    assert "not in the revolution table" in refusal([path], revolutions=few)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("livetime_ks", 1e3), ("EXPOSURE_S", 1.0), ("Exposure [h]", 3600.0), ("ONTIME (min)", 60.0)],
)
def test_the_unit_of_the_exposure_is_in_its_name(mission, tmp_path, name, seconds):
    path = saved(plain(mission, EXPOSURE=None, **{name: mission.exposure / seconds}), tmp_path)
    done = convert([path])
    assert_allclose(done.scws.exposure, mission.exposure)
    assert any(note.startswith(f"unit of {name}: ") for note in done.notes)


@pytest.mark.parametrize("name", ["EXPOSURE", "EXPOSURE_s"])
def test_exposures_of_an_unclear_unit_are_refused_without_a_wrong_remedy(mission, tmp_path, name):
    table = plain(mission, EXPOSURE=None)
    table[name] = mission.exposure / 1000
    path = saved(table, tmp_path)
    assert f'{name} = "UNIT"  (s, ks, min, h, d) under [units]' in refusal([path])
    done = convert([path], Mapping(units={name: "ks"}))
    assert_allclose(done.scws.exposure, mission.exposure)


def test_the_command(mission, tmp_path):
    path, _ = write(mission, tmp_path, Dialect())

    def command(*arguments):
        return call("convert", *arguments)

    guessed = command(path, "--guess")
    assert guessed.exit_code == 0
    text = guessed.stdout.replace("simulated = false", "simulated = true")
    (tmp_path / "map.toml").write_text(text)
    done = command(path, "--mapping", tmp_path / "map.toml", "--out", tmp_path / "scws.fits")
    assert done.exit_code == 0, done.output
    assert "guessed" not in done.output
    assert_same(read_scws(tmp_path / "scws.fits"), mission)
    again = command(path, "--out", tmp_path / "scws.fits")
    assert again.exit_code == 2
    assert "exists already" in again.output
    assert command(path).exit_code == 2
    table = plain(mission)
    table["ONTIME"] = table["EXPOSURE"]
    ambiguous = command(saved(table, tmp_path), "--guess")
    assert ambiguous.exit_code == 0
    assert "TO DO" in ambiguous.stdout
    assert 'exposure = "EXPOSURE"' in ambiguous.stdout
    assert "exposure" not in parse_mapping(ambiguous.stdout).columns


def test_what_is_guessed_can_be_edited(mission, tmp_path):
    """The mapping of one file does not number it; where the time is to do, so is what it counts from."""
    path = saved(plain(mission, MJD=None, WHEN=mission.mjd), tmp_path)
    text = call("convert", path, "--guess").stdout
    assert "TO DO" in text
    assert "file = " not in text
    begin = text.index("# [time]")
    block = "\n".join(line.removeprefix("# ") for line in text[begin:].splitlines()[:3])
    edited = text[:begin] + block + "\n" + "\n".join(text[begin:].splitlines()[3:])
    read = parse_mapping(edited.replace("\n[columns]\n", '\n[columns]\ntime = "WHEN"\n'))
    assert (read.system, read.scale) == ("mjd", "tt")
    assert_allclose(convert([path], read).scws.mjd, mission.mjd)
