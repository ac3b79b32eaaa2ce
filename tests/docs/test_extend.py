"""The examples of docs/extend.md: an extension and a product that are added."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from click.testing import CliRunner

from ridgebayes import outputs
from ridgebayes.cli.products import command_of
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


@pytest.mark.slow
def test_an_extension_adds_its_scatter(example, monkeypatch, small_mission, three_regions):
    added = example("ridgebayes.model.extensions.tracer_scatter").TRACER_SCATTER
    monkeypatch.setitem(extensions.EXTRAS, added.name, added)
    model = regions(three_regions).with_extras("tracer_scatter")
    assert "scatter for a tracer of one" in str(model)
    data = prepare(small_mission, three_regions, opened=model.parameters.keys()).data
    variance = []
    for value in (0.0, 0.5):
        posterior = Posterior(model.with_priors({"background.tracer_scatter": value}), data)
        variance.append(np.asarray(posterior.rates(np.zeros(posterior.size), data).noise_variance))
    level = np.asarray(data.level)[:, np.asarray(data.block_revolution), None]
    wanted = (0.5 * level * np.asarray(data.tracer)) ** 2
    np.testing.assert_allclose(variance[1] - variance[0], wanted, rtol=1e-6, atol=1e-9 * wanted.max())


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
