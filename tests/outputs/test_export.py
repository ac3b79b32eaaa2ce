"""The export of a run: all that is there says where it is from, and holds the numbers of the run."""

import hashlib

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.io import fits
from astropy.table import Table

from ridgebayes import InputError, read_table, write_scws
from ridgebayes.outputs.export import INDEX, SUMS, export
from ridgebayes.outputs.steps import Options
from ridgebayes.products.draws import posterior_draws, write_draws
from ridgebayes.runs.run import Run
from ridgebayes.sky import Region, build
from ridgebayes.units import MCRAB
from tests.helpers.cli import call
from tests.helpers.elsewhere import read_elsewhere
from tests.helpers.sky_run import sky_run
from tests.helpers.step_run import step_run


@pytest.fixture(scope="module")
def saved(small_run, small_mission, tmp_path_factory):
    """A run directory, and the table that was fitted."""
    folder = tmp_path_factory.mktemp("saved")
    write_scws(small_mission, folder / "mission.fits")
    small_run.save(folder / "run")
    return folder


@pytest.fixture(scope="module")
def folder(saved):
    """All of a run, with histories among the draws and every format."""
    out = saved / "export"
    chosen = [f"--draws-of={name}" for name in ("intensity", "fov_flux", "e2", "level", "crab", "crab.rate")]
    formats = [f"--draws-as={name}" for name in ("nc", "fits", "csv")]
    result = invoke(saved, "--out", out, *chosen, *formats, "--every", 5, "--nside", 16)
    assert result.exit_code == 0, result.output
    assert "SIMULATED data" in result.output
    assert "left out" not in result.output
    return out


def invoke(saved, *arguments):
    command = ["export", saved / "run", "--scws", saved / "mission.fits", *arguments]
    return call(*command)


def files(folder, *suffixes):
    return [path for path in sorted(folder.rglob("*")) if path.suffix in suffixes]


@pytest.mark.slow
def test_the_index_names_every_file_and_the_sums_are_right(folder):
    index = (folder / INDEX).read_text(encoding="utf-8")
    listed = {line.split(" | ")[0].removeprefix("| ") for line in index.splitlines() if line.startswith("| ")}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        wild = f"{path.parent.name}/*{path.suffix}"
        assert path.is_dir() or name == INDEX or {name, wild} & listed, name
    assert "**SIMULATED data.**" in index
    sums = dict(line.split("  ")[::-1] for line in (folder / SUMS).read_text().splitlines())
    assert len(sums) == len([p for p in folder.rglob("*") if p.is_file()]) - 2
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_every_product_says_where_it_is_from(folder, saved):
    record = Run.open(saved / "run").record
    about = {
        "run": str(saved / "run"), "run_created": record["created"], "git_commit": record["git_commit"],
        "data_fingerprint": record["data"]["fingerprint"],
    }  # fmt: skip
    assert len(files(folder, ".ecsv")) == 8
    for path in files(folder, ".ecsv"):
        meta = read_table(path).meta
        assert meta["simulated"] is True
        assert {key: meta[key] for key in about} == about
    for path in files(folder, ".csv", ".tex"):
        text = path.read_text(encoding="utf-8")
        mark = "%" if path.suffix == ".tex" else "#"
        assert f"{mark} SIMULATED data" in text
        assert all(f"{mark} {key}: {value}" in text for key, value in about.items()), path
    keywords = {"RUNDATE": "run_created", "GITHASH": "git_commit", "DATAHASH": "data_fingerprint"}
    for path in files(folder, ".fits", ".pha", ".rsp"):
        with fits.open(path) as hdus:
            for hdu in hdus:
                assert hdu.header["SIMUL"] is True, path
                assert hdu.header["RUN"].endswith("run"), path
                assert {k: hdu.header[k] for k in keywords} == {k: about[n] for k, n in keywords.items()}
    with xr.open_dataset(folder / "draws" / "draws.nc") as draws:
        assert draws.attrs["simulated"] == 1
        assert {key: draws.attrs[key] for key in about} == about


