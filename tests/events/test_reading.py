"""Event lists are read as they are, or refused in one line."""

import gzip

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from ridgebayes.errors import InputError
from ridgebayes.events import read_events
from ridgebayes.events.reading import merged
from tests.helpers.event_maker import SCW, START, make_events, write_events


@pytest.fixture(scope="module")
def drawn():
    return make_events(np.random.default_rng(1), seconds=20.0)


@pytest.fixture
def listed(drawn, tmp_path):
    return write_events(tmp_path / "isgri_events.fits", drawn)


def test_what_was_written_is_read(drawn, tmp_path):
    gti = [[2.0, 10.0], [12.0, 19.0]]
    selected = drawn[1] < 500
    events = read_events(write_events(tmp_path / "e.fits", drawn, gti=gti, selected=selected))
    assert events.scw_id == SCW
    assert_allclose(events.gti, np.array(gti) - 2.0, atol=2e-6)
    assert_allclose(events.start, 51544.0 + START + 2.0 / 86400, rtol=0, atol=1e-10)
    assert_allclose(events.mjd, 51544.0 + START + 10.5 / 86400, rtol=0, atol=1e-10)
    assert_allclose(events.time, drawn[0] - 2.0, atol=2e-6)
    assert_allclose(events.energy, drawn[1], rtol=1e-6)
    assert_array_equal(events.pixel, drawn[2])
    assert_array_equal(events.selected, selected)
    assert events.live is None
    assert events.simulated


def test_roll_is_the_position_angle_of_the_z_axis(listed):
    events = read_events(listed)
    x, z = SkyCoord(286.8229, 20.2763, unit="deg"), SkyCoord(199.3752, -6.8731, unit="deg")
    assert_allclose([events.ra, events.dec], [286.8229, 20.2763])
    assert_allclose(events.roll, x.position_angle(z).deg)


def test_unsorted_and_gzipped_is_the_same(drawn, listed, tmp_path):
    mixed = np.random.default_rng(0).permutation(drawn[0].size)
    write_events(tmp_path / "m.fits", [column[mixed] for column in drawn], gti=[[0.0, drawn[0].max()]])
    packed = tmp_path / "m.fits.gz"
    packed.write_bytes(gzip.compress((tmp_path / "m.fits").read_bytes()))
    one, other = read_events(listed), read_events(packed)
    assert_array_equal(one.time, other.time)
    assert_array_equal(one.pixel, other.pixel)


@pytest.mark.parametrize(
    ("keywords", "live"), [({"DEADC": 0.9}, 0.9), ({"LIVETIME": 80.0, "ONTIME": 100.0}, 0.8)]
)
def test_live_fraction_from_the_header(drawn, tmp_path, keywords, live):
    assert_allclose(read_events(write_events(tmp_path / "e.fits", drawn, keywords=keywords)).live, live)


def test_without_gti_all_of_the_scw_is_good(drawn, tmp_path):
    ends = {"TSTART": START, "TSTOP": START + 15 / 86400}
    events = read_events(write_events(tmp_path / "e.fits", drawn, keywords=ends, drop=["IBIS-GNRL-GTI"]))
    assert_allclose(events.gti, [[0.0, 15.0]], atol=2e-6)


def test_merged_intervals():
    spans = np.array([[5.0, 7.0], [0.0, 2.0], [1.0, 3.0], [4.0, 4.0], [3.0, 3.5], [np.nan, 9.0], [8.0, 6.0]])
    assert_array_equal(merged(spans), [[0.0, 3.5], [5.0, 7.0]])


