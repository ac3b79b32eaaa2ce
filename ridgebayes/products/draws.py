"""Export posterior draws of chosen quantities, with units, as NetCDF, FITS or CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import astropy.units as u
import numpy as np
import xarray as xr
from astropy.io import fits

from ridgebayes.errors import InputError, nearest
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.products.files import ascii_only, fits_provenance, whole_file
from ridgebayes.products.skydraws import exposures, shape_draws
from ridgebayes.products.tablefiles import meta_lines
from ridgebayes.runs.fitted import left_sites
from ridgebayes.runs.intensity import MCRAB, need_crab, need_sky, provenance
from ridgebayes.runs.metadata import recorded_model
from ridgebayes.runs.reload import reopen
from ridgebayes.runs.run import Run
from ridgebayes.table.scw import ScWTable

DERIVED = {
    "intensity": "mean surface brightness of the core of every region",
    "fov_flux": "what a pointing at the centre of every region sees of the whole sky model",
    "energy_flux": "fov_flux in the band, for the Crab assumed",
    "e2": "E^2 dN/dE of the intensity, mean over ln E in the band, for the Crab assumed",
    "plane": "FOV flux of pointings along the Galactic plane, a degree apart",
    "level": "background level over the mission, without tracer and revolution terms",
    "crab": "rate that the Crab would give on axis, over the mission",
}
"""Derived quantities by name; parameters of the model are requested by their own names."""

FORMATS = ("nc", "fits", "csv")
_HISTORIES = {"level": "background.history", "crab": "crab.history"}
_NAMED = {
    "crab": "crab_history",
    "level": "level_history",
}  # names of variables that are also prefixes of parameters such as crab.rate
_ERG = u.erg / u.s / u.cm**2
_E2 = u.keV**2 * u.photon / u.cm**2 / u.s / u.keV / u.sr


def posterior_draws(
    run: Run,
    names: Sequence[str],
    *,
    crab: CrabSpectrum = CRAB,
    scws: ScWTable | str | Path | None = None,
    every: int = 1,
) -> xr.Dataset:
    """Take draws from a run.

    Parameters
    ----------
    run
        The run.
    names
        Names of `DERIVED` or of parameters of the model (``background.scatter``); ``parameters`` for all.
    crab
        Spectrum assumed for the Crab.
    scws
        The fitted ScW table or its path, needed for ``level`` and ``crab``, which are computed from it again;
        default: the path at the time of the fit.
    every
        Keep every n-th draw of each chain.

    Returns
    -------
    xarray.Dataset
        Axes chain, draw (numbered as in the run) and those of each quantity; attributes units, long_name and
        provenance. Draws of the same chain and number are joint draws.

    Raises
    ------
    InputError
        If a name is unknown, the model does not have the quantity, or the table is missing or has changed.
    """
    wanted = _wanted(run, names)
    if every < 1:
        raise InputError(f"every={every}: give 1 or more")
    kept = run.tree["posterior"].dataset.isel(draw=slice(None, None, every))
    histories = [name for name in wanted if name in _HISTORIES]
    found: dict[str, xr.DataArray] = {}
    if histories:
        found |= _history(run, histories, scws, every)
    for name in wanted:
        if name not in found:
            found[name] = _derived(run, name, crab, every) if name in DERIVED else told(run, kept[name])
    dataset = xr.Dataset({_NAMED.get(name, name): found[name] for name in wanted})
    dataset = _with_axes(run, dataset)
    for name in wanted:
        attributes = dataset[_NAMED.get(name, name)].attrs
        attributes.setdefault("long_name", DERIVED.get(name, "parameter of the model"))
    about = provenance(run) | {"every": every}
    if {"energy_flux", "e2"} & set(wanted):
        about["crab_spectrum"] = crab.describe()
    about["simulated"] = int(run.simulated)  # NetCDF has no booleans
    dataset.attrs = {key: "; ".join(x) if isinstance(x, list) else x for key, x in about.items()}
    return dataset


def _wanted(run: Run, names: Sequence[str]) -> list[str]:
    """Return the requested quantities, each once, with ``parameters`` replaced by the names of all."""
    parameters = [str(name) for name in run.tree["posterior"].dataset if name != "sky.fov_flux"]
    known = [*DERIVED, "parameters", *parameters]
    for name in names:
        if name not in known:
            raise InputError(f"{run.path or 'the run'}: no draws of '{name}'{nearest(name, known)}")
    return list(dict.fromkeys(n for name in names for n in (parameters if name == "parameters" else [name])))


def write_draws(run: Run, dataset: xr.Dataset, path: Path) -> None:
    """Write draws as ``.nc``, ``.fits`` or ``.csv``, whole or not at all.

    FITS: the extension DRAWS has one row per draw and one column per quantity; TDIM gives the axes and a
    comment their names. Labels of each axis are in an extension of their own. CSV: one row per draw, one
    column per number.

    Raises
    ------
    InputError
        If the file name has another ending, or the file cannot be written.
    """
    writers = {".nc": _write_netcdf, ".fits": _write_fits, ".csv": _write_csv}
    if path.suffix not in writers:
        raise InputError(f"{path}: draws are written as {', '.join(writers)}")
    with whole_file(path) as scratch:
        writers[path.suffix](run, dataset, scratch)


def _derived(run: Run, name: str, crab: CrabSpectrum, every: int) -> xr.DataArray:
    need_sky(run)
    constant, axes = run.tree["constant_data"].dataset, ("chain", "draw", "band", "region")
    low, high = constant["e_min"], constant["e_max"]
    if name == "plane":
        return _plane(run, every)
    source = run.intensity() if name in ("intensity", "e2") else run.fov_flux()
    values, unit = source.isel(draw=slice(None, None, every)).transpose(*axes), MCRAB
    if name == "energy_flux":
        values, unit = values * xr.DataArray(crab.erg_per_mcrab(low, high), low.coords), _ERG
    elif name == "e2":
        values, unit = values * xr.DataArray(crab.kev2(low, high), low.coords), _E2
    elif name == "intensity":
        unit = MCRAB / u.deg**2
    return values.assign_attrs(units=str(unit))


def told(run: Run, draws: xr.DataArray) -> xr.DataArray:
    """Add unit and meaning of a parameter of a shipped model; the file of a user's model is not executed."""
    model = run.record.get("model", {})
    if not model or model.get("source"):
        return draws
    try:
        parameters = recorded_model(run.record, run.path or "the run", run.sky).parameters
    except InputError:  # a model defined in Python
        return draws
    parameter = parameters.get(str(draws.name))
    if parameter is None:
        return draws
    unit = {"units": parameter.unit} if parameter.unit else {}
    return draws.assign_attrs(long_name=parameter.meaning, **unit)


