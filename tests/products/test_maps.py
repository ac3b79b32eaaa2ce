"""Sky maps: flux is conserved, errors are what they should be."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

from ridgebayes import InputError
from ridgebayes.products.maps import Reprojection, brightness, centres, pointings_near, sky_maps
from ridgebayes.sky import Region, build, load
from tests.helpers.cli import call
from tests.helpers.map_run import NSIDE, draws, maps, pixel, run, scws, sky
from tests.helpers.sky_run import scw_columns, sky_run

PIXEL = HEALPix(NSIDE).pixel_area.to_value(u.deg**2)
__all__ = ["draws", "maps", "run", "scws", "sky"]  # fixtures


@pytest.mark.parametrize("nside", [16, 32, 128])
def test_a_map_holds_the_flux_of_every_region(sky, nside):
    area = HEALPix(nside).pixel_area.to_value(u.deg**2)
    np.testing.assert_allclose(brightness(sky, nside).sum(axis=1) * area, sky.solid_angles, rtol=1e-3)


def test_a_uniform_region_is_uniform(sky):
    bright = brightness(sky, NSIDE).toarray()
    lon, lat = centres(NSIDE)
    deep = (np.abs(lon - 10) < 8) & (np.abs(lat) < 8)
    assert deep.sum() > 50
    np.testing.assert_allclose(bright[0, deep], 1.0, rtol=0.02)
    assert np.ptp(bright[0, deep]) < 1e-9
    # Where two regions touch, a pixel holds parts of both that fill it.
    seam = (np.abs((lon + 180) % 360 - 180) < 8) & (np.abs(lat) < 8)
    np.testing.assert_allclose(bright[:2, seam].sum(axis=0), 1.0, rtol=0.02)
    outside = (np.abs(lat) > 12) & (np.abs(lat) < 35)
    assert (bright[:2, outside] == 0).all()


def test_a_layer_has_its_shape(sky):
    """The sech² layer, mean over its core 1: ∫ sech²(b/s) db from 0 to 5° is s tanh(5/s)."""
    bright = brightness(sky, 128).toarray()[2]
    lon, lat = centres(128)
    inside = (np.abs(lon - 180) < 9) & (np.abs(lat) < 20)
    core = 4.0 * np.tanh(5 / 4.0) / 5.0
    np.testing.assert_allclose(bright[inside], np.cosh(lat[inside] / 4.0) ** -2 / core, rtol=0.03, atol=1e-3)


def test_a_region_smaller_than_a_pixel_keeps_its_flux():
    tiny = build("tiny", [Region.circle("dot", 10.0, 3.0, 0.02)])
    assert brightness(tiny, 64).sum() * HEALPix(64).pixel_area.to_value(u.deg**2) == pytest.approx(
        tiny.solid_angles[0]
    )


def test_mean_and_sd_are_those_of_maps_of_the_draws(sky, draws, maps):
    """Draw by draw: a map of each, then its mean and sd."""
    bright = brightness(sky, NSIDE).toarray()
    lit = bright.sum(axis=0) > 0
    for k, one in enumerate(maps):
        each = draws[:, k] @ bright
        np.testing.assert_allclose(one.intensity[lit], each.mean(0)[lit], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(one.intensity_sd[lit], each.std(0, ddof=1)[lit], rtol=1e-8)
        assert np.isnan(one.intensity[~lit]).all()
        assert np.isnan(one.intensity_sd[~lit]).all()
    # The two boxes are anticorrelated: their common pixels are known better than either.
    assert maps[0].intensity_sd[pixel(0, 0)] < 0.6 * maps[0].intensity_sd[pixel(10, 0)]
    # The sd at their centres is that of one box, so that a picture shows no border.
    own = draws[:, 0].std(0, ddof=1)
    for lon in (0, 10, -10):
        assert np.abs(maps[0].centre_sd[pixel(lon, 0)] - own[:2]).min() < 0.02 * own[0]
    total = np.nansum(maps[0].intensity) * PIXEL
    assert total == pytest.approx(draws[:, 0].mean(0) @ sky.solid_angles, rel=1e-3)


def test_an_unseen_region_has_no_value(sky, draws, scws):
    one = sky_maps(sky_run(sky, draws, scws=scws, unseen=["disc"]), nside=NSIDE)[0]
    there = pixel(60, 50)
    assert np.isnan(one.intensity[there])
    assert one.unseen[there]
    assert one.unseen.sum() * PIXEL == pytest.approx(sky.solid_angles[3], rel=0.5)
    assert not one.unseen[pixel(10, 0)]


@pytest.mark.slow
def test_a_free_shape_in_latitude(sky, draws, scws):
    """Widths of the draws between those that were worked out: mean and sd of maps of that very width."""
    run = sky_run(sky, draws, scws=scws)
    rng = np.random.default_rng(4)
    width = np.clip(1 + 0.1 * rng.normal(size=(1, len(draws), 2)), 0.75, 1.3)
    posterior = run.tree["posterior"].dataset
    axes = ("chain", "draw", "band")
    run.tree["posterior"] = posterior.assign(
        {"sky.width": (axes, width), "sky.shift": (axes, np.zeros_like(width))}
    )
    one = sky_maps(run, nside=NSIDE)[0]
    lat = np.array([0.0, 8.0])
    core = 4.0 * width[0, :, 0] * np.tanh(5 / (4.0 * width[0, :, 0])) / 5.0
    for at, p in zip(lat, [pixel(180, at) for at in lat], strict=True):
        # sech² of each width, averaged over the pixel by the map of the same width
        exact = draws[:, 0, 2] * np.cosh(centres(NSIDE)[1][p] / (4.0 * width[0, :, 0])) ** -2 / core
        assert one.intensity[p] == pytest.approx(exact.mean(), rel=0.05), at
        assert one.intensity_sd[p] == pytest.approx(exact.std(), rel=0.06), at
    # Boxes have no shape in latitude.
    plain = sky_maps(sky_run(sky, draws, scws=scws), nside=NSIDE)[0]
    p = pixel(10, 0)
    assert one.intensity[p] == pytest.approx(plain.intensity[p], rel=1e-9)
    assert one.intensity_sd[p] == pytest.approx(plain.intensity_sd[p], rel=1e-9)


def by_hand(scws, p, band, radius):
    """Mean, error, number and expectation in one pixel, with loops."""
    lon, lat = centres(NSIDE)
    pointing = SkyCoord(scws["LON"], scws["LAT"], frame="galactic")
    away = pointing.separation(SkyCoord(lon[p], lat[p], unit="deg", frame="galactic")).deg
    rows = [i for i in np.flatnonzero(away < radius) if not scws["CRAB"][i]]
    mcrab = {name: scws[name].value[:, band] * 10 for name in
             ("RATE", "BACKGROUND", "BACKGROUND_SD", "NOISE", "SKY")}  # fmt: skip
    weight = {i: 1 / (mcrab["NOISE"][i] ** 2 + mcrab["BACKGROUND_SD"][i] ** 2) for i in rows}
    total = sum(weight.values())
    mean = sum(weight[i] * (mcrab["RATE"][i] - mcrab["BACKGROUND"][i]) for i in rows) / total
    variance = 0.0
    for i in rows:
        for j in rows:
            same = mcrab["BACKGROUND_SD"][i] * mcrab["BACKGROUND_SD"][j]
            covariance = same if scws["REVOL"][i] == scws["REVOL"][j] else 0.0
            covariance += mcrab["NOISE"][i] ** 2 if i == j else 0.0
            variance += weight[i] * weight[j] * covariance
    return mean, np.sqrt(variance) / total, len(rows), sum(weight[i] * mcrab["SKY"][i] for i in rows) / total


@pytest.mark.parametrize("radius", [2.0, 5.0])
def test_residuals_of_a_pixel(run, scws, radius):
    found = sky_maps(run, nside=NSIDE, radius=radius)
    for lon, lat in ((0.0, 0.0), (-11.0, 4.0), (20.0, -9.0)):
        p = pixel(lon, lat)
        for k, one in enumerate(found):
            mean, error, count, expected = by_hand(scws, p, k, radius)
            assert count > 0
            assert one.scws[p] == count
            got = [one.residual[p], one.residual_error[p], one.expected[p]]
            np.testing.assert_allclose(got, [mean, error, expected], rtol=1e-8)
    nowhere = pixel(120, 60)
    assert found[0].scws[nowhere] == 0
    assert np.isnan([found[0].residual[nowhere], found[0].expected[nowhere]]).all()


def test_sd_of_what_is_expected(sky, draws, scws):
    """Brute force: the FOV flux of every draw at every ScW, averaged with the weights of the residuals."""
    solid_angle = np.linspace(0.9, 1.1, len(draws))
    run = sky_run(sky, draws, scws=scws, solid_angle=solid_angle)
    one = sky_maps(run, nside=NSIDE)[1]
    p = pixel(3, 2)
    rows = pointings_near(run, NSIDE, 2.0)[[p]].indices
    seen = sky.fov_exposure(scws["LON"].value[rows], scws["LAT"].value[rows], run.response)
    error = np.hypot(scws["NOISE"].value, scws["BACKGROUND_SD"].value)[rows, 1]
    flux = (draws[:, 1] * solid_angle[:, None]) @ np.average(seen, axis=0, weights=error**-2)
    assert one.expected_sd[p] == pytest.approx(flux.std(ddof=1), rel=1e-8)


@pytest.mark.slow
def test_errors_hold_for_a_background_that_errs_by_revolution(sky, draws):
    """Repeated missions: residuals err by noise and by one error of the background a revolution."""
    rng = np.random.default_rng(3)
    n, missions = 60, 150
    revolution = rng.choice([100, 110, 120], n)
    off = rng.normal(0, 2.0, (3, missions))[np.searchsorted([100, 110, 120], revolution)]
    residual = off + rng.normal(0, 5.0, (n, missions))
    lon, lat = rng.uniform(-1, 1, (2, n))
    many = np.tile(draws[:, :1], (1, missions, 1))
    run = sky_run(sky, many, scws=scw_columns(lon, lat, residual, revolution=revolution),
                  diagnosed=False)  # fmt: skip
    bands = run.record["data"]["bands"]
    p = pixel(0, 0)
    found = sky_maps(run, nside=NSIDE, bands=bands, radius=5.0)
    pull = np.array([one.residual[p] / one.residual_error[p] for one in found])
    assert np.sqrt(np.mean(pull**2)) == pytest.approx(1.0, abs=4 / np.sqrt(2 * missions))
    # As if all errors were independent, they would be too small by far.
    assert found[0].residual_error[p] > 1.5 * np.sqrt(5.0**2 + 2.0**2) / np.sqrt(n)


@pytest.mark.long
def test_a_fit_expects_what_it_was_fitted_to(small_run):
    """The real thing: residuals scatter about what is expected by less than their errors, and not by far."""
    for one in sky_maps(small_run, nside=16):
        near = one.scws > 0
        pull = (one.residual - one.expected)[near] / one.residual_error[near]
        assert near.sum() > 50
        assert 0.4 < np.sqrt(np.mean(pull**2)) < 1.2
        assert abs(pull.mean()) < 0.4


def test_without_a_plain_scw_there_are_no_residuals(sky, draws):
    run = sky_run(sky, draws, scws=scw_columns([184.0], [-6.0], [[900.0, 900.0]], crab=True))
    one = sky_maps(run, nside=NSIDE)[0]
    assert not one.scws.any()
    assert np.isnan(one.residual).all()
    assert np.isfinite(one.intensity).any()


def test_bands_are_chosen_by_name(run, maps):
    (only,) = sky_maps(run, nside=NSIDE, bands=["E02"])
    assert (only.band, only.e_min, only.e_max) == ("E02", 30.0, 40.0)
    np.testing.assert_array_equal(only.intensity, maps[1].intensity)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands": ["E2"]}, r"has no band 'E2' \(did you mean 'E02'\?\)"),
        ({"nside": 100}, r"nside 100 is not a power of 2"),
        ({"nside": 0}, r"nside 0 is not a power of 2"),
        ({"radius": 0.0}, r"radius 0: must be above 0"),
        ({"radius": 90.0}, r"radius 90: must be above 0"),
    ],
)
def test_what_cannot_be_mapped_is_one_line(run, change, message):
    with pytest.raises(InputError, match=message) as error:
        sky_maps(run, **change)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_command(run, tmp_path):
    saved = run.save(tmp_path / "run")
    out = tmp_path / "products"
    result = call("map", saved.path, "--nside", 16, "--band", "E02", "--out", out)
    assert result.exit_code == 0, result.output
    names = {path.name for path in out.iterdir()}
    assert names == {"map.fits", "map_plane.fits"} | {
        f"map_{what}{where}.png" for what in ("intensity", "residuals") for where in ("", "_plane")
    }
    for name in names:
        assert name in result.output.split(f"wrote {out}: ")[1]
    assert "SIMULATED data" in result.output
    with fits.open(out / "map.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["E02"]
        assert hdus[1].header["DATAHASH"] == "f" * 64
    bad = call("map", saved.path, "--band", "E9", "--out", out, "--overwrite")
    assert (bad.exit_code, bad.output.count("\n")) == (2, 1)


@pytest.mark.slow
def test_the_whole_plane_tiles_without_seam():
    """The shipped tiling: every pixel of the plane is covered once, to what a picture shows."""
    tiling = load("coarse")
    covered = build("flat", [Region.box(r.name, r.lon, (-30.0, 30.0)) for r in tiling.regions])
    total = np.asarray(brightness(covered, 64).sum(axis=0)).ravel()
    inside = np.abs(centres(64)[1]) < 28
    np.testing.assert_allclose(total[inside], 1.0, atol=0.02)


def test_interpolation_passes_over_pixels_without_value():
    lat = centres(16)[1]
    values = 2.0 + np.sin(np.deg2rad(lat))
    at = np.array([[10.0, -170.0], [np.nan, 359.9]]), np.array([[5.0, -40.0], [0.0, 89.0]])
    exact = 2.0 + np.sin(np.deg2rad(at[1]))
    got = Reprojection(16, *at)(values)
    np.testing.assert_allclose(got[~np.isnan(at[0])], exact[~np.isnan(at[0])], atol=0.01)
    assert np.isnan(got[1, 0])
    half = np.where(lat > 0, values, np.nan)
    edge = Reprojection(16, np.full(3, 50.0), np.array([20.0, 0.5, -20.0]))(half)
    assert edge[0] == pytest.approx(2.0 + np.sin(np.deg2rad(20)), abs=0.01)
    assert np.isnan(edge[2])
