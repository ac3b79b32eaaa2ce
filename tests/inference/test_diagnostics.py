"""Diagnoses of draws whose quality is known."""

import numpy as np
import xarray as xr

from ridgebayes.inference.diagnostics import diagnose


def tree(rng, shift=0.0, *, fixed=False, diverging=0):
    """Four chains of independent draws, one of them shifted."""
    draws = rng.normal(size=(4, 500, 3))
    draws[0] += shift
    posterior = xr.Dataset({"level": (("chain", "draw", "band"), draws)})
    if fixed:
        posterior["sky.intensity"] = ("chain", "draw", "region"), np.full((4, 500, 2), 0.3)
    statistics = xr.Dataset(
        {
            "diverging": (("chain", "draw"), np.arange(2000).reshape(4, 500) < diverging),
            "reached_max_treedepth": (("chain", "draw"), np.zeros((4, 500), bool)),
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
