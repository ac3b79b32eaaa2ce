"""Files as the ISDC makes them: index of science windows, groups, several lists of good time, slews."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ridgebayes.convert.ids import pointings_only
from ridgebayes.errors import InputError
from ridgebayes.events import read_events, read_pointings
from ridgebayes.events.reading import position_angle
from tests.helpers.event_maker import SCW, START, make_events, write_events


def index(path, **columns):
    """Write an index of three pointings and a slew."""
    table = Table({"SWID": ["010000010010", "010000010021", "010000020010", "010000030010"]})
    table["SW_TYPE"] = ["POINTING", "SLEW", "POINTING", "POINTING"]
    table["RA_SCX"], table["DEC_SCX"] = [10.0, 11.0, 12.0, 13.0], [1.0, 2.0, 3.0, 4.0]
    table["RA_SCZ"], table["DEC_SCZ"] = [100.0] * 4, [80.0] * 4
    for name, values in columns.items():
        table[name] = values
    hdu = fits.table_to_hdu(table, name="GROUPING")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return path


def test_an_index_of_science_windows_is_a_pointing_table(tmp_path, caplog):
    with caplog.at_level("INFO", "ridgebayes"):
        found = read_pointings(index(tmp_path / "index.fits"))
    assert found.scw_id.tolist() == ["010000010010", "010000020010", "010000030010"]
    assert found.ra.tolist() == [10, 12, 13]
    np.testing.assert_allclose(found.roll, position_angle(found.ra, found.dec, 100.0, 80.0))
    assert "left out, as they have no one pointing: 1 slew" in caplog.text


def test_ids_tell_slews_and_engineering_windows_where_no_type_does():
    ids = ["010000010010", "010000010021", "010000000012", "010000020010"]
    for written in (np.array(ids), np.array(ids).astype(np.int64), np.char.add(ids, ".001")):
        kept = pointings_only("a", Table({"scw": written, "x": range(4)}))
        assert kept["x"].tolist() == [0, 3]
    with pytest.raises(InputError, match=r"a: holds no pointing \(1 engineering, 1 slew windows\)"):
        pointings_only("a", Table({"scw": ids[1:3]}))


def test_an_event_list_of_a_slew_is_refused_by_its_id(tmp_path, rng):
    path = write_events(
        tmp_path / "e.fits", make_events(rng, 20.0), scw_id=SCW[:-1] + "1", keywords={"SW_TYPE": None}
    )
    with pytest.raises(InputError, match="SW_TYPE is SLEW"):
        read_events(path)


def with_gtis(path, **names):
    """Add lists of good time; name → seconds from … to."""
    with fits.open(path) as hdus:
        kept = [hdu.copy() for hdu in hdus if hdu.name != "IBIS-GNRL-GTI"]
        for title, (low, high) in names.items():
            table = Table({"START": [START + low / 86400], "STOP": [START + high / 86400]})
            table["START"].unit = table["STOP"].unit = "d"
            hdu = fits.table_to_hdu(table, name="IBIS-GNRL-GTI")
            hdu.header["GTI_NAME"] = title
            kept.append(hdu)
    fits.HDUList(kept).writeto(path, overwrite=True)


def test_of_several_lists_of_good_time_the_merged_one_counts(tmp_path, rng, caplog):
    path = write_events(tmp_path / "e.fits", make_events(rng, 100.0))
    with_gtis(path, ATTITUDE=(0, 90), MERGED_ISGRI=(10, 60), TM=(0, 100))
    with caplog.at_level("INFO", "ridgebayes"):
        np.testing.assert_allclose(np.ptp(read_events(path).gti), 50.0, atol=1e-3)
    assert "of 3 extensions IBIS-GNRL-GTI, MERGED_ISGRI counts" in caplog.text
    with_gtis(path, ATTITUDE=(0, 90), TM=(0, 100))
    with pytest.raises(InputError, match=r"2 extensions .* \(ATTITUDE, TM\): keep the one that counts"):
        read_events(path)
    with_gtis(path, ATTITUDE=(0, 90), MERGED_ISGRI=(0, 100))  # the remedy
    assert len(read_events(path).gti) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_a_group_names_its_event_list(tmp_path, rng, packed):
    events = write_events(tmp_path / "isgri_events.fits", make_events(rng, 50.0))
    alone = read_events(events)
    if packed:
        events.rename(tmp_path / "plain.fits")
        with fits.open(tmp_path / "plain.fits") as hdus:
            hdus.writeto(tmp_path / "isgri_events.fits.gz")
    members = Table({"MEMBER_NAME": ["ISGR-EVTS-ALL", "ISGR-EVTS-SGL"]})
    members["MEMBER_LOCATION"] = ["isgri_events.fits", "other.fits"]
    group = fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(members, name="GROUPING")])
    group.writeto(tmp_path / "swg.fits")
    found = read_events(tmp_path / "swg.fits")
    assert found.scw_id == alone.scw_id
    np.testing.assert_array_equal(found.energy, alone.energy)
    for file in tmp_path.glob("isgri_events*"):
        file.unlink()
    with pytest.raises(InputError, match=r"names isgri_events\.fits for ISGR-EVTS-ALL"):
        read_events(tmp_path / "swg.fits")


@pytest.mark.parametrize(
    "cards",
    [
        {"MJDREF": 51544.0},
        {"MJDREF": None, "MJDREFI": 51544, "MJDREFF": 0.0},
        {"MJDREF": 50544.0, "TIMEZERO": 1000.0},
        {"MJDREF": 51544.0, "TIMEUNIT": "d"},
        {"MJDREF": None, "JDREF": 2451544.5},
        {"MJDREF": None, "DATEREF": "2000-01-01T00:00:00"},
    ],
)
def test_every_zero_of_the_standard(tmp_path, rng, cards):
    events = make_events(rng, 20.0)
    one = read_events(write_events(tmp_path / "a.fits", events))
    other = read_events(write_events(tmp_path / "b.fits", events, keywords=cards))
    assert abs(one.start - other.start) < 1e-9


def test_null_cells_of_an_event_list_are_refused(tmp_path, rng):
    path = write_events(tmp_path / "e.fits", make_events(rng, 20.0))
    with fits.open(path, mode="update") as hdus:
        hdus[1].header["TNULL2"] = int(hdus[1].data["DETZ"][5])
    with pytest.raises(InputError, match=r"ISGR-EVTS-ALL row \d+: DETZ is missing \(null\)"):
        read_events(path)
