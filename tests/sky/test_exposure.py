"""Exposures against brute force: fine grids, astropy's frames, the formula of the response written out."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from numpy.testing import assert_allclose

from ridgebayes import sky
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import ImageResponse, Trapezoid
from ridgebayes.sky import Region, Shape, exposure, point_response, uncovered
from tests.helpers.sky_run import solid_angle_deg2

CRAB = SkyCoord(83.6331, 22.0145, unit="deg")


def pointings(lon, lat, roll=None):
    """Stand-in for a ScW table: galactic degrees in, what exposures ask for out."""
    icrs = SkyCoord(np.atleast_1d(lon), np.atleast_1d(lat), unit="deg", frame="galactic").icrs
    return SimpleNamespace(ra=icrs.ra.deg, dec=icrs.dec.deg, roll=roll)


def around(n, lon, lat, spread, seed=0, roll=True):
    rng = np.random.default_rng(seed)
    where = rng.normal(lon, spread, n), np.clip(rng.normal(lat, spread, n), -89, 89)
    return pointings(*where, rng.uniform(-180, 360, n) if roll else None)


def brute_force(scws, lon, lat, flux, response):
    """Σ flux × R over points of the sky, one pointing at a time, through astropy's offset frames."""
    points = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    out = []
    for i, (ra, dec) in enumerate(zip(scws.ra, scws.dec, strict=True)):
        pointing = SkyCoord(ra, dec, unit="deg")
        rolls = np.arange(0, 90, 1.5) if scws.roll is None else [scws.roll[i]]
        local = points.transform_to(pointing.skyoffset_frame())
        ahead = np.cos(local.lon.rad) * np.cos(local.lat.rad) > 0.5
        east, north = (
            np.tan(local.lon.rad[ahead]),
            np.tan(local.lat.rad[ahead]) / np.cos(local.lon.rad[ahead]),
        )
        seen = []
        for turn in np.deg2rad(rolls):
            y = np.rad2deg(north * np.cos(turn) + east * np.sin(turn))
            x = np.rad2deg(north * np.sin(turn) - east * np.cos(turn))
            seen.append((flux[ahead] * response(x, y)).sum())
        out.append(np.mean(seen))
    return np.array(out)


def written_out(x, y):
    """The default trapezoid, from its definition."""
    sides = [np.interp(np.abs(v), [0, 4.07, 15.0], [1, 1, 0]) for v in (x, y)]
    return sides[0] * sides[1]


def grid(lon, lat, n_lon=200, n_lat=240):
    edges = np.linspace(*lat, n_lat + 1)
    width = (lon[1] - lon[0]) / n_lon
    x, y = np.meshgrid(lon[0] + (np.arange(n_lon) + 0.5) * width, (edges[1:] + edges[:-1]) / 2)
    area = np.repeat(np.diff(np.sin(np.deg2rad(edges))), n_lon) * np.deg2rad(width) * np.rad2deg(1.0) ** 2
    return x.ravel(), y.ravel(), area


@pytest.mark.parametrize("roll", [True, False], ids=["roll", "averaged"])
@pytest.mark.parametrize("kind", ["box", "circle", "sech2", "starlight"])
def test_against_brute_force(kind, roll):
    if kind == "box":
        region = Region.box("a", (168.0, 195.0), (-14.0, 3.0))
        lon, lat, flux = grid((168, 195), (-14, 3))
        centre = (181.0, -5.0)
    elif kind == "circle":
        region = Region.circle("a", 80.0, 1.0, 3.0)
        lon, lat, flux = grid((76, 84), (-3, 5), 300, 300)
        inside = SkyCoord(lon, lat, unit="deg").separation(SkyCoord(80, 1, unit="deg")).deg < 3
        lon, lat, flux = lon[inside], lat[inside], flux[inside]
        centre = (80.0, 1.0)
    elif kind == "sech2":
        region = Region.cell("a", (-25.0, -15.0), Shape("sech2", 1.5))
        lon, lat, area = grid((-25, -15), (-30, 30), 40, 600)
        bright = np.cosh(lat / 1.5) ** -2.0
        flux = bright / np.average(bright[np.abs(lat) < 5], weights=area[np.abs(lat) < 5]) * area
        centre = (-20.0, 0.0)
    else:
        region = Region.cell("a", (-5.0, 5.0), Shape("starlight"))
        lon, lat, area = grid((-5, 5), (-30, 30), 40, 240)
        bright = sky.Freudenreich().brightness(lon, lat)
        flux = bright / np.average(bright[np.abs(lat) < 5], weights=area[np.abs(lat) < 5]) * area
        centre = (0.0, 0.0)
    scws = around(12, *centre, 9.0, roll=roll)
    a = exposure(scws, sky.build("x", [region]), Trapezoid(), cache=False)
    assert a.shape == (12, 1)
    assert a.dtype == np.float64
    exact = brute_force(scws, lon, lat, flux, written_out)
    assert_allclose(a[:, 0], exact, atol=0.005 * exact.max())


