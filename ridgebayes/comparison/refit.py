"""Posterior of a model without some revolutions."""

from __future__ import annotations

import logging
from dataclasses import replace

import arviz_stats  # noqa: F401 (the accessor `azstats`)
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ridgebayes.inference.kernels import Draws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.sampler import Sampler
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.cores import in_threads, one_blas_thread

logger = logging.getLogger(__name__)

CHAINS, WARMUP, DRAWS = 2, 150, 500
_MAX_R_HAT = 1.05


def without(data: FitData, left_out: NDArray) -> FitData:
    """Mask the cells of left-out revolutions (revolution,); shapes stay the same, to avoid compilation."""
    kept = ~jnp.asarray(left_out)[data.block_revolution]
    return replace(data, filled=data.filled & kept[:, None])


class Refit:
    """Samples a posterior for several data of the same shapes; compiled once.

    Parameters
    ----------
    posterior
        Log density of the model.
    data
        Data with these shapes; by default those of the first fit.
    chains, warmup, draws
        Number of chains, and adaptive iterations and kept draws of each.
    """

    def __init__(
        self,
        posterior: Posterior,
        data: FitData | None = None,
        *,
        chains: int = CHAINS,
        warmup: int = WARMUP,
        draws: int = DRAWS,
    ) -> None:
        self.posterior, self.chains, self.draws = posterior, chains, draws
        self._warmup = warmup
        self._sampler = None if data is None else Sampler(posterior, data, warmup=warmup)

    @one_blas_thread()
    def __call__(
        self, data: FitData, seed: int, *, start: NDArray | None = None, what: str = "refit"
    ) -> NDArray:
        """Return unconstrained draws, (draw, parameter), chain after chain.

        Parameters
        ----------
        data
            Data to fit.
        seed
            Seed of all random draws.
        start
            Start of the search for the mode, (parameter,); by default the medians of the prior.
        what
            Name of this fit for a warning that chains have not converged.
        """
        key = jax.random.key(seed)
        if self._sampler is None:
            self._sampler = Sampler(self.posterior, data, warmup=self._warmup)
        sampler = self._sampler
        near = None if start is None else Gaussian(start, np.diag(self.posterior.scale))
        begun = sampler.begin(key, data, np.random.default_rng(seed), near)

        def chain(number: int) -> NDArray:
            blocks = sampler.chain(jax.random.fold_in(key, number), data, begun, self.draws)
            return np.concatenate([block.z for block in blocks if isinstance(block, Draws)])

        z = np.stack(in_threads(chain, range(self.chains), self.chains))
        r_hat = float(xr.DataArray(z, dims=("chain", "draw", "parameter")).azstats.rhat().max())
        if not r_hat < _MAX_R_HAT:
            logger.warning("%s: R-hat up to %.2f: its chains do not agree", what, r_hat)
        return z.reshape(-1, z.shape[-1])
