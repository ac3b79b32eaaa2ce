"""Models from files of users, and those of the cookbook."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from ridgebayes import models, sample
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from tests.helpers.cli import call

PAGE = Path(__file__).parents[2] / "docs" / "cookbook.md"
BLOCKS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))


def test_the_page_has_three():
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.slow
def test_density_of_a_cookbook_model(name, starry_mission, three_regions, tmp_path):
    path = tmp_path / name
    path.write_text(BLOCKS[name], encoding="utf-8")
    model = models.find(path)(three_regions)
    assert model.source == BLOCKS[name]
    model = model.with_extras("free_latitude", "smooth_crab")
    data = prepare(starry_mission, three_regions, opened=model.asks_for, cache=False).data
    posterior = Posterior(model, data)
    start = posterior.start(jax.random.key(0), data)
    value, gradient = jax.jit(jax.value_and_grad(posterior.potential))(start, data)
    assert np.isfinite(value)
    assert (np.asarray(gradient) != 0).sum() > 0.9 * posterior.size


@pytest.mark.slow
def test_a_cookbook_model_is_fitted_and_built_again(starry_mission, three_regions, tmp_path):
    path = tmp_path / "symmetric.py"
    path.write_text(BLOCKS["symmetric.py"], encoding="utf-8")
    model = models.find(str(path))(three_regions)
    run = sample(model, starry_mission.take_bands(["A01"]), seed=1, chains=2, warmup=60, draws=60)
    east, west = (run.intensity().sel(region=name) for name in ("L+20", "L-20"))
    np.testing.assert_allclose(east, west, rtol=1e-9)
    truth = starry_mission.truth["intensity"]["GB"][0]
    bulge = run.intensity().sel(region="GB")
    assert abs(float((bulge.mean() - truth) / bulge.std())) < 4
    assert run.record["model"]["source"] == model.source
    path.unlink()
    again = models.from_source(run.record["model"]["source"], "symmetric")(
        three_regions, **run.record["model"]["options"]
    )
    assert again.options == model.options
    assert str(again) == str(model)


GOOD = "from ridgebayes.models import regions\n\n\ndef model(sky):\n    return {}\n"
BAD = [
    ("import nothing_of_this_name\n", r"m\.py, line 1: ModuleNotFoundError: No module named"),
    ("x = 1\n\ny = 1 / 0\n", r"m\.py, line 3: ZeroDivisionError"),
    ("def model(sky):\n    return (\n", r"m\.py, line 2: not Python"),
    ("def modell(sky): ...\n", r"m\.py: has no function 'model': a model file defines"),
    ("model = 3\n", r"m\.py: has no function 'model'"),
    (GOOD.format("None"), r"m\.py: model\(sky\) returned NoneType: a model file defines"),
    (GOOD.format("regions(sky, wrong=1)"), r"m\.py, line 5: TypeError: .*wrong"),
    (GOOD.format("regions(sky).with_priors({'sky.x': 1})"), r"m\.py, line 5: prior 'sky.x'"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_is_wrong_is_one_line(text, message, three_regions, tmp_path):
    path = tmp_path / "m.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        models.find(path)(three_regions)
    assert "\n" not in str(caught.value)


def test_unknown_names(tmp_path):
    with pytest.raises(InputError, match=r"none\.py: cannot be read \(No such file"):
        models.find(tmp_path / "none.py")
    with pytest.raises(InputError, match=r"'region': there is none of this name .*'regions'"):
        models.find("region")
    assert models.find("spectrum") is models.spectrum


def test_the_command_says_so_in_one_line(starry_mission, tmp_path):
    from ridgebayes import write_scws

    write_scws(starry_mission, tmp_path / "m.fits")
    (tmp_path / "m.py").write_text("x = 1 / 0\n")
    arguments = ["fit", tmp_path / "m.fits", "--model", tmp_path / "m.py", "--out", tmp_path / "run"]
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stderr.strip().count("\n") == 0
    assert "m.py, line 1: ZeroDivisionError" in result.stderr
    assert "is executed" in call("fit", "--help").output
