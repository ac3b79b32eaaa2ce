"""Read an export with programs that others wrote: python benchmarks/check_readers.py EXPORT.

EXPORT is what `ridgebayes export RUN --draws-as nc --draws-as fits --draws-as csv` leaves. Nothing of
ridgebayes is imported: numbers are compared between files, and with what follows from the Crab spectrum that
the files state. A reader that is not installed is skipped, and the table says so. `make check-readers`
installs them in an environment of their own and runs this on the demo. Exit code 1 where a check fails.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np


class Skip(Exception):
    """A reader or a file is missing."""


def need(name: str):
    """Import a reader, or skip the check."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        raise Skip(f"{name} is not installed ({error})") from None


def version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package


def close(got, expected, rtol: float, what: str) -> str:
    """Compare, and describe the largest difference."""
    got, expected = (np.asarray(x, float) for x in (got, expected))
    off = float(np.max(np.abs(got / expected - 1)))
    if not off <= rtol:
        raise AssertionError(f"{what}: off by {off:.2g}, more than {rtol:g}")
    return f"{what} within {off:.1e}"


def ecsv(path: Path):
    from astropy.table import QTable

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return QTable.read(path, format="ascii.ecsv")


def value(table, name: str) -> np.ndarray:
    column = table[name]
    column = column.filled("") if column.dtype.kind == "U" and hasattr(column, "filled") else column
    return np.asarray(getattr(column, "value", column))


class Crab:
    """The Crab spectrum that the tables state, 10 E^-2.1 unless chosen otherwise."""

    def __init__(self, folder: Path) -> None:
        given = ecsv(folder / "spectra" / "fov_flux.ecsv").meta["crab_spectrum"]
        self.norm, self.index = given["norm"], given["index"]
        self.e_break, self.index2 = given.get("break", np.inf), given.get("index2", given["index"])

    def __call__(self, energy):
        """Photon spectrum, ph/cm²/s/keV, at energies in keV."""
        energy = np.asarray(energy, float)
        bent = np.maximum(energy / self.e_break, 1.0) ** (self.index - self.index2)
        return self.norm * energy**-self.index * bent

    def photons(self, low: float, high: float) -> float:
        """Integrate over a band in keV, ph/cm²/s."""
        from scipy.integrate import quad

        return quad(lambda e: float(self(e)), low, high, epsrel=1e-10)[0]


def fits_verify(folder: Path) -> str:
    """Every FITS file follows the standard."""
    program = shutil.which("fitsverify")
    if program is None:
        raise Skip("fitsverify is not installed (Debian: apt-get install fitsverify)")
    files = [p for p in sorted(folder.rglob("*")) if p.suffix in (".fits", ".pha", ".rsp")]
    done = subprocess.run([program, "-q", *map(str, files)], capture_output=True, text=True, check=False)
    bad = [line for line in done.stdout.splitlines() if line.strip() and "verification OK" not in line]
    if bad or done.returncode:
        raise AssertionError("; ".join(bad[:3]) or f"exit code {done.returncode}")
    return f"{len(files)} files, no error and no warning"


def provenance(folder: Path) -> str:
    """Every file names run, time, fingerprint and commit, and all agree on the flag for simulated data."""
    from astropy.io import fits

    tables = sorted(folder.rglob("*.ecsv"))
    meta = ecsv(tables[0]).meta
    keys = ("run", "run_created", "data_fingerprint", "git_commit", "simulated")
    for path in tables:
        assert [ecsv(path).meta[k] for k in keys] == [meta[k] for k in keys], path
    for path in [p for p in folder.rglob("*") if p.suffix in (".csv", ".tex")]:
        text = path.read_text(encoding="utf-8")
        assert all(f"{key}: {meta[key]}" in text for key in keys[:4]), path
        assert ("SIMULATED data" in text) == meta["simulated"], path
    count = len(tables)
    for path in [p for p in folder.rglob("*") if p.suffix in (".fits", ".pha", ".rsp")]:
        count += 1
        with fits.open(path) as hdus:
            for hdu in hdus:
                header = hdu.header
                assert header["SIMUL"] is meta["simulated"], path
                assert header["DATAHASH"] == meta["data_fingerprint"], path
                assert header["GITHASH"] == meta["git_commit"], path
                assert header["RUNDATE"] == meta["run_created"], path
                assert Path(header["RUN"]).name == Path(meta["run"]).name, path
    return f"{count} files of one run, {'SIMULATED' if meta['simulated'] else 'not simulated'}"


