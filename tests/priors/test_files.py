"""Priors in TOML files: written ones read back, wrong ones are named."""

import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

from ridgebayes import models
from ridgebayes.errors import InputError
from ridgebayes.priors import Parameter, priors_toml, read_priors, spell


def read(tmp_path, text):
    path = tmp_path / "priors.toml"
    path.write_text(text)
    return read_priors(path)


def test_flat_names_and_tables_are_the_same(tmp_path):
    flat = read(tmp_path, '"background.scatter" = "HalfNormal(0.02)"\n"sky.intensity" = [1, 2, 3]')
    tables = read(tmp_path, '[background]\nscatter = "HalfNormal(0.02)"\n[sky]\nintensity = [1, 2, 3]')
    assert flat == tables == {"background.scatter": "HalfNormal(0.02)", "sky.intensity": [1, 2, 3]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[background]\nscatter = "HalfNormall(1)"', r"background\.scatter: .*did you mean 'HalfNormal'"),
        ("[background]\nscatter = true", "True is neither"),
        ("x = nan", "x: .*not finite"),
        ("x = [[1, 2], [3]]", "x: "),
        ('"a.b" = 1\n[a]\nb = 2', r"'a\.b' is given twice"),
        ("x = ", "not TOML"),
    ],
)
def test_errors_name_file_and_key(tmp_path, text, words):
    with pytest.raises(InputError, match=rf"priors\.toml: .*{words}|priors\.toml: {words}"):
        read(tmp_path, text)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        read_priors(tmp_path / "none.toml")


def test_what_is_written_reads_back(tmp_path, three_regions):
    model = models.regions(three_regions).with_extras("outliers", "smooth_crab")
    changes = {"background.scatter": "Shared(HalfNormal(0.02), band)", "background.tracer": [0.1, 1 / 3],
               "sky.intensity": dist.MultivariateNormal(jnp.zeros(3), jnp.eye(3) / 3)}  # fmt: skip
    changed = model.with_priors(changes)
    again = model.with_priors(read(tmp_path, priors_toml(changed.parameters)))
    for name, parameter in changed.parameters.items():
        assert spell(again.parameters[name].prior) == spell(parameter.prior), name


def test_a_prior_without_text_is_a_comment(tmp_path):
    odd = dist.TransformedDistribution(dist.Normal(0, 1), dist.transforms.ExpTransform())
    parameters = {"deep.down.odd": Parameter(odd, "", (), "odd"), "plain": Parameter(1.0, "", (), "")}
    assert read(tmp_path, priors_toml(parameters)) == {"plain": 1.0}
