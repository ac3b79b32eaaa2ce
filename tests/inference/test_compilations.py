"""What is compiled: nothing large inside, and once for all bands and chains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes import models, sample
from ridgebayes.bench.compilations import Compilations
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare


def lowered(scws, regions):
    data = prepare(scws, regions).data.band(0)
    posterior = Posterior(models.regions(regions), data)
    z = np.zeros(posterior.size)
    return jax.jit(jax.value_and_grad(posterior.potential)).lower(z, data).as_text()


@pytest.mark.long
def test_text_of_the_gradient_does_not_grow_with_the_mission(small_mission, three_regions):
    """Data are arguments: only the numbers in the shapes grow."""
    half = small_mission.select(np.isin(small_mission.revolution, np.unique(small_mission.revolution)[::2]))
    small, large = (lowered(scws, three_regions) for scws in (half, small_mission))
    assert len(half) < 0.6 * len(small_mission)
    assert len(large) < 1.02 * len(small)
    # A constant for every ScW would be thousands of digits in a line.
    assert max(map(len, large.splitlines())) < 20_000


def test_a_constant_would_be_seen():
    """The test above can fail: what is closed over is in the text."""
    inside = np.linspace(0.0, 1.0, 5000)
    text = jax.jit(lambda x: (x * inside).sum()).lower(np.ones(5000)).as_text()
    assert max(map(len, text.splitlines())) > 20_000


def test_compilations_are_counted():
    def named(x):
        return jnp.sin(x) + 1

    compiled = jax.jit(named)
    with Compilations() as counted:
        compiled(np.ones(3))
        compiled(np.zeros(3))
        compiled(np.ones(4))
    assert counted.programs["jit(named)"] == 2
    assert counted.seconds > 0
    compiled(np.ones(5))
    assert counted.programs["jit(named)"] == 2 or not hasattr(
        jax.monitoring, "unregister_event_duration_listener"
    )


@pytest.fixture(scope="module")
def three_bands(small_mission):
    """The two bands of the small mission, and the first of them once more."""
    import dataclasses

    twice = np.array([0, 1, 0])
    bands = (*small_mission.bands, dataclasses.replace(small_mission.bands[0], name="A03"))
    return dataclasses.replace(
        small_mission,
        rate=small_mission.rate[:, twice],
        stat_err=small_mission.stat_err[:, twice],
        bands=bands,
        truth=None,
    )


@pytest.mark.slow
def test_bands_and_chains_share_what_is_compiled(three_bands, three_regions):
    """Three bands of four chains compile no program of the sampler more often than one band of one chain."""
    model = models.regions(three_regions)
    counts = []
    for scws, chains in ((three_bands.take_bands(["A01"]), 1), (three_bands, 4)):
        with Compilations() as counted:
            sample(model, scws, chains=chains, warmup=30, draws=30, seed=1)
        counts.append(counted.programs)
    one, all_bands = counts
    # Of the programs with a name of ours; those of single operations depend on shapes, and take no time.
    operations = {name for name in all_bands if hasattr(jnp, name[4:-1]) or hasattr(jax.lax, name[4:-1])}
    more = {n: (one[n], all_bands[n]) for n in all_bands.keys() - operations if all_bands[n] > one[n]}
    assert not more
    assert all_bands["jit(_first)"] == 1
