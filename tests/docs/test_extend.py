"""The examples of docs/extend.md: an extension and a product that are added."""

import importlib.util
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from astropy.table import QTable
from click.testing import CliRunner
from scipy import stats

from ridgebayes import outputs
from ridgebayes.cli.products import command_of
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.model import extensions
from ridgebayes.models import regions
from ridgebayes.outputs.export import export
from ridgebayes.outputs.steps import Options

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Return a function that imports an example as the module that it will be."""

    def load(name):
        code = re.search(rf"```python\n# ({name.replace('.', '/')}\.py)\n(.*?)```", PAGE.read_text(), re.S)
        path = tmp_path / f"{name}.py"
        path.write_text(code[2], encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load


@pytest.fixture
def restless(example, monkeypatch, small_mission, three_regions):
    """Return the distribution of the rates under the extension of the page, and the arrays of the fit."""
    example("ridgebayes.likelihood.restless")
    added = example("ridgebayes.model.extensions.restless").RESTLESS
    monkeypatch.setitem(extensions.EXTRAS, added.name, added)
    model = regions(three_regions).with_extras("restless")
    assert "one over the degrees of freedom" in str(model)
    with pytest.raises(InputError, match="'restless': cannot be joined with outliers"):
        model.with_extras("outliers")
    data = prepare(small_mission, three_regions, opened=model.asks_for).data
    posterior = Posterior(model.with_priors({"background.restless": 0.2}), data)
    return posterior.rates(np.zeros(posterior.size), data), data


@pytest.mark.slow
def test_a_noise_has_the_density_of_scipy(restless):
    rates, data = restless
    found = np.asarray(rates.log_prob_by_revolution(data.rate))
    for revolution in (0, found.shape[1] - 1):
        cells = np.asarray(data.filled & (data.block_revolution == revolution)[:, None])
        basis, loc, noise, value = (
            np.asarray(x)[..., cells] for x in (rates.basis, rates.loc, rates.noise_variance, data.rate)
        )
        for band in range(len(found)):
            scale = (basis.T * np.asarray(rates.coef_sd)[band, :, revolution] ** 2) @ basis
            scale += np.diag(noise[band])
            wanted = stats.multivariate_t(loc[band], scale, df=5).logpdf(value[band])
            np.testing.assert_allclose(found[band, revolution], wanted, rtol=1e-9)
    np.testing.assert_allclose(rates.log_prob(data.rate), found.sum(1))


@pytest.mark.slow
def test_draws_of_a_noise_have_its_variance(restless):
    rates, data = restless
    off = np.asarray(rates.sample(jax.random.key(1), (4000,)) - rates.loc)
    wanted = 5 / 3 * np.asarray(rates.variance)
    inside = np.asarray(data.filled)
    ratio = (off.var(0) / wanted)[:, inside]
    assert 0.97 < ratio.mean() < 1.03


def test_a_product_has_its_command_and_is_exported(example, monkeypatch, small_run, tmp_path):
    product = example("ridgebayes.outputs.hardness").HARDNESS
    monkeypatch.setitem(outputs.PRODUCTS, product.name, product)
    run, out = small_run.save(tmp_path / "run"), tmp_path / "out"
    command = command_of(product)
    assert "Example:  ridgebayes hardness runs/first" in CliRunner().invoke(command, ["--help"]).output
    done = CliRunner().invoke(command, [str(run.path), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == "SIMULATED data"
    assert lines[2:] == [
        "intervals: of the posterior (not calibrated: 24 revolutions are fitted, at least 150 are needed)",
        f"wrote {out}: hardness.ecsv, hardness.png",
        f"next: ridgebayes report {run.path}  one page about the run",
    ]
    table = QTable.read(out / "hardness.ecsv")
    flux = small_run.best.tree["posterior"]["sky.fov_flux"]
    ratio = (flux.isel(band=-1) / flux.isel(band=0)).sel(region="GB")
    row = table[list(table["region"]).index("GB")]
    np.testing.assert_allclose(row["median"], np.median(ratio.values))
    assert table.meta["run"] == str(run.path)
    assert table.meta["simulated"]
    refused = CliRunner().invoke(command, [str(run.path), "--out", str(out)])
    assert "hardness.ecsv: exists already" in str(refused.exception)
    found = export(run, tmp_path / "export", Options(kinds=("tables",)))
    assert found.files["tables/hardness.ecsv"] == "FOV flux of the last band over the first"
    assert QTable.read(tmp_path / "export" / "tables" / "hardness.ecsv").meta["simulated"]
