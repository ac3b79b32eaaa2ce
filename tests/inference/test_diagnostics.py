"""Diagnoses of draws whose quality is known."""

import shlex

import numpy as np
import xarray as xr

from ridgebayes.inference.diagnostics import diagnose
from ridgebayes.priors.text import parse_prior


def tree(rng, shift=0.0, *, fixed=False, diverging=0, draws=500):
    """Four chains of independent draws, one of them shifted."""
    level = rng.normal(size=(4, draws, 3))
    level[0] += shift
    posterior = xr.Dataset({"level": (("chain", "draw", "band"), level)})
    if fixed:
        posterior["sky.intensity"] = ("chain", "draw", "region"), np.full((4, draws, 2), 0.3)
    statistics = xr.Dataset(
        {
            "diverging": (("chain", "draw"), np.arange(4 * draws).reshape(4, draws) < diverging),
            "reached_max_treedepth": (("chain", "draw"), np.zeros((4, draws), bool)),
        }
    )
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})


def test_good_draws_pass(rng):
    assert diagnose(tree(rng)).warnings == ()


def test_chains_that_disagree_are_named(rng):
    found = diagnose(tree(rng, shift=2.0)).warnings
    assert any(w.startswith("R-hat") and "level[" in w for w in found)


def test_divergences_are_counted(rng):
    assert any("7 draws diverged" in w for w in diagnose(tree(rng, diverging=7)).warnings)


def test_what_is_fixed_is_no_failure(rng):
    found = diagnose(tree(rng, fixed=True))
    assert found.warnings == ()
    assert (found.r_hat["sky.intensity"] == 1).all()
    assert (found.ess_bulk["sky.intensity"] == 2000).all()


def test_all_fixed_is_no_failure(rng):
    still = tree(rng)
    still["posterior"] = xr.Dataset({"level": (("chain", "draw"), np.ones((4, 500)))})
    found = diagnose(still)
    assert found.warnings == ()
    assert (float(found.r_hat["level"]), float(found.ess_tail["level"])) == (1, 2000)


def test_slow_energy_is_named(rng):
    """An energy that walks instead of jumping: BFMI far below 0.3."""
    slow = tree(rng)
    energy = np.cumsum(rng.normal(size=(4, 500)), axis=1)
    slow["sample_stats"] = slow["sample_stats"].to_dataset().assign(energy=(("chain", "draw"), energy))
    found = diagnose(slow)
    steps, spread = np.diff(energy, axis=1) ** 2, energy.var(axis=1)
    np.testing.assert_allclose(found.bfmi, (steps.mean(1) / spread).min(), rtol=0.02)
    assert any(w.startswith("BFMI") for w in found.warnings)


def bad_trees(rng):
    """Draws with something wrong, by what it is."""
    slow = tree(rng)
    energy = np.cumsum(rng.normal(size=(4, 500)), axis=1)
    slow["sample_stats"] = slow["sample_stats"].to_dataset().assign(energy=(("chain", "draw"), energy))
    sky = tree(rng, shift=2.0)
    sky["posterior"] = sky["posterior"].to_dataset().rename(level="sky.intensity")
    few = lambda n: xr.DataTree.from_dict(  # noqa: E731
        {name: tree(rng)[name].to_dataset().isel(draw=slice(n)) for name in ("posterior", "sample_stats")}
    )
    one = xr.DataTree.from_dict(
        {name: tree(rng)[name].to_dataset().isel(chain=[0]) for name in ("posterior", "sample_stats")}
    )
    return {
        "disagree": tree(rng, shift=2.0), "a little": tree(rng, shift=0.2),
        "diverged": tree(rng, diverging=7), "sky": sky, "slow": slow, "three": few(3), "few": few(60),
        "one chain": one,
    }  # fmt: skip


def test_each_advice_is_taken_by_the_command_line(rng):
    from ridgebayes.cli.main import main

    for what, bad in bad_trees(rng).items():
        failures = diagnose(bad).failures
        assert failures, what
        for finding in failures:
            assert finding.advice, finding
            assert str(finding).endswith(f": {finding.advice}")
            taken = main.commands["fit"].make_context(
                "fit", ["a.fits", "--out", "r", *shlex.split(finding.advice)]
            )
            for text in taken.params["priors"]:
                name, prior = text.split("=", 1)
                assert parse_prior(prior) is not None, name


def test_each_warning_names_a_parameter(rng):
    for what, bad in bad_trees(rng).items():
        if what in ("three", "one chain"):
            continue
        for finding in diagnose(bad).failures:
            assert "level[" in finding.what or "sky.intensity[" in finding.what, finding


def test_the_draws_that_are_advised_mend_the_warning(rng):
    """60 draws of four chains are worth 240; so many more as the warning says are enough."""
    few = bad_trees(rng)["few"]
    advised = {f.advice for f in diagnose(few).failures}
    numbers = [int(a.removeprefix("--draws ")) for a in advised]
    enough = tree(rng, draws=max(numbers))
    assert max(numbers) <= 400
    assert diagnose(enough).warnings == ()


def test_one_chain_does_not_disagree(rng):
    found = diagnose(bad_trees(rng)["one chain"])
    assert found.warnings[0].startswith("one chain")
    assert not any("disagree" in warning for warning in found.warnings)
    assert str(found).splitlines() == [found.in_short, *found.warnings]
    assert "nan" not in str(found)


def test_what_is_no_number_fails(rng):
    bad = tree(rng)
    bad["posterior"]["level"].values[0, 3, 1] = np.nan
    assert diagnose(bad).failures
