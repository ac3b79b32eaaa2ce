"""Ragged revolutions with rates drawn from each noise model, and the dense results for comparison."""

import jax
import jax.numpy as jnp
import numpy as np

from ridgebayes.likelihood.ou_noise import CorrelatedNormal
from ridgebayes.likelihood.outliers import OutlierNormal
from ridgebayes.likelihood.packing import layout
from ridgebayes.likelihood.revolution import RevolutionNormal
from ridgebayes.likelihood.sequence import sequence

COUNTS = (1, 5, 17, 40)


def dense_covariance(white, coef_sd, sd, memory, revolution, mjd, basis):
    same = revolution[:, None] == revolution
    decay = jnp.exp(-jnp.abs(mjd[:, None] - mjd) / memory)
    terms = jnp.einsum("jn,jn,jm->nm", coef_sd[:, revolution] ** 2, basis, basis)
    return jnp.diag(white) + same * (sd[revolution, None] ** 2 * decay + terms)


class Mission:
    """Ragged revolutions in random row order (one has one ScW, one a gap of a day), and dense results."""

    def __init__(
        self, counts=COUNTS, coef_sd=(2.0, 0.7, 0.4), sd=0.8, memory=0.3, width=16, groups=1, seed=0
    ):
        rng = np.random.default_rng(seed)
        self.revolution = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        n = self.revolution.size
        self.mjd = 53000 + 3.0 * self.revolution + rng.uniform(0, 1, n)
        late = self.mjd % 1 > 0.5
        self.mjd[late & (self.revolution == 2)] += 1.0
        phase = rng.uniform(0, 1, n)
        self.basis = np.stack([np.ones(n), 2 * phase - 1, 6 * phase**2 - 6 * phase + 1])[: len(coef_sd)]
        self.coef_sd = np.array(coef_sd)[:, None] * rng.uniform(0.8, 1.2, (len(coef_sd), len(counts)))
        self.sd = sd * rng.uniform(0.5, 1.5, len(counts))
        self.memory = memory
        self.loc = 80 + rng.normal(size=n)
        self.white = rng.uniform(0.3, 2.0, n)
        self.value = self.loc + rng.normal(size=n)
        self.where = layout(self.revolution, width=width)
        self.order = sequence(self.where, self.mjd, self.where.pack(self.basis), groups=groups)

    @property
    def arguments(self):
        return self.where.pack(self.loc), self.where.pack(self.white, 1.0), self.coef_sd, self.sd, self.memory

    @property
    def fixed(self):
        """Arguments without gradients, for the compiled functions below."""
        shared = (self.where.pack(self.basis), self.where.block_revolution, self.where.mask)
        return shared, self.order, self.where.pack(self.value)

    @property
    def rows(self):
        """Cell of each row, for the dense density."""
        cells = np.flatnonzero(self.where.mask)[np.argsort(self.where.index[self.where.mask])]
        return cells, self.revolution, self.mjd, self.basis, self.value

    def distribution(self, loc, white, coef_sd, sd, memory, kind=CorrelatedNormal):
        shared = (self.where.pack(self.basis), self.where.block_revolution, self.where.mask)
        correlated = (sd, memory, self.order) if kind is CorrelatedNormal else ()
        return kind(loc, white, coef_sd, *shared, *correlated)

    @property
    def covariance(self):
        return np.asarray(
            dense_covariance(
                self.white, self.coef_sd, self.sd, self.memory, self.revolution, self.mjd, self.basis
            )
        )


def ragged(seed=0, counts=(1, 5, 16, 17, 40), bands=(), width=16, coef_sd=(2.0, 0.7, 0.4)):
    """A distribution on ragged revolutions (one of a single ScW), and its dense mean and covariance."""
    rng = np.random.default_rng(seed)
    revolution = rng.permutation(np.repeat(np.arange(len(counts)) + 70, counts))
    n = revolution.size
    phase = rng.uniform(0, 1, n)
    basis = np.stack([np.ones(n), 2 * phase - 1, 6 * phase**2 - 6 * phase + 1])[: len(coef_sd)]
    loc = 80 + rng.normal(size=(*bands, n))
    variance = rng.uniform(0.3, 2, (*bands, n))
    sd = np.array(coef_sd)[:, None] * rng.uniform(0.8, 1.2, (*bands, len(coef_sd), len(counts)))
    where = layout(revolution, width=width)
    distribution = RevolutionNormal(
        where.pack(loc), where.pack(variance, 1.0), sd, where.pack(basis), where.block_revolution, where.mask
    )
    same = revolution[:, None] == revolution[None, :]
    position = revolution - 70
    covariance = np.einsum("...jn,jn,jm->...nm", sd[..., position] ** 2, basis, basis) * same
    covariance = covariance + np.eye(n) * variance[..., None, :]
    return distribution, where, loc, covariance, basis, sd, revolution


def case(rng, counts=(40, 25, 12), terms=3, fraction=0.05, size=8.0, sd=(3.0, 1.5, 1.0)):
    """Draw rates of a few revolutions from the distribution; return them with its arguments."""
    revolution = np.repeat(np.arange(len(counts)), counts)
    where = layout(revolution)
    phase = rng.uniform(-1, 1, revolution.size)
    basis = np.polynomial.legendre.legvander(phase, terms - 1).T
    variance = rng.uniform(0.5, 1.5, revolution.size)
    given = dict(
        loc=jnp.asarray(where.pack(rng.normal(size=revolution.size))),
        noise_variance=jnp.asarray(where.pack(variance, 1.0)),
        coef_sd=jnp.tile(jnp.asarray(sd[:terms])[:, None], (1, len(counts))),
        basis=jnp.asarray(where.pack(basis)),
        block_revolution=jnp.asarray(where.block_revolution),
        filled=jnp.asarray(where.mask),
    )
    mixture = OutlierNormal(**given, fraction=fraction, size=size)
    return where, given, mixture, mixture.sample(jax.random.key(int(rng.integers(1000))))
