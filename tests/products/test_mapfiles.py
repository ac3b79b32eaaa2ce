"""Files of sky maps: others read them back."""

import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astropy_healpix import HEALPix

from ridgebayes import InputError
from ridgebayes.products.mapfiles import UNSEEN, write_maps, write_plane
from ridgebayes.products.maps import sky_maps
from ridgebayes.sky import read_template
from tests.helpers.map_run import NSIDE, draws, maps, pixel, run, scws, sky
from tests.helpers.sky_run import sky_run

__all__ = ["draws", "maps", "run", "scws", "sky"]  # fixtures


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