def tables(folder: Path) -> str:
    """CSV holds the numbers of ECSV; LaTeX has a row for each region."""
    pandas = need("pandas")
    from astropy.table import Table

    for path in sorted(folder.rglob("*.ecsv")):
        table, frame = ecsv(path), pandas.read_csv(path.with_suffix(".csv"), comment="#")
        for name in table.colnames:
            own = value(table, name)
            if own.ndim == 1 and own.dtype.kind == "f":
                np.testing.assert_array_equal(frame[name].to_numpy(float), own, f"{path.name} {name}")
            elif own.ndim == 1 and own.dtype.kind == "U" and own.size and own.astype(bool).all():
                assert frame[name].astype(str).tolist() == own.tolist(), (path, name)
    table = ecsv(folder / "tables" / "fov_flux.ecsv")
    if len(set(table["band"])) <= 6:
        latex = Table.read(folder / "tables" / "fov_flux.tex", format="ascii.latex")
        assert len(latex) == 1 + len(set(table["region"]))
    return "every column of every table, bit by bit"


def healpix(folder: Path) -> str:
    """Compare the flux of regions with that of the map at their positions."""
    healpy = need("healpy")
    profile = ecsv(folder / "tables" / "longitude_profile.ecsv")
    path, found = folder / "maps" / "sky_healpix.fits", []
    for hdu, band in enumerate(dict.fromkeys(profile["band"]), start=1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sky, header = healpy.read_map(path, field=0, hdu=hdu, h=True)
        header = dict(header)
        assert (header["ORDERING"], header["COORDSYS"], header["BAND"]) == ("RING", "G", band)
        rows = profile[profile["band"] == band]
        nside = healpy.get_nside(sky)
        lon, _ = healpy.pix2ang(nside, np.arange(sky.size), lonlat=True)
        flux = np.where(healpy.mask_bad(sky), 0.0, sky).sum() * healpy.nside2pixarea(nside, degrees=True)
        told = (value(rows, "per_degree_mean") * value(rows, "lon_width"))[rows["seen"]].sum()
        found.append(close(flux, told, 5e-3, f"flux of {band}"))
        apart = (lon[:, None] - value(rows, "lon") + 180) % 360 - 180
        own = np.where(healpy.mask_bad(sky), 0.0, sky) @ (np.abs(apart) < value(rows, "lon_width") / 2)
        alike = np.corrcoef(own[rows["seen"]], value(rows, "per_degree_mean")[rows["seen"]])[0, 1]
        assert alike > 0.99 or rows["seen"].sum() < 3, (
            f"{band}: fluxes of longitudes correlate by {alike:.3f}"
        )
    return "; ".join(found)


def cutout(folder: Path) -> str:
    """Compare the image of the plane with the HEALPix map, interpolated by healpy at the WCS positions."""
    healpy = need("healpy")
    from astropy.io import fits
    from astropy.wcs import WCS

    worst = 0.0
    with fits.open(folder / "maps" / "sky_plane.fits") as hdus:
        names = [hdu.name for hdu in hdus if hdu.name.endswith(" INTENSITY")]
        for k, name in enumerate(names, start=1):
            hdu = hdus[name]
            assert hdu.header["CTYPE1"] == "GLON-CAR"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sky = healpy.read_map(folder / "maps" / "sky_healpix.fits", field=0, hdu=k)
            x, y = np.meshgrid(np.arange(40, 680, 13), np.arange(40, 80, 3))
            lon, lat = WCS(hdu.header).wcs_pix2world(x, y, 0)
            told = healpy.get_interp_val(sky, lon, lat, lonlat=True)
            shown = hdu.data[y, x]
            good = np.isfinite(shown) & (np.abs(told) < 1e10)
            worst = max(worst, float(np.max(np.abs(shown - told)[good])) / float(np.nanmax(np.abs(shown))))
            assert good.mean() > 0.5
    assert worst < 1e-5, worst
    return f"{len(names)} images, within {worst:.0e} of the brightest pixel"


def gammapy_template(folder: Path) -> str:
    """Compare photon fluxes that gammapy integrates over regions and bands with those of the posterior."""
    maps, models = need("gammapy.maps"), need("gammapy.modeling.models")
    import astropy.units as u

    logging.getLogger("gammapy").setLevel(logging.ERROR)
    crab = Crab(folder)
    profile = ecsv(folder / "tables" / "longitude_profile.ecsv")
    cube = maps.Map.read(folder / "template" / "diffuse.fits")
    assert isinstance(cube, maps.WcsNDMap)
    assert cube.unit.is_equivalent("cm-2 s-1 MeV-1 sr-1")
    model = models.SkyModel(
        spatial_model=models.TemplateSpatialModel(cube, normalize=False),
        spectral_model=models.PowerLawNormSpectralModel(),
    )
    edges = {
        str(r["band"]): (r["E_MIN"].to_value(u.keV), r["E_MAX"].to_value(u.keV))
        for r in ecsv(folder / "tables" / "fov_flux.ecsv")
    }
    got, told = [], []
    for row in profile[profile["seen"] & (value(profile, "mean") > 0)]:
        low, high = edges[str(row["band"])]
        axis = maps.MapAxis.from_energy_bounds(low * u.keV, high * u.keV, nbin=10, name="energy_true")
        width, lon = row["lon_width"].value, row["lon"].value
        geom = maps.WcsGeom.create(
            skydir=(lon, 0), width=(width, 60), binsz=0.5, frame="galactic", axes=[axis]
        )
        integral = model.integrate_geom(geom, oversampling_factor=1)
        got.append((integral.data.sum() * integral.unit).to_value("cm-2 s-1"))
        told.append(row["per_degree_mean"].value * width * 1e-3 * crab.photons(low, high))
    return close(got, told, 5e-3, f"ph/cm²/s of {len(got)} regions and bands")


def spectrum_rows(folder: Path, region: str):
    table = ecsv(folder / "spectra" / "fov_flux.ecsv")
    return table[table["region"] == region]


def sherpa_spectra(folder: Path) -> str:
    """Rates, errors and folding of every spectrum; the Crab folds to 1000 mCrab."""
    logging.getLogger("sherpa").setLevel(logging.ERROR)
    ui = need("sherpa.astro.ui")
    logging.getLogger("sherpa").setLevel(logging.ERROR)
    crab, files = Crab(folder), sorted((folder / "spectra").glob("*.pha"))
    ui.set_stat("chi2")
    told = ""
    for path in files:
        ui.clean()
        ui.load_pha(str(path), use_errors=True)
        data = ui.get_data()
        rows = spectrum_rows(folder, data.header["OBJECT"])
        np.testing.assert_allclose(data.get_dep(), value(rows, "mean"), rtol=1e-5)
        np.testing.assert_allclose(data.get_staterror(), value(rows, "sd"), rtol=1e-5)
        source = ui.powlaw1d.source
        source.ref, source.gamma, source.ampl = 1.0, crab.index, crab.norm
        ui.set_source(source)
        if np.isinf(crab.e_break):
            close(data.eval_model(ui.get_model()), np.full(len(rows), 1000.0), 1e-4, "the Crab")
        if data.header["OBJECT"] == "GB" and len(rows) > 1:
            source.ampl = crab.norm * float(np.average(value(rows, "mean"))) / 1000
            ui.set_stat("chi2")
            ui.fit()
            told = f"; GB as a power law: index {source.gamma.val:.2f}, chi2 {ui.calc_stat():.1f}"
    return f"{len(files)} spectra, the Crab folds to 1000 mCrab{told}"


def threeml_spectra(folder: Path) -> str:
    """3ML reads a spectrum with its response and fits it."""
    os.environ.setdefault("NUMBA_DISABLE_CACHING", "1")
    threeml = need("threeML")
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("threeML", "astromodels")):
            logging.getLogger(name).setLevel(logging.ERROR)
    files = sorted((folder / "spectra").glob("*.pha"))
    path = next((p for p in files if p.stem == "GB"), files[0])
    plugin = threeml.OGIPLike(path.stem, observation=str(path), response=str(path.with_suffix(".rsp")))
    rows = spectrum_rows(folder, path.stem)
    exposure = plugin.exposure
    np.testing.assert_allclose(plugin.observed_counts / exposure, value(rows, "mean"), rtol=1e-5)
    np.testing.assert_allclose(plugin.observed_count_errors / exposure, value(rows, "sd"), rtol=1e-5)
    crab = Crab(folder)
    shape = threeml.Powerlaw(piv=1.0, K=0.3 * crab.norm, index=-crab.index)
    shape.K.bounds = (1e-6, 1e6)
    plugin.set_model(threeml.Model(threeml.PointSource("x", 0, 0, spectral_shape=shape)))
    if not np.isinf(crab.e_break):
        return f"{path.name}: rates and errors"
    folded = plugin.expected_model_rate
    return f"{path.name}: rates and errors; " + close(
        folded, np.full(len(rows), 300.0), 2e-3, "0.3 Crab folds to 300 mCrab"
    )