def _plane(run: Run, every: int) -> xr.DataArray:
    lon = np.arange(-180.0, 180.0)
    seen = exposures(run, lon, np.zeros(lon.size))
    bands = [str(band) for band in run.record["data"]["bands"]]
    draws = [shape_draws(run, band, as_seen=True) @ seen.T for band in bands]
    stored = run.tree["posterior"].dataset
    shape = (stored.sizes["chain"], stored.sizes["draw"], len(bands), lon.size)
    return xr.DataArray(
        np.stack(draws, axis=1).reshape(shape),
        dims=("chain", "draw", "band", "lon"),
        coords={
            "chain": stored["chain"].values,
            "draw": stored["draw"].values,
            "band": bands,
            "lon": ("lon", lon, {"units": "deg"}),
        },
        attrs={"units": str(MCRAB)},
    ).isel(draw=slice(None, None, every))


def _history(
    run: Run, names: Sequence[str], scws: ScWTable | str | Path | None, every: int
) -> dict[str, xr.DataArray]:
    if "crab" in names:
        need_crab(run)
    again = reopen(run, scws)
    z = again.z[:, :, ::every]
    sites = [_HISTORIES[name] for name in names]
    found = [
        left_sites(again.posterior, part, z[k].reshape(-1, z.shape[-1]), sites)
        for k, part in enumerate(again.parts)
    ]
    stored, constant = run.tree["posterior"].dataset, run.tree["constant_data"].dataset
    coords = {
        "chain": stored["chain"].values,
        "draw": stored["draw"].values[::every],
        "band": constant["band"].values,
        "revolution": constant["revolution"].values,
    }
    draws = {}
    for name, site in zip(names, sites, strict=True):
        if site not in found[0]:
            raise InputError(f"{run.path or 'the run'}: its model has no '{name}'")
        values = np.concatenate([one[site] for one in found], axis=1)
        shape = tuple(len(labels) for labels in coords.values())
        draws[name] = xr.DataArray(values.reshape(shape), coords, tuple(coords), attrs={"units": "ct / s"})
    return draws


