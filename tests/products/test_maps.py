"""Sky maps: flux is conserved, errors are what they should be, files are read back by others."""

import warnings

import astropy.units as u
import matplotlib.style
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astropy_healpix import HEALPix

from ridgebayes import InputError
from ridgebayes.plots import maps as plots
from ridgebayes.plots import style
from ridgebayes.products.mapfiles import UNSEEN, write_maps, write_plane
from ridgebayes.products.maps import Reprojection, brightness, centres, pointings_near, sky_maps
from ridgebayes.sky import Region, Shape, build, load, read_template
from tests.helpers.cli import call
from tests.helpers.sky_run import scw_columns, sky_run

NSIDE = 32
PIXEL = HEALPix(NSIDE).pixel_area.to_value(u.deg**2)


@pytest.fixture(scope="module")
def sky():
    """Two boxes that touch at l = 0, a thin layer across l = 180 and a disc off the plane."""
    return build(
        "test",
        [
            Region.box("east", (0.0, 20.0), (-10.0, 10.0)),
            Region.box("west", (-20.0, 0.0), (-10.0, 10.0)),
            Region.cell("far", (170.0, 190.0), Shape("sech2", 4.0), core_lat=5.0),
            Region.circle("disc", 60.0, 50.0, 6.0),
        ],
        nside=NSIDE,
    )


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(1)
    mix = np.linalg.cholesky([[1, -0.8, 0, 0], [-0.8, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0.5, 1]])
    noise = rng.normal(size=(300, 2, 4)) @ mix.T
    return np.array([1.5, 0.5, 0.8, -0.2]) + 0.1 * noise