def draws(folder: Path) -> str:
    """Draws are the same in every format, and their means are those of the tables."""
    xarray, pandas = need("xarray"), need("pandas")
    need("h5netcdf")
    from astropy.table import Table

    tree = xarray.load_dataset(folder / "draws" / "draws.nc", engine="h5netcdf")
    table = ecsv(folder / "tables" / "fov_flux.ecsv")
    mean = tree["fov_flux"].mean(("chain", "draw"))
    told = [float(mean.sel(region=str(r["region"]), band=str(r["band"]))) for r in table]
    thin = "" if tree.attrs["every"] == 1 else " (thinned: not compared)"
    if not thin:
        off = float(np.max(np.abs(told - value(table, "mean")) / value(table, "sd")))
        assert off < 1e-3, f"means differ from the table's by up to {off:.2g} sd"
        thin = f"; means as in the table within {off:.0e} sd"
    flat = tree["fov_flux"].transpose("chain", "draw", "band", "region").to_numpy()
    flat = flat.reshape(-1, *flat.shape[2:])
    count = ["NetCDF"]
    if (folder / "draws" / "draws.fits").is_file():
        rows = Table.read(folder / "draws" / "draws.fits", hdu="DRAWS")
        np.testing.assert_array_equal(rows["FOV_FLUX"], flat)
        labels = Table.read(folder / "draws" / "draws.fits", hdu="REGION")
        assert [str(x).strip() for x in labels["REGION"]] == tree["region"].to_numpy().tolist()
        count.append("FITS")
    if (folder / "draws" / "draws.csv").is_file():
        frame = pandas.read_csv(folder / "draws" / "draws.csv", comment="#")
        band, region = (str(tree[axis].to_numpy()[-1]) for axis in ("band", "region"))
        np.testing.assert_allclose(frame[f"fov_flux[{band}, {region}]"], flat[:, -1, -1], rtol=1e-7)
        count.append("CSV")
    return f"{len(flat)} draws alike in {', '.join(count)}{thin}"


CHECKS: dict[str, Callable[[Path], str]] = {
    "fitsverify": fits_verify,
    "astropy": provenance,
    "pandas": tables,
    "healpy": healpix,
    "astropy, healpy": cutout,
    "gammapy": gammapy_template,
    "sherpa": sherpa_spectra,
    "threeML": threeml_spectra,
    "xarray": draws,
}


def main(folder: Path) -> int:
    """Run every check; return the exit code."""
    failed = 0
    warnings.simplefilter("ignore")  # astropy warns of mCrab, which it does not know
    for reader, check in CHECKS.items():
        try:
            result = f"ok      {check(folder)}"
        except Skip as why:
            result = f"skipped {why}"
        except FileNotFoundError as error:
            result = f"skipped {error.filename or error} is not in this export"
        except Exception as error:  # readers may raise anything; continue with the others
            failed += 1
            result = f"FAILED  {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"{', '.join(version(r) for r in reader.split(', ')):<32} {result}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "INDEX.md").is_file():
        sys.exit(f"usage: python {sys.argv[0]} EXPORT (a folder that `ridgebayes export` wrote)")
    sys.exit(main(Path(sys.argv[1])))
