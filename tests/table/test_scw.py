"""The ScWTable: construction, positions, selections, fingerprint."""

import dataclasses

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from ridgebayes.errors import InputError
from ridgebayes.table.scw import CRAB, CRAB_DEC, CRAB_RA, Band
from tests.helpers.scw_table import BANDS, make_scws


def test_arrays_are_converted_and_read_only():
    scws = make_scws(4, rate=np.full((4, 3), 80, dtype=">f4"), crab=None, meta={})
    assert scws.rate.dtype == np.float64
    assert scws.rate.dtype.isnative
    assert scws.crab.tolist() == [False] * 4
    assert scws.meta == {"origin": None, "simulated": False, "osa_version": None, "path": None}
    with pytest.raises(ValueError, match="read-only"):
        scws.rate[0, 0] = 1


def test_the_callers_array_stays_writeable():
    phase = np.linspace(0.1, 0.9, 4)
    make_scws(4, phase=phase)
    phase[0] = 0.2  # raises where the table has frozen it


def test_one_band_may_be_a_vector():
    scws = make_scws(5, bands=BANDS[:1], rate=np.arange(1.0, 6), stat_err=np.ones(5))
    assert scws.rate.shape == (5, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("phase", np.zeros(3)), ("rate", np.ones((4, 2))), ("crab", [True]), ("tracer", np.ones((4, 1)))],
)
def test_shapes_that_do_not_fit(field, value):
    with pytest.raises(InputError, match=f"ScW table: {field} has shape"):
        make_scws(4, **{field: value})


def test_galactic_position_against_astropy():
    scws = make_scws(200)
    expected = SkyCoord(scws.ra * u.deg, scws.dec * u.deg).transform_to("galactic")
    np.testing.assert_allclose(scws.lat, expected.b.deg, atol=1e-12)
    np.testing.assert_allclose(scws.lon % 360, expected.l.deg, atol=1e-12)
    assert scws.lon.min() < -90
    assert -180 <= scws.lon.min() <= scws.lon.max() < 180


def test_galactic_pole_and_centre():
    # J2000 coordinates of the definition (Hipparcos catalogue, vol. 1, section 1.5.3), and of the centre.
    scws = make_scws(2, ra=[192.85948, 266.40499], dec=[27.12825, -28.93617])
    assert scws.lat == pytest.approx([90, 0], abs=1e-4)
    assert scws.lon[1] == pytest.approx(0, abs=1e-4)


def test_masks():
    scws = make_scws(300)
    np.testing.assert_array_equal(scws.at_high_latitude(30), np.abs(scws.position.galactic.b) > 30 * u.deg)
    # The law of cosines, which is exact enough at these distances.
    ra, dec = np.radians(scws.ra), np.radians(scws.dec)
    ra0, dec0 = np.radians(CRAB_RA), np.radians(CRAB_DEC)
    cosine = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0)
    near = scws.near(CRAB, 40)
    np.testing.assert_array_equal(near, cosine > np.cos(np.radians(40)))
    assert 0 < near.sum() < 300


@pytest.mark.parametrize("rows", [[3, 1, -1], np.array([3, 1, 39], dtype=np.int32)])
def test_select_by_index_keeps_the_order_asked_for(rows):
    scws = make_scws()
    part = scws.select(rows)
    assert part.scw_id.tolist() == [scws.scw_id[i] for i in (3, 1, 39)]
    np.testing.assert_array_equal(part.rate, scws.rate[[3, 1, 39]])
    np.testing.assert_array_equal(part.lat, scws.lat[[3, 1, 39]])
    assert (part.truth, part.bands) == (scws.truth, scws.bands)


def test_select_by_mask_leaves_absent_columns_absent():
    scws = make_scws(roll=None)
    part = scws.select(scws.crab)
    assert part.roll is None
    assert len(part) == 5
    assert part.crab.all()