BAD = {
    "SWID is missing": {"keywords": {"SWID": None}},
    "SWID is '12'": {"keywords": {"SWID": "12"}},
    "REVOL is 12": {"keywords": {"REVOL": 12}},
    "SW_TYPE is SLEW": {"keywords": {"SW_TYPE": "SLEW"}},
    "TIMESYS is UTC": {"keywords": {"TIMESYS": "UTC"}},
    "MJDREF is missing": {"keywords": {"MJDREF": None}},
    "MJDREF is 'x'": {"keywords": {"MJDREF": "x"}},
    "outside the mission": {"keywords": {"MJDREF": 0.0}},
    "DEC_SCX is 123": {"keywords": {"DEC_SCX": 123.0}},
    "live fraction": {"keywords": {"DEADC": 1.2}},
    "no table extension ISGR-EVTS-ALL": {"drop": ["ISGR-EVTS-ALL"]},
    "no extension IBIS-GNRL-GTI and no TSTART": {"drop": ["IBIS-GNRL-GTI"]},
    "no column TIME": {"drop": ["TIME"]},
    "no column ISGRI_ENERGY": {"drop": ["ISGRI_ENERGY"]},
    "no column DETZ": {"drop": ["DETZ"]},
    "no column STOP": {"drop": ["STOP"]},
    "no good time": {"gti": [[5.0, 5.0]]},
    "no event lies in the good time": {"gti": [[5000.0, 6000.0]]},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_lists_are_refused_in_one_line(drawn, tmp_path, message):
    path = write_events(tmp_path / "bad.fits", drawn, **BAD[message])
    with pytest.raises(InputError, match=r"bad\.fits") as caught:
        read_events(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_events_and_values_that_cannot_be(drawn, tmp_path):
    nothing = [column[:0] for column in drawn]
    with pytest.raises(InputError, match="no events"):
        read_events(write_events(tmp_path / "e.fits", nothing, gti=[[0, 9]]))
    outside = (drawn[0], drawn[1], np.full(drawn[2].size, 134 * 130 + 5))
    with pytest.raises(InputError, match="row 1: DETY 5, DETZ 134 lie outside"):
        read_events(write_events(tmp_path / "e.fits", outside))
    nan = (drawn[0], np.full(drawn[1].size, np.nan), drawn[2])
    with pytest.raises(InputError, match="not finite"):
        read_events(write_events(tmp_path / "e.fits", nan))


def test_a_column_of_another_type(drawn, tmp_path):
    path = write_events(tmp_path / "e.fits", drawn)
    with fits.open(path) as hdus:
        old = hdus["ISGR-EVTS-ALL"]
        text = fits.Column("TIME", "4A", array=np.full(drawn[0].size, "noon"))
        columns = [c for c in old.columns if c.name != "TIME"]
        table = fits.BinTableHDU.from_columns([*columns, text], header=None, name="ISGR-EVTS-ALL")
        table.header.update({"SWID": SCW, "MJDREF": 51544.0})
        fits.HDUList([fits.PrimaryHDU(), table, hdus[2]]).writeto(tmp_path / "text.fits")
    with pytest.raises(InputError, match="column TIME is not one number a row"):
        read_events(tmp_path / "text.fits")


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_were_cut_off(listed, tmp_path, packed):
    content = gzip.compress(listed.read_bytes()) if packed else listed.read_bytes()
    path = tmp_path / ("cut.fits.gz" if packed else "cut.fits")
    for share in np.linspace(0, 0.97, 20):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"cut\.fits") as caught:
            read_events(path)
        assert "\n" not in str(caught.value)


def test_bytes_that_were_changed_never_crash(listed, tmp_path):
    rng = np.random.default_rng(5)
    content = np.frombuffer(listed.read_bytes(), np.uint8)
    path = tmp_path / "changed.fits"
    refused = []
    for _ in range(40):
        changed = content.copy()
        where = rng.integers(0, 12000 if rng.random() < 0.7 else content.size, 8)
        changed[where] = rng.integers(0, 256, 8)
        path.write_bytes(changed.tobytes())
        try:
            events = read_events(path)
        except InputError as error:
            refused.append(str(error))
        else:
            assert (np.diff(events.time) >= 0).all()
    assert refused
    assert not any("\n" in line for line in refused)