def test_csv_holds_what_ecsv_holds(folder):
    for path in files(folder, ".ecsv"):
        table, frame = read_table(path), pd.read_csv(path.with_suffix(".csv"), comment="#")
        assert len(table) == len(frame) > 0
        name = next(n for n in ("mean", "level") if n in table.colnames)
        assert frame[name].tolist() == table[name].value.tolist()


def test_draws_are_those_of_the_run_in_every_format(folder, small_run):
    kept = small_run.tree["posterior"].dataset.isel(draw=slice(None, None, 5))
    flux = kept["sky.fov_flux"].transpose("chain", "draw", "band", "region").values
    with xr.open_dataset(folder / "draws" / "draws.nc") as draws:
        np.testing.assert_array_equal(draws["fov_flux"], flux)
        assert draws["draw"].values.tolist() == kept["draw"].values.tolist()
        assert draws["fov_flux"].attrs["units"] == "mCrab"
        assert draws["region_lon"].sel(region="L+20") == 20
        history = draws["crab_history"].values
    rows = Table.read(folder / "draws" / "draws.fits", hdu="DRAWS")
    np.testing.assert_array_equal(rows["FOV_FLUX"], flux.reshape(-1, *flux.shape[2:]))
    assert rows["DRAW"][1] == 5
    assert rows["LEVEL_HISTORY"].unit == "ct / s"
    regions = Table.read(folder / "draws" / "draws.fits", hdu="REGION")
    assert [str(name).strip() for name in regions["REGION"]] == ["L-20", "GB", "L+20"]
    frame = pd.read_csv(folder / "draws" / "draws.csv", comment="#")
    np.testing.assert_allclose(frame["fov_flux[A02, GB]"], flux[:, :, 1, 1].ravel(), rtol=1e-8)
    np.testing.assert_allclose(frame["crab.rate[A01]"], kept["crab.rate"].sel(band="A01").values.ravel())
    first = next(name for name in frame if name.startswith("crab_history[A01"))
    np.testing.assert_allclose(frame[first], history[:, :, 0, 0].ravel(), rtol=1e-8)


def test_histories_are_those_that_the_run_summarises(folder, small_run):
    constant = small_run.tree["constant_data"].dataset
    with xr.open_dataset(folder / "draws" / "draws.nc") as draws:
        for name, told in (("crab_history", "crab_history"), ("level_history", "background_history")):
            mean, sd = (getattr(draws[name], what)(("chain", "draw")) for what in ("mean", "std"))
            off = (mean - constant[f"{told}_mean"]) / constant[f"{told}_sd"]
            assert float(np.abs(off).max()) < 0.5  # of 200 and of 500 draws
            np.testing.assert_allclose(sd, constant[f"{told}_sd"], rtol=0.4)


