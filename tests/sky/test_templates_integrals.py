"""Integrals of templates over regions, at seams and edges of any projection, against that of the formula.

The brightness is a formula, the integral is made in longitude and sin b: neither HEALPix nor a projection.
"""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from astropy_healpix import HEALPix

from ridgebayes import InputError, sky

CELLS = {"GB": (-10, 10), "L+60": (50, 70), "L+135": (125, 145), "L+180": (170, 190), "L-90": (-100, -80)}
LAT_MAX, CORE = 20.0, 5.0


def light(lon, lat):
    """A ridge of 6° with structure along it, on a floor."""
    lon = np.deg2rad(lon)
    ridge = np.exp(-0.5 * (lat / 6.0) ** 2)
    return ridge * (1 + 0.6 * np.cos(lon) + 0.3 * np.sin(2 * lon + 0.5)) + 0.05


def integral(low, high):
    """Integral over a cell over the mean in its core, deg²."""
    lon = low + (np.arange(200) + 0.5) / 200 * (high - low)

    def mean(top):
        sine = np.sin(np.deg2rad(top)) * ((np.arange(1000) + 0.5) / 500 - 1)
        return light(*np.meshgrid(lon, np.rad2deg(np.arcsin(sine)))).mean()

    return (high - low) * np.rad2deg(2 * np.sin(np.deg2rad(LAT_MAX))) * mean(LAT_MAX) / mean(CORE)


EXPECTED = np.array([integral(*cell) for cell in CELLS.values()])


def found(folder):
    """What ridgebayes makes of the template of the folder, over `EXPECTED`."""
    text = "".join(
        f'[[region]]\nname = "{name}"\nlon = [{low}, {high}]\ncore_lat = {CORE}\n'
        f'shape = {{kind = "template", file = "m.fits", lat_max = {LAT_MAX}}}\n'
        for name, (low, high) in CELLS.items()
    )
    (folder / "r.toml").write_text(text)
    return sky.load(folder / "r.toml").solid_angles / EXPECTED


def image(kind, centre, frame="GLON GLAT", *, shape=None, lat=0.0, first=None, flip=1, turned=0.0, pv=()):
    """A map of the whole sky in pixels of 1°: the image, NaN off the sky, and its WCS."""
    shape = shape or {"ZEA": (400, 420), "CAR": (180, 360)}.get(kind, (200, 420))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{name:-<4}-{kind}" for name in frame.split()]
    wcs.wcs.crpix = [shape[1] / 2 + 0.5 if first is None else first, shape[0] / 2 + 0.5]
    wcs.wcs.crval, wcs.wcs.cdelt = [centre, lat], [-1.0 * flip, 1.0]
    wcs.wcs.set_pv(list(pv))
    c, s = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
    wcs.wcs.pc = [[c, -s], [s, c]]
    wcs.wcs.bounds_check(kind != "CAR", kind != "CAR")
    row, column = np.indices(shape)
    where = wcs.pixel_to_world(column, row)
    known = np.isfinite(where.spherical.lon.deg)
    galactic = where.galactic
    return np.where(known, light(galactic.l.deg, galactic.b.deg), np.nan), wcs


def write(folder, values, wcs, **cards):
    hdu = fits.PrimaryHDU(values, wcs.to_header())
    hdu.header.update(cards)
    hdu.writeto(folder / "m.fits", overwrite=True)


@pytest.mark.parametrize("centre", [0.0, 75.0, 180.0, 300.0])
@pytest.mark.parametrize("kind", ["CAR", "AIT", "MOL", "SFL", "PAR", "CEA", "CYP", "HPX", "ZEA"])
@pytest.mark.slow
def test_galactic_images(tmp_path, kind, centre):
    write(tmp_path, *image(kind, centre))
    # Pixels of 1° take 0.2 % off a ridge of 6°. At its antipode ZEA shears pixels to many degrees.
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.01 if kind == "ZEA" else 0.003)


@pytest.mark.parametrize("centre", [0.0, 75.0, 180.0, 300.0])
@pytest.mark.parametrize("kind", ["AIT", "MOL", "SFL", "CEA", "HPX", "ZEA"])
@pytest.mark.slow
def test_equatorial_images(tmp_path, kind, centre):
    write(tmp_path, *image(kind, centre, "RA DEC"))
    # The seam runs across the plane at an angle, and pixels at the pole are sheared.
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.02 if kind == "ZEA" else 0.012)