@pytest.mark.parametrize("rows", [[], np.zeros(40, dtype=bool)])
def test_select_nothing(rows):
    assert len(make_scws().select(rows)) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([True, False], "mask of shape"),
        ([40], "outside the table of 40 ScWs"),
        ([-41], "outside the table"),
        ([0.5], "boolean mask or"),
        ([[0, 1]], "boolean mask or"),
    ],
)
def test_select_nonsense(rows, message):
    with pytest.raises(InputError, match=message):
        make_scws().select(rows)


def test_take_bands():
    scws = make_scws()
    part = scws.take_bands(["80-200", "25-60"])
    assert part.bands == (BANDS[2], BANDS[0])
    np.testing.assert_array_equal(part.rate, scws.rate[:, [2, 0]])
    np.testing.assert_array_equal(part.stat_err, scws.stat_err[:, [2, 0]])
    np.testing.assert_array_equal(scws.take_bands("60-80").rate[:, 0], scws.rate[:, 1])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["25-6O"], r"band '25-6O' is not in the ScW table \(did you mean '25-60'\?\)"),
        ([], "at least one"),
        (["25-60", "25-60"], "only once"),
    ],
)
def test_take_bands_nonsense(names, message):
    with pytest.raises(InputError, match=message):
        make_scws().take_bands(names)


def test_fingerprint_ignores_row_order_path_origin_and_truth():
    scws = make_scws()
    expected = scws.fingerprint()
    assert len(expected) == 64
    shuffled = scws.select(np.random.default_rng(2).permutation(len(scws)))
    assert shuffled.fingerprint() == expected
    elsewhere = dataclasses.replace(scws, meta=scws.meta | {"path": "x.fits", "origin": "y"}, truth=None)
    assert elsewhere.fingerprint() == expected


def test_fingerprint_of_repeated_rows_ignores_their_order():
    scws = make_scws()
    rows = np.random.default_rng(3).integers(0, len(scws), 60)
    assert scws.select(rows).fingerprint() == scws.select(rows[::-1]).fingerprint()


def test_fingerprint_sees_no_sign_of_zero():
    zero = make_scws(2, ra=[0.0, 1.0])
    assert dataclasses.replace(zero, ra=[-0.0, 1.0]).fingerprint() == zero.fingerprint()


@pytest.mark.parametrize(
    "name",
    ["phase", "mjd", "exposure", "ra", "dec", "roll", "rate", "stat_err", "tracer", "tracer_err"],
)
def test_fingerprint_sees_the_last_bit_of_every_column(name):
    scws = make_scws()
    changed = getattr(scws, name).copy()
    changed.flat[-1] = np.nextafter(changed.flat[-1], np.inf)
    assert dataclasses.replace(scws, **{name: changed}).fingerprint() != scws.fingerprint()


def test_fingerprint_sees_everything_else_a_fit_sees():
    scws = make_scws()
    others = [
        scws,
        scws.select(np.arange(39)),
        scws.take_bands(["60-80", "25-60", "80-200"]),
        dataclasses.replace(scws, bands=(*BANDS[:2], Band("80-200", 80.0, 201.0))),
        dataclasses.replace(scws, roll=None),
        dataclasses.replace(scws, crab=~scws.crab),
        dataclasses.replace(scws, scw_id=np.roll(scws.scw_id, 1)),
        dataclasses.replace(scws, meta=scws.meta | {"osa_version": "10.2"}),
        dataclasses.replace(scws, meta=scws.meta | {"simulated": False}),
    ]
    assert len({table.fingerprint() for table in others}) == len(others)


def test_to_table_has_units():
    table = make_scws().to_table()
    assert (table["EXPOSURE"].unit, table["RATE"].unit, table["MJD"].unit) == (u.s, u.ct / u.s, u.d)
    flat = make_scws().to_table(vectors=False)
    np.testing.assert_array_equal(flat["STAT_ERR_60-80"], table["STAT_ERR"][:, 1])
    assert "RATE" not in flat.colnames


def test_repr_and_bands_read_well():
    assert repr(make_scws()) == "<ScWTable: 40 simulated ScWs of 5 revolutions, bands 25-60, 60-80, 80-200>"
    assert str(BANDS[0]) == "25-60 (25–60 keV)"