@pytest.mark.parametrize("roll", [True, False], ids=["roll", "averaged"])
def test_a_uniform_sky_gives_the_solid_angle_everywhere(roll):
    model = sky.build("x", [Region.box("all", (-180.0, 180.0), (-90.0, 90.0))])
    rng = np.random.default_rng(3)
    lat = np.concatenate([[90.0, -90.0, 0.0, 0.0], rng.uniform(-90, 90, 60)])
    lon = np.concatenate([[0.0, 0.0, 180.0, -180.0], rng.uniform(-180, 180, 60)])
    a = exposure(
        pointings(lon, lat, rng.uniform(0, 360, 64) if roll else None), model, Trapezoid(), cache=False
    )
    assert_allclose(a, solid_angle_deg2(Trapezoid()), rtol=3e-3)


def test_average_over_many_rolls_is_the_averaged_exposure():
    model = sky.load("coarse").select(["GB", "L+20"])
    rolls = np.arange(0, 90, 2.0)
    each = exposure(pointings(np.full(45, 8.0), np.full(45, 6.0), rolls), model, Trapezoid(), cache=False)
    mean = exposure(pointings(8.0, 6.0), model, Trapezoid(), cache=False)
    assert_allclose(each.mean(axis=0), mean[0], rtol=2e-3)
    assert np.ptp(each, axis=0).max() > 0.01 * mean.max()  # so the roll does something


def test_roll_has_the_documented_sense():
    # A detector that sees only its upper right quarter, near 10 degrees from the axis in x and 4 in y
    image = np.zeros((41, 41))
    image[23:26, 28:33] = 1.0
    response = ImageResponse(image, 1.0, (20, 20))
    lon, lat = 70.0, 20.0
    pole = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    for roll in (0.0, 30.0, 200.0):
        # +y lies at position angle roll, +x at roll − 90
        seen = pole.directional_offset_by(
            (roll - 90 + np.rad2deg(np.arctan2(4, 10))) * u.deg, 10.7 * u.deg
        ).galactic
        unseen = pole.directional_offset_by(
            (roll + 90 - np.rad2deg(np.arctan2(4, 10))) * u.deg, 10.7 * u.deg
        ).galactic
        circles = [Region.circle(n, p.l.deg, p.b.deg, 0.2) for n, p in [("s", seen), ("u", unseen)]]
        model = sky.build("x", circles)
        scws = pointings(lon, lat, np.array([roll]))
        a = exposure(scws, model, response, cache=False)[0] / model.solid_angles
        assert_allclose(a, [1, 0], atol=1e-3)
        assert_allclose([point_response(scws, c, response)[0] for c in (seen, unseen)], [1, 0], atol=1e-6)


