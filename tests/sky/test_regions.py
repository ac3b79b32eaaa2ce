"""Weights of regions against closed forms, quadrature and whole maps."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix
from numpy.testing import assert_allclose
from scipy.integrate import quad

from ridgebayes import sky
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.sky import Freudenreich, Region, Shape
from ridgebayes.sky.regions import wrap

DEGREE2 = np.rad2deg(1.0) ** 2


def random_positions(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-360, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))


@pytest.mark.parametrize("name", ["milkyway", "coarse"])
def test_tiling_covers_the_plane_exactly_once(name):
    lon, lat = random_positions(20_000)
    edges = np.arange(-360.0, 361.0, 5.0)  # every edge of every cell, at several turns
    lon = np.concatenate([lon, edges, edges])
    lat = np.concatenate([lat, np.zeros_like(edges), np.full_like(edges, -30.0)])
    times = sum(region.contains(lon, lat).astype(int) for region in sky.load(name).regions)
    assert_allclose(times, (lat >= -30) & (lat < 30))


def test_boxes_and_circles_contain_what_they_should():
    lon, lat = random_positions(5000, 1)
    positions = SkyCoord(lon, lat, unit="deg", frame="galactic")
    circle = Region.circle("c", 178.0, 60.0, 25.0)
    centre = SkyCoord(178.0, 60.0, unit="deg", frame="galactic")
    assert (circle.contains(lon, lat) == (positions.separation(centre).deg < 25)).all()
    box = Region.box("b", (170.0, 200.0), (-10.0, 90.0))
    wrapped = positions.l.deg
    assert (box.contains(lon, lat) == ((wrapped >= 170) & (wrapped < 200) & (lat >= -10))).all()
    assert box.contains(
        np.array([180.0]), np.array([90.0])
    ).all()  # the pole belongs to a box that reaches it


@pytest.mark.parametrize(
    ("lon", "expected"), [(0, 0), (180, 180), (-180, 180), (190, -170), (540, 180), (-90, -90)]
)
def test_wrap(lon, expected):
    assert wrap(lon) == expected


def test_solid_angles_of_uniform_regions_are_exact():
    regions = [
        Region.box("b", (150.0, 205.0), (-33.0, 47.0)),
        Region.circle("c", 20.0, 60.0, 10.0),
        Region.circle("s", 30.0, -60.0, 0.05),
        Region.cell("u", (-20.0, 10.0), Shape("uniform"), core_lat=5.0, lat_max=5.0),
    ]
    exact = [
        np.deg2rad(55) * (np.sin(np.deg2rad(47)) + np.sin(np.deg2rad(33))) * DEGREE2,
        2 * np.pi * (1 - np.cos(np.deg2rad(10))) * DEGREE2,
        2 * np.pi * (1 - np.cos(np.deg2rad(0.05))) * DEGREE2,
        np.deg2rad(30) * 2 * np.sin(np.deg2rad(5)) * DEGREE2,
    ]
    assert_allclose(sky.build("x", regions).solid_angles, exact, rtol=1e-6)


def test_nodes_of_a_circle_balance_at_its_centre():
    model = sky.build("x", [Region.circle("c", 177.0, -40.0, 3.0)])
    mean = (model.weights.data[:, None] * model.nodes).sum(axis=0)
    lon = np.rad2deg(np.arctan2(mean[1], mean[0]))
    lat = np.rad2deg(np.arcsin(mean[2] / np.linalg.norm(mean)))
    assert_allclose([lon, lat], [177, -40], atol=1e-3)


@pytest.mark.parametrize("kind", ["sech2", "gauss"])
@pytest.mark.parametrize("scale", [0.15, 2.0, 12.0])
def test_total_of_a_latitude_shape_against_quadrature(kind, scale):
    def shape(b):
        return np.cosh(b / scale) ** -2.0 if kind == "sech2" else np.exp(-0.5 * (b / scale) ** 2)

    def integral(top):
        return quad(
            lambda b: shape(b) * np.cos(np.deg2rad(b)), -top, top, points=[-scale, 0, scale], limit=200
        )[0]

    core_area = 2 * np.sin(np.deg2rad(4)) * np.rad2deg(1.0)  # per degree of longitude
    exact = 25 * core_area * integral(20) / integral(4)
    region = Region.cell("a", (170.0, 195.0), Shape(kind, scale), core_lat=4.0, lat_max=20.0)
    assert_allclose(sky.build("x", [region]).solid_angles, [exact], rtol=2e-3)


def test_cells_with_the_starlight_of_their_cores_add_up_to_the_map():
    model = sky.load("milkyway")
    # lines of sight on a grid of its own, aligned with the cells
    lon, lat = np.meshgrid(np.arange(-174.5, 185.0), np.arange(-29.75, 30.0, 0.5))
    light = Freudenreich().brightness(lon.ravel(), lat.ravel())
    area = np.cos(np.deg2rad(lat.ravel())) * 0.5
    cell = np.round(lon.ravel() / 10).astype(int)
    core = np.abs(lat.ravel()) < 5
    for name, centre, ours in zip(model.names, model.centre_lon, model.solid_angles, strict=True):
        inside = cell == round(centre / 10)
        mean = np.average(light[inside & core], weights=area[inside & core])
        assert ours == pytest.approx((light * area)[inside].sum() / mean, rel=5e-3), name


def test_weights_and_nodes_belong_together():
    model = sky.load("coarse")
    assert model.weights.shape == (18, 12 * 64**2)
    assert model.nside == 64
    assert model.nodes.shape == (model.weights.nnz, 3)
    assert_allclose(np.linalg.norm(model.nodes, axis=1), 1)
    x, y, z = model.nodes.T
    lon, lat = np.arctan2(y, x) % (2 * np.pi), np.arcsin(z)
    # a centroid lies in its own pixel or, where edges curve, just outside
    centre = np.stack(HEALPix(64, order="ring").healpix_to_xyz(model.weights.indices), axis=-1)
    apart = np.rad2deg(np.arccos(np.clip((centre * model.nodes).sum(axis=1), -1, 1)))
    assert apart.max() < 0.7
    same = HEALPix(64, order="ring").lonlat_to_healpix(lon * u.rad, lat * u.rad) == model.weights.indices
    assert same.mean() > 0.99


def test_a_region_without_its_sign_is_either():
    with pytest.raises(InputError, match=r"'L20' \(did you mean 'L-20' or 'L\+20'\?\)"):
        sky.load("coarse").select("L20")
    with pytest.raises(InputError, match=r"did you mean 'GB'\?"):
        sky.load("coarse").select("Gb")


def test_select_and_without():
    model = sky.load("coarse")
    two = model.select(["L+20", "GB"])
    assert two.names == ("L+20", "GB")
    assert_allclose(two.solid_angles, model.solid_angles[[model.index("L+20"), model.index("GB")]])
    f, g = model.fov_matrix(Trapezoid()), two.fov_matrix(Trapezoid())
    rows = [model.index("L+20"), model.index("GB")]
    assert_allclose(g, f[np.ix_(rows, rows)])
    assert model.without("GB").names == tuple(name for name in model.names if name != "GB")
    assert len({model.key, two.key, model.select(["GB", "L+20"]).key}) == 3
    assert sky.load("coarse").key == model.key
    with pytest.raises(InputError, match=r"has no region 'GP' \(did you mean 'GB'\?\)"):
        model.select(["GP"])
    with pytest.raises(InputError, match="no region left"):
        model.without(model.names)


def test_fov_matrix_looks_at_the_centres():
    model = sky.build(
        "x", [Region.circle(n, lon, lat, 0.5) for n, lon, lat in [("a", 0, 0), ("b", 9, 0), ("c", 90, 9)]]
    )
    area = model.solid_angles[0]
    r = Trapezoid()
    expected = np.array([[1, r.averaged(9.0), 0], [r.averaged(9.0), 1, 0], [0, 0, 1]]) * area
    assert_allclose(model.fov_matrix(r), expected, atol=2e-3 * area)


def test_starlight_cell_follows_the_bulge_out_of_the_plane():
    model = sky.load("milkyway")
    lat = np.rad2deg(np.arcsin(model.nodes[:, 2]))
    ends = model.weights.indptr

    def spread(name):
        part = slice(*ends[model.index(name) :][:2])
        w = model.weights.data[part] * (np.abs(lat[part]) < 10)
        return np.sqrt((w * lat[part] ** 2).sum() / w.sum())

    assert spread("L+10") > spread("L-10")  # the near end of the bar is higher on the sky


def test_template_shape_is_that_of_the_map(tmp_path):
    column = fits.Column("LIGHT", "E", array=sky.starlight(64))
    table = fits.BinTableHDU.from_columns([column])
    table.header.update(ORDERING="RING", COORDSYS="G", NSIDE=64, PIXTYPE="HEALPIX")
    table.writeto(tmp_path / "map.fits")
    cells = [(-5.0, 5.0), (40.0, 60.0)]
    shapes = [Shape("template", file=str(tmp_path / "map.fits")), Shape("starlight")]
    ours, reference = (
        sky.build("x", [Region.cell(str(lon), lon, shape) for lon in cells]) for shape in shapes
    )
    assert_allclose(ours.solid_angles, reference.solid_angles, rtol=5e-3)


def test_dark_core_is_refused(tmp_path):
    values = np.zeros(12 * 16**2)
    values[0] = 1.0  # near the north pole
    column = fits.Column("LIGHT", "E", array=values)
    table = fits.BinTableHDU.from_columns([column])
    table.header.update(ORDERING="RING", COORDSYS="G", NSIDE=16)
    table.writeto(tmp_path / "map.fits")
    with pytest.raises(InputError, match="region 'a': the template is zero in its core"):
        sky.build("x", [Region.cell("a", (0.0, 9.0), Shape("template", file=str(tmp_path / "map.fits")))])


@pytest.mark.parametrize("nside", [0, 3, 256])
def test_nside_must_be_a_power_of_two_no_finer_than_the_patches(nside):
    with pytest.raises(InputError, match="not a power of 2 up to 128"):
        sky.load("coarse", nside=nside)


def test_a_reshaped_sky_is_built_once():
    bulge = sky.load("coarse").select(["GB"])
    wide = bulge.reshaped(1.4, 0.0)
    assert bulge.reshaped(1.4, 0.0) is wide
    assert bulge.reshaped(1.4, 1.0) is not wide