def _with_axes(run: Run, dataset: xr.Dataset) -> xr.Dataset:
    """Add the meaning of the axis labels: energies, positions, times."""
    constant = run.tree["constant_data"].dataset
    for axis, names in {
        "band": {"e_min": "keV", "e_max": "keV"},
        "region": {"lon": "deg", "lat": "deg"},
        "revolution": {"mjd": "d"},
    }.items():
        for name, unit in names.items():
            if axis in dataset.dims and name in constant:
                values = constant[name].sel({axis: dataset[axis]}).values
                label = name if name not in ("lon", "lat") else f"region_{name}"
                dataset = dataset.assign_coords({label: (axis, values, {"units": unit})})
    return dataset


def _write_netcdf(run: Run, dataset: xr.Dataset, path: Path) -> None:
    dataset.to_netcdf(path, engine="h5netcdf")


def _write_fits(run: Run, dataset: xr.Dataset, path: Path) -> None:
    chain, draw = np.meshgrid(dataset["chain"].values, dataset["draw"].values, indexing="ij")
    columns = [fits.Column(n, "J", array=x.ravel()) for n, x in (("CHAIN", chain), ("DRAW", draw))]
    comments, in_mcrab = [], {}
    for name, array in dataset.data_vars.items():
        axes = [str(axis) for axis in array.dims if axis not in ("chain", "draw")]
        values = array.transpose("chain", "draw", *axes).values
        values = values.reshape(-1, *values.shape[2:])
        label, size = str(name).replace(".", "_").upper(), int(np.prod(values.shape[1:]))
        unit = array.attrs.get("units") or ""
        if "mCrab" in unit:  # not a unit of the FITS standard: readers warn
            in_mcrab[label], unit = unit, ""
        dim = f"({','.join(str(n) for n in reversed(values.shape[1:]))})" if len(axes) > 1 else None
        columns.append(
            fits.Column(label, f"{size}D", unit and u.Unit(unit).to_string("fits"), dim=dim, array=values)
        )
        comments.append(f"{label}: {' x '.join(axes) or 'a number'}; {array.attrs['long_name']}")
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="DRAWS")])
    for label, unit in in_mcrab.items():
        hdus[1].header.comments[f"TTYPE{hdus[1].columns.names.index(label) + 1}"] = f"[{unit}]"
    for axis in dict.fromkeys(a for x in dataset.data_vars.values() for a in x.dims):
        if axis not in ("chain", "draw"):
            hdus.append(_axis(dataset, str(axis)))
    for hdu in hdus:
        hdu.header.extend(fits_provenance(run))
    if "crab_spectrum" in dataset.attrs:
        comments.append(dataset.attrs["crab_spectrum"])
    for comment in comments:
        hdus["DRAWS"].header["COMMENT"] = ascii_only(comment)
    hdus.writeto(path)


def _axis(dataset: xr.Dataset, axis: str) -> fits.BinTableHDU:
    """Labels of an axis and their meaning."""
    columns = []
    for name, coordinate in dataset.coords.items():
        if coordinate.dims == (axis,):
            values = coordinate.values
            if values.dtype.kind not in "fiu":
                values = np.array([ascii_only(str(x)) for x in values])
            form = {"f": "D", "i": "K", "u": "K"}.get(values.dtype.kind, f"{values.dtype.itemsize // 4}A")
            columns.append(fits.Column(str(name).upper(), form, coordinate.attrs.get("units"), array=values))
    return fits.BinTableHDU.from_columns(columns, name=axis.upper())


def _write_csv(run: Run, dataset: xr.Dataset, path: Path) -> None:
    chain, draw = np.meshgrid(dataset["chain"].values, dataset["draw"].values, indexing="ij")
    names, columns, about = ["chain", "draw"], [chain.ravel()[:, None], draw.ravel()[:, None]], []
    for name, array in dataset.data_vars.items():
        axes = [str(axis) for axis in array.dims if axis not in ("chain", "draw")]
        values = array.transpose("chain", "draw", *axes).values
        columns.append(values.reshape(chain.size, -1))
        labels = [""]
        for axis in axes:
            here = [str(x) for x in array[axis].values]
            labels = [f"{before}, {label}" if before else label for before in labels for label in here]
        names += [f"{name}[{label}]" if label else str(name) for label in labels]
        unit = array.attrs.get("units", "")
        about.append(f"{name} [{', '.join(axes)}]: {unit + '; ' if unit else ''}{array.attrs['long_name']}")
    with path.open("w", encoding="utf-8", newline="") as file:
        for line in [*meta_lines(dataset.attrs), *about]:
            file.write(f"# {line}\n")
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(names)
        np.savetxt(file, np.concatenate(columns, axis=1), "%.9g", ",")