@pytest.fixture(scope="module")
def scws():
    rng = np.random.default_rng(2)
    n = 400
    return scw_columns(
        rng.uniform(-25, 25, n), rng.uniform(-12, 12, n), rng.normal(50, 10, (n, 2)),
        revolution=rng.choice([100, 110, 120], n), noise=rng.uniform(3, 8, (n, 2)),
        shared=rng.uniform(1, 3, (n, 2)), expected=rng.uniform(40, 60, (n, 2)), crab=rng.random(n) < 0.1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(sky, draws, scws):
    return sky_run(sky, draws, scws=scws, truth=np.ones((2, 4)))


@pytest.fixture(scope="module")
def maps(run):
    return sky_maps(run, nside=NSIDE)


def pixel(lon, lat, nside=NSIDE):
    return int(HEALPix(nside, order="ring").lonlat_to_healpix(lon * u.deg, lat * u.deg))


# --- intensity ---------------------------------------------------------------------------------------------


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


# --- residuals ---------------------------------------------------------------------------------------------


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


# --- files -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(run, maps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    write_maps(run, maps, folder / "map.fits", 2.0)
    write_plane(run, maps, folder / "plane.fits", 2.0)
    return folder


def test_header_and_values(files, maps, run):
    with fits.open(files / "map.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["E01", "E02"]
        for hdu, one in zip(hdus[1:], maps, strict=True):
            header = hdu.header
            grid = HEALPix.from_header(hdu)
            assert (grid.nside, grid.order, grid.frame.name) == (NSIDE, "ring", "galactic")
            for name, value in {
                "PIXTYPE": "HEALPIX", "ORDERING": "RING", "COORDSYS": "G", "NSIDE": NSIDE, "FIRSTPIX": 0,
                "LASTPIX": 12 * NSIDE**2 - 1, "INDXSCHM": "IMPLICIT", "BAND": one.band, "E_MIN": one.e_min,
                "SIMUL": True, "DATAHASH": "f" * 64, "RADIUS": 2.0,
            }.items():  # fmt: skip
                assert header[name] == value, name
            assert hdus[0].header["SIMUL"] is True
            stored = hdu.data["INTENSITY"]
            empty = np.isnan(one.intensity)
            assert (stored[empty] == np.float32(UNSEEN)).all()
            np.testing.assert_allclose(stored[~empty], one.intensity[~empty], rtol=1e-6)
            np.testing.assert_array_equal(hdu.data["N_SCW"], one.scws)
            said = [header.comments[f"TTYPE{k}"] for k in range(1, len(hdu.columns) + 1)]
            units = dict(zip(hdu.columns.names, said, strict=True))
            assert units["INTENSITY"].startswith("[mCrab/deg2]")
            assert all(units[n].startswith("[mCrab]") for n in ("RESIDUAL", "RESIDUAL_ERR", "EXPECTED"))
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # astropy reads it without one
                Table.read(hdu)


def test_a_map_is_a_template(files, maps):
    """The package's own reader of HEALPix files, which knows nothing of the writer."""
    values = read_template(files / "map.fits")
    np.testing.assert_allclose(values, np.maximum(maps[0].intensity, 0), rtol=1e-6)


def test_healpy_reads_the_map(files, maps):
    healpy = pytest.importorskip("healpy")
    for k, one in enumerate(maps):
        for field, values in ((0, one.intensity), (2, one.residual), (5, one.expected)):
            got = healpy.read_map(files / "map.fits", field=field, hdu=k + 1)
            bad = healpy.mask_bad(got)
            np.testing.assert_array_equal(bad, np.isnan(values))
            np.testing.assert_allclose(got[~bad], values[~bad], rtol=1e-6)
    assert healpy.ang2pix(NSIDE, 10, 0, lonlat=True) == pixel(10, 0)


def test_plane_images(files, maps):
    with fits.open(files / "plane.fits") as hdus:
        image = hdus["E01 INTENSITY"]
        wcs = WCS(image.header)
        assert image.header["BUNIT"] == "mCrab/deg2"
        at = lambda lon, lat: image.data[wcs.world_to_array_index(  # noqa: E731
            SkyCoord(lon, lat, unit="deg", frame="galactic"))]  # fmt: skip
        for name, lon in (("east", 10), ("west", -10)):
            value = maps[0].intensity[pixel(lon, 0)]
            assert at(lon, 0) == pytest.approx(value, rel=1e-5), name
        # Across the end of the image, at l = ±179.
        assert at(179, 0) == pytest.approx(at(-179, 0), rel=0.05)
        assert at(179, 0) == pytest.approx(maps[0].intensity[pixel(180, 0)], rel=0.1)
        assert np.isnan(at(90, 0))
        assert {hdu.name for hdu in hdus[1:]} >= {"E02 RESIDUAL", "E02 EXPECTED_SD"}


def test_names_that_fits_cannot_hold(sky, draws, scws, tmp_path):
    run = sky_run(sky, draws, scws=scws)
    run.record["data"]["path"] = "données/" + "long" * 40 + ".fits"
    write_maps(run, sky_maps(run, nside=16), tmp_path / "map.fits", 2.0)
    header = fits.getheader(tmp_path / "map.fits", 1)
    assert header["DATAFILE"] == "donn?es/" + "long" * 40 + ".fits"
    assert header["SIMUL"] is False


def test_a_folder_that_cannot_be_written(run, maps, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*: choose another folder"):
        write_maps(run, maps, tmp_path / "file" / "map.fits", 2.0)


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


# --- figures -----------------------------------------------------------------------------------------------


def draw(make):
    with matplotlib.style.context(style.STYLE, after_reset=True):
        return make()


@pytest.mark.parametrize("plane", [False, True])
def test_figures(run, maps, plane):
    intensity = draw(lambda: plots.intensity_figure(run, maps, plane=plane))
    residual = draw(lambda: plots.residual_figure(run, maps, 2.0, plane=plane))
    labels = [ax.get_xlabel() for f in (intensity, residual) for ax in f.axes]
    assert labels.count("Intensity [mCrab/deg²]") == labels.count("Rate less background [mCrab]") == 2
    assert labels.count("Posterior sd [mCrab/deg²]") == labels.count("Posterior FOV flux [mCrab]") == 2
    for figure in (intensity, residual):
        assert [t.get_text() for t in figure.texts if t.get_gid() == "mark"] == ["simulated data"]
        assert min(t.get_fontsize() for t in figure.findobj(matplotlib.text.Text)) >= 7
    assert "no ScW points within 2°" in [t.get_text() for t in residual.legends[0].get_texts()]
    assert [t.get_text() for t in intensity.legends[0].get_texts()] == ["in no region"]


@pytest.mark.parametrize("plane", [False, True])
def test_picture_shows_the_map_where_it_is(run, maps, plane):
    """East is to the left; the pixel of the picture at a position has the map's value there."""
    ax = plots.intensity_figure(run, maps[:1], plane=plane).axes[0]
    image = ax.images[-1].get_array()
    scale = (lambda lon: lon) if plane else (lambda lon: lon * 4 * np.sqrt(2) / np.pi / 2)
    step = 0.25 if plane else 0.45
    for lon in (10.0, -10.0):
        column = round((image.shape[1] - 1) / 2 - scale(lon) / step)
        got = image[image.shape[0] // 2, column]
        assert got == pytest.approx(maps[0].intensity[pixel(lon, 0)], rel=0.02)
    low, high = ax.images[-1].get_clim()
    assert -low == high == pytest.approx(np.nanmax(np.abs(maps[0].intensity)))


def test_graticule_is_labelled_where_it_is(run, maps):
    ax = plots.intensity_figure(run, maps[:1]).axes[0]
    at = {t.get_text(): t.get_position() for t in ax.texts if t.get_gid() == "graticule"}
    middle = np.mean(ax.get_xlim())
    assert at["l = 0°"][0] == pytest.approx(middle)
    assert at["+120°"][0] < middle < at["−120°"][0]


def test_unseen_regions_are_grey(sky, draws, scws):
    run = sky_run(sky, draws, scws=scws, unseen=["east"])
    figure = plots.intensity_figure(run, sky_maps(run, nside=NSIDE, bands=["E01"]), plane=True)
    nowhere, grey, image = figure.axes[0].images
    assert nowhere.cmap(0)[:3] == pytest.approx(matplotlib.colors.to_rgb(plots.NOWHERE))
    where = (image.get_array().shape[0] // 2, round((90 - 10) / 0.25))
    assert grey.get_array()[where] == 1
    assert grey.cmap(0)[:3] == pytest.approx(matplotlib.colors.to_rgb(plots.EMPTY))
    assert image.get_array().mask[where]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "seen by no ScW: prior only", "in no region"]  # fmt: skip


def test_a_region_hardly_seen_sets_no_scale(sky, draws, scws):
    wild = draws.copy()
    wild[:, :, 3] = 400 * (draws[:, :, 3] - draws[:, :, 3].mean(0)) + 7
    (one,) = sky_maps(sky_run(sky, wild, scws=scws), nside=NSIDE, bands=["E01"])
    assert one.loose[pixel(60, 50)]
    assert not one.loose[pixel(10, 0)]
    mean, sd = plots.intensity_layers(one)
    assert mean.limits[1] == pytest.approx(np.nanmax(one.intensity[~one.loose]))
    assert mean.limits[1] < 2 < np.nanmax(one.intensity)
    assert sd.limits[1] < 0.5 < np.nanmax(one.intensity_sd)


@pytest.mark.slow
def test_thirty_bands_and_one(sky, draws, scws):
    scws = scws | {k: np.repeat(v[:, :1], 30, 1) for k, v in scws.items() if np.ndim(v) == 2}
    run = sky_run(sky, np.repeat(draws[:, :1], 30, 1), scws=scws)
    maps = sky_maps(run, nside=8)
    assert len(maps) == 30
    figure = plots.intensity_figure(run, maps)
    assert "4 of 30 bands" in figure.get_suptitle()
    titles = [ax.get_title("left").split(":")[0] for ax in figure.axes]
    assert [t for t in titles if t.startswith("E")] == ["E01", "E11", "E20", "E30"]
    assert "bands" not in plots.intensity_figure(run, maps[3:4]).get_suptitle()


# --- command -----------------------------------------------------------------------------------------------


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
