"""The examples of docs/extend.md: an extension and a product that are added."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from click.testing import CliRunner

from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.model import extensions
from ridgebayes.models import regions

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


def test_a_product_is_written(example, small_run, tmp_path):
    example("ridgebayes.products.hardness")
    command = example("ridgebayes.cli.commands.hardness").hardness
    run, out = small_run.save(tmp_path / "run"), tmp_path / "out"
    done = CliRunner().invoke(command, [str(run.path), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "hardness.ecsv" in done.output
    table = QTable.read(out / "hardness.ecsv")
    flux = small_run.best.tree["posterior"]["sky.fov_flux"]
    ratio = (flux.isel(band=-1) / flux.isel(band=0)).sel(region="GB")
    row = table[list(table["region"]).index("GB")]
    np.testing.assert_allclose(row["median"], np.median(ratio.values))
    assert table.meta["simulated"]