def test_e2_is_the_intensity_times_the_crab(folder, small_run):
    with xr.open_dataset(folder / "draws" / "draws.nc") as draws:
        ratio = (draws["e2"] / draws["intensity"]).sel(band="A01").values
    # ∫ E · 10 E^-2.1 dE over ln(60/25), a thousandth, per deg² → per sr
    per_mcrab = 1e-3 * 10 * (25**-0.1 - 60**-0.1) / 0.1 / np.log(60 / 25) * (180 / np.pi) ** 2
    np.testing.assert_allclose(ratio, per_mcrab, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draws-of", "intensty"], "did you mean 'intensity'"),
        (["--spectra-of", "GBB"], "did you mean 'GB'"),
        (["--nside", "48"], "not a power of 2"),
        (["--every", "0"], "1 or more"),
        (["--crab-spectrum", "norm=x"], "Crab spectrum"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(saved, tmp_path, options, message):
    result = invoke(saved, "--out", tmp_path / "e", "--only", "draws", *options)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_histories_need_the_table_that_was_fitted(saved, tmp_path, small_mission):
    write_scws(small_mission.select(np.arange(1, len(small_mission))), tmp_path / "other.fits")
    command = ["export", saved / "run", "--out", tmp_path / "e", "--only", "draws", "--draws-of", "level"]
    for scws, message in ([], "say where it is"), (["--scws", tmp_path / "other.fits"], "not the table"):
        result = call(*command, *scws)
        assert result.exit_code == 2
        assert message in result.output


def test_only_an_export_is_replaced(saved, tmp_path):
    out = tmp_path / "e"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    only = ("--out", out, "--only", "draws")
    for options in (only, (*only, "--overwrite")):
        result = invoke(saved, *options)
        assert result.exit_code == 2
        assert "is not replaced" in result.output
    (out / "mine.txt").unlink()
    assert invoke(saved, *only).exit_code == 0
    assert "--overwrite" in invoke(saved, *only).output
    assert invoke(saved, *only, "--overwrite").exit_code == 0
    assert {path.name for path in out.iterdir()} == {INDEX, SUMS, "draws"}


def test_what_a_run_cannot_give_is_left_out_and_said(tmp_path):
    def without_sky(groups):
        groups["posterior"] = groups["posterior"].drop_vars(["sky.intensity", "sky.fov_flux"])

    found = export(step_run(change=without_sky), tmp_path / "e")
    assert {name.split("/")[0] for name in found.files} == {"tables"}
    assert "has no sky" in found.left_out["diffuse sky model"]
    assert "Left out:" in (tmp_path / "e" / INDEX).read_text(encoding="utf-8")
    with pytest.raises(InputError, match="has no sky"):
        export(step_run(change=without_sky), tmp_path / "maps", Options(kinds=("maps",)))
    assert not (tmp_path / "maps").exists()


@pytest.mark.slow
def test_a_full_disk_is_no_property_of_the_run(tmp_path, monkeypatch, small_run):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ridgebayes.products.skytemplate.fits.HDUList.writeto", full)
    with pytest.raises(InputError, match="No space left"):
        export(small_run, tmp_path / "e", Options(kinds=("tables", "template")))
    assert not list(tmp_path.iterdir())


def test_names_that_a_file_cannot_hold_are_replaced(tmp_path):
    sky = build("test", [Region.box("Süd, #1", (0.0, 20.0), (-10.0, 10.0))])
    draws = np.random.default_rng(4).normal(1, 0.1, (20, 1, 1))
    run = sky_run(sky, draws)
    dataset = posterior_draws(run, ["intensity", "plane"])
    for suffix in ("nc", "fits", "csv"):
        write_draws(run, dataset, tmp_path / f"d.{suffix}")
    names = Table.read(tmp_path / "d.fits", hdu="REGION")["REGION"]
    assert str(names[0]).strip() == "S?d, #1"
    frame = pd.read_csv(tmp_path / "d.csv", comment="#")
    np.testing.assert_allclose(frame["intensity[E01, Süd, #1]"], draws.ravel(), rtol=1e-8)
    with pytest.raises(InputError, match=r"\.nc, \.fits, \.csv"):
        write_draws(run, dataset, tmp_path / "d.txt")


def test_astropy_reads_all_of_it_without_ridgebayes_and_without_a_warning(folder, saved):
    read_elsewhere(*files(folder, ".ecsv", ".fits", ".pha", ".rsp"), *files(saved / "run", ".ecsv", ".fits"))


def test_ridgebayes_gives_the_units_back(folder, saved):
    per_degree = MCRAB / u.deg**2
    assert read_table(saved / "run" / "intensity.ecsv")["mean"].unit == per_degree
    assert read_table(folder / "tables" / "fov_flux.ecsv")["mean"].unit == MCRAB
    draws = read_table(folder / "draws" / "draws.fits", extension="DRAWS")
    assert (draws["INTENSITY"].unit, draws["FOV_FLUX"].unit) == (per_degree, MCRAB)
    assert draws["LEVEL_HISTORY"].unit == u.ct / u.s
    for path in files(folder / "maps", ".fits"):
        with fits.open(path) as hdus:
            tables = [hdu.name for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
        for name in tables:
            assert read_table(path, extension=name)["INTENSITY"].unit == per_degree