@pytest.mark.parametrize("first", [0.5, 100.5, 360.5])
@pytest.mark.parametrize(("centre", "flip"), [(0.0, 1), (180.0, -1)])
def test_plate_carree_that_begins_anywhere(tmp_path, first, centre, flip):
    write(tmp_path, *image("CAR", centre, first=first, flip=flip))
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.003)


@pytest.mark.parametrize(("kind", "lat"), [("CAR", 30.0), ("AIT", 60.0)])
def test_oblique_projections(tmp_path, kind, lat):
    write(tmp_path, *image(kind, 30.0, lat=lat, shape=(200, 420)))
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.005)


@pytest.mark.parametrize("kind", ["CSC", "TSC", "QSC"])
@pytest.mark.parametrize(("frame", "centre", "lat"), [("GLON GLAT", 180.0, 0.0), ("RA DEC", 75.0, 30.0)])
# Faces to the left of the middle one, to its right, or two on either side, in a wider image.
@pytest.mark.parametrize(("first", "flip"), [(45.5, -1), (315.5, 1), (180.5, 1), (200.5, 1)])
@pytest.mark.slow
def test_cubes(tmp_path, kind, frame, centre, lat, first, flip):
    shape = (300, 400) if first == 200.5 else (270, 360)
    write(tmp_path, *image(kind, centre, frame, lat=lat, shape=shape, first=first, flip=flip))
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.004)


@pytest.mark.parametrize("kind", ["ARC", "XPH", "PCO", "BON", "COD", "COE"])
@pytest.mark.parametrize("frame", ["GLON GLAT", "RA DEC"])
@pytest.mark.slow
def test_less_usual_projections(tmp_path, kind, frame):
    parallels = [(2, 1, 45.0)] + ([] if kind == "BON" else [(2, 2, 25.0)])
    conic = {"lat": 45.0} if kind in ("COD", "COE") else {}
    wcs_values = image(kind, 75.0, frame, shape=(400, 500), pv=parallels if kind[0] in "BC" else [], **conic)
    write(tmp_path, *wcs_values)
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.008)


def test_a_turned_image_with_a_seam(tmp_path):
    write(tmp_path, *image("CYP", 180.0, shape=(560, 560), turned=30.0))
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.003)


@pytest.mark.parametrize("order", ["ring", "nested"])
@pytest.mark.parametrize(("frame", "within"), [("galactic", 0.001), ("icrs", 0.004)])
def test_healpix_tables(tmp_path, order, frame, within):
    grid = HEALPix(64, order=order, frame=frame)
    where = grid.healpix_to_skycoord(np.arange(grid.npix)).galactic
    table = fits.BinTableHDU.from_columns([fits.Column("T", "D", array=light(where.l.deg, where.b.deg))])
    table.header.update({"ORDERING": order.upper(), "COORDSYS": "G" if frame == "galactic" else "C"})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "m.fits")
    np.testing.assert_allclose(found(tmp_path), 1, atol=within)


@pytest.mark.parametrize("how", ["NaN", "BLANK", "-999", "1e30", "inf", "UNSEEN"])
def test_pixels_without_data_never_enter_as_zeros(tmp_path, how):
    values, wcs = image("CAR", 0.0)
    far = np.abs(np.arange(180) - 89.5) > 40  # no region reaches these
    mark = {"NaN": np.nan, "-999": -999.0, "1e30": 1e30, "inf": np.inf, "UNSEEN": -1.6375e30}.get(how, np.nan)
    values[far] = mark

    def put():
        if how == "BLANK":
            scaled = np.where(np.isnan(values), -32768, np.nan_to_num(values) * 10000).astype(np.int16)
            write(tmp_path, scaled, wcs, BLANK=-32768, BSCALE=1e-4)
        else:
            write(tmp_path, values, wcs)

    put()
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.003)
    values[88:92, 178:182] = mark  # in the bulge
    put()
    with pytest.raises(InputError, match=r"has no data in .* of the region"):
        found(tmp_path)


def test_axes_of_one_element_are_passed_over(tmp_path):
    values, wcs = image("CAR", 0.0)
    write(tmp_path, values[None, None], wcs)
    np.testing.assert_allclose(found(tmp_path), 1, atol=0.003)