@pytest.mark.parametrize("roll", [True, False], ids=["roll", "averaged"])
def test_point_response_is_the_limit_of_a_small_circle(roll):
    galactic = CRAB.galactic
    model = sky.build("x", [Region.circle("Crab", galactic.l.deg, galactic.b.deg, 0.02)])
    scws = around(200, galactic.l.deg, galactic.b.deg, 8.0, roll=roll)
    r = point_response(scws, CRAB, Trapezoid())
    assert r.shape == (200,)
    assert r.max() > 0.9
    assert r.min() == 0
    a = exposure(scws, model, Trapezoid(), cache=False)
    assert_allclose(a[:, 0] / model.solid_angles[0], r, atol=2e-3)
    assert_allclose(point_response(scws, galactic, Trapezoid()), r)  # any frame


def test_order_and_grouping_do_not_matter():
    model = sky.load("coarse")
    scws = around(300, 0, 0, 40.0)
    together = exposure(scws, model, Trapezoid(), cache=False)
    shuffled = np.random.default_rng(0).permutation(300)
    parts = SimpleNamespace(ra=scws.ra[shuffled], dec=scws.dec[shuffled], roll=scws.roll[shuffled])
    assert_allclose(exposure(parts, model, Trapezoid(), cache=False), together[shuffled], atol=1e-9)
    one = SimpleNamespace(ra=scws.ra[:1], dec=scws.dec[:1], roll=scws.roll[:1])
    assert_allclose(exposure(one, model, Trapezoid(), cache=False), together[:1], atol=1e-9)
    none = SimpleNamespace(ra=np.zeros(0), dec=np.zeros(0), roll=None)
    assert exposure(none, model, Trapezoid(), cache=False).shape == (0, 18)


def test_cache_knows_what_the_result_depends_on(monkeypatch, tmp_path):
    monkeypatch.setenv("RIDGEBAYES_CACHE", str(tmp_path))
    model = sky.build("x", [Region.circle("a", 0.0, 0.0, 5.0), Region.circle("b", 20.0, 0.0, 5.0)])
    scws = around(20, 0, 0, 9.0)
    first = exposure(scws, model, Trapezoid())
    files = set(tmp_path.glob("exposure-*.npy"))
    assert len(files) == 1
    np.save(next(iter(files)), first + 1)  # so that reading and computing can be told apart
    assert_allclose(exposure(scws, model, Trapezoid()), first + 1)
    assert_allclose(exposure(scws, model, Trapezoid(), cache=False), first)
    other_roll = SimpleNamespace(ra=scws.ra, dec=scws.dec, roll=scws.roll + 1)
    no_roll = SimpleNamespace(ra=scws.ra, dec=scws.dec, roll=None)
    moved = SimpleNamespace(ra=scws.ra + 1e-9, dec=scws.dec, roll=scws.roll)
    for changed in [
        (other_roll, model, Trapezoid()),
        (no_roll, model, Trapezoid()),
        (moved, model, Trapezoid()),
        (scws, model, Trapezoid(4.2, 14.6)),
        (scws, model.select(["b", "a"]), Trapezoid()),
    ]:
        assert exposure(*changed).max() < first.max() + 0.9
    assert len(set(tmp_path.glob("exposure-*.npy"))) == 6


def test_pointings_that_are_not_finite():
    model = sky.build("x", [Region.circle("a", 0.0, 0.0, 5.0)])
    for column, label in [("ra", "RA"), ("dec", "DEC"), ("roll", "ROLL")]:
        scws = around(5, 0, 0, 5.0)
        getattr(scws, column)[3] = np.nan
        with pytest.raises(InputError, match=f"row 4: {label} is not finite"):
            exposure(scws, model, Trapezoid(), cache=False)


def test_uncovered_regions_are_named():
    model = sky.load("coarse")
    a = exposure(around(50, 0, 0, 4.0), model, Trapezoid(), cache=False)
    dark = uncovered(a, model.names)
    assert "GB" not in dark
    assert "L+20" not in dark
    assert {"L+180", "L-60", "L+100"} <= set(dark)
    assert uncovered(np.zeros((3, 2)), ["a", "b"]) == ["a", "b"]
    assert uncovered(np.zeros((0, 2)), ["a", "b"]) == ["a", "b"]
    assert uncovered([[1.0, 1e-3], [0.0, 0.0]], ["a", "b"]) == []
