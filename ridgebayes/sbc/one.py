"""One simulation: parameters from the prior, data from the model, a fit, ranks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jax import Array
from numpy.typing import NDArray
from numpyro import handlers

from ridgebayes.inference.kernels import Draws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.sampler import Sampler
from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model
from ridgebayes.parallel.cores import one_blas_thread
from ridgebayes.runs.fitted import DERIVED

LIKELIHOOD = "log_likelihood"
"""Log density of all rates: sensitive to errors that no single parameter shows (Modrák et al. 2023)."""
THINNING = 5
"""Least ratio of the length of a chain to its kept draws."""
LONGEST = 8
"""Chains that mix slowly are extended up to this factor."""


class Result(NamedTuple):
    """Result of one simulation.

    Attributes
    ----------
    number
        Number of the simulation.
    ranks
        Quantity (such as ``sky.intensity[A01,GB]``) → number of draws below the truth.
    ess
        Smallest bulk ESS of a parameter; kept draws are independent if it is at least their number.
    length
        Length of the chain before thinning.
    divergences, steps
        Number of divergent draws, and mean number of leapfrog steps.
    seconds
        Wall time.
    failed
        Reason of a failure, or empty.
    """

    number: int
    ranks: dict[str, int]
    ess: float = np.nan
    length: int = 0
    divergences: int = 0
    steps: float = np.nan
    seconds: float = np.nan
    failed: str = ""


class Fitter:
    """Simulates and fits data of one shape, compiled once.

    Parameters
    ----------
    model
        The model.
    data
        Arrays of the fit. Simulated data differ only in their rates; the two reference scales are part of
        the model and stay the same.
    warmup
        Adaptive iterations of the chain.
    draws
        Number of draws to keep; ranks range from 0 to this.
    target_accept, max_tree_depth
        Settings of NUTS.
    """

    def __init__(
        self,
        model: Model,
        data: FitData,
        *,
        warmup: int,
        draws: int,
        target_accept: float = 0.9,
        max_tree_depth: int = 10,
    ) -> None:
        self.posterior = Posterior(model, data)
        self.draws = draws
        self._sampler = Sampler(
            self.posterior, data, warmup=warmup, target_accept=target_accept, max_tree_depth=max_tree_depth
        )

        def simulate(key: Array, data: FitData) -> tuple[dict[str, Array], Array]:
            own, noise = jax.random.split(key)
            trace = handlers.trace(handlers.seed(model, own)).get_trace(data)
            truth = {name: trace[name]["value"] for name in self.posterior.shapes}
            return truth, trace["rate"]["fn"].sample(noise)

        def quantities(truth: dict[str, Array], z: Array, data: FitData) -> dict[str, Array]:
            drawn = jax.vmap(self.posterior.constrain_one)(z)
            both = {name: jnp.concatenate([value[None], drawn[name]]) for name, value in truth.items()}

            def of(values: dict[str, Array]) -> dict[str, Array]:
                fixed = handlers.substitute(model, data=values)
                trace = handlers.trace(handlers.seed(fixed, jax.random.key(0))).get_trace(data)
                derived = {name: trace[name]["value"] for name in DERIVED if name in trace}
                return values | derived | {LIKELIHOOD: trace["rate"]["fn"].log_prob(data.rate)}

            return jax.lax.map(of, both)

        self._simulate = jax.jit(simulate)
        self._quantities = jax.jit(quantities)

    def simulate(self, key: Array, data: FitData) -> tuple[dict[str, Array], FitData]:
        """Draw parameters from the prior, and data from the model given the parameters."""
        truth, rate = self._simulate(key, data)
        return truth, replace(data, rate=rate)

    @one_blas_thread()
    def sample(self, key: Array, data: FitData) -> tuple[NDArray, dict[str, NDArray], float]:
        """Sample the posterior; return a chain (draw, parameter), its statistics, and its smallest ESS.

        The chain is extended until its ESS reaches the number of kept draws. Its length depends on the draws
        only, never on the truth.
        """
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        begun = self._sampler.begin(key, data, rng)
        least = THINNING * self.draws
        blocks: list[Draws] = []
        length, enough = 0, least
        for block in self._sampler.chain(key, data, begun, LONGEST * least):
            if not isinstance(block, Draws):
                continue
            blocks.append(block)
            length += len(block.z)
            if length >= enough:
                z = np.concatenate([b.z for b in blocks])
                ess = smallest_ess(z)
                if ess >= self.draws:
                    break
                enough += least
        statistics = {n: np.concatenate([b.statistics[n] for b in blocks]) for n in blocks[0].statistics}
        return z, statistics, ess

    def __call__(self, key: Array, data: FitData) -> tuple[dict[str, NDArray], dict[str, float]]:
        """Simulate and fit once.

        Parameters
        ----------
        key
            Key of all random draws.
        data
            Arrays of the fit; their rates are not used.

        Returns
        -------
        ranks
            Quantity → ranks of its elements, 0 to `draws`.
        diagnostics
            ess, length, divergences, steps, as in `Result`.

        Raises
        ------
        ArithmeticError
            If rates or draws are not finite.
        """
        key_data, key_fit, key_ties = jax.random.split(key, 3)
        truth, simulated = self.simulate(key_data, data)
        if not np.isfinite(simulated.rate).all():
            raise ArithmeticError("simulated rates are not finite")
        z, statistics, ess = self.sample(key_fit, simulated)
        if not np.isfinite(z).all():
            raise ArithmeticError("draws are not finite")
        kept = z[np.linspace(0, len(z) - 1, self.draws).round().astype(int)]
        values = self._quantities(truth, jnp.asarray(kept), simulated)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key_ties)))
        ranks = {name: rank(np.asarray(x[0]), np.asarray(x[1:]), rng) for name, x in values.items()}
        diagnostics = {
            "ess": ess,
            "length": len(z),
            "divergences": int(statistics["diverging"].sum()),
            "steps": float(statistics["n_steps"].mean()),
        }
        return ranks, diagnostics


def rank(truth: NDArray, draws: NDArray, rng: np.random.Generator) -> NDArray[np.intp]:
    """Count the draws (draw, ...) below the truth (...); ties are broken at random."""
    return (draws < truth).sum(0) + rng.integers(0, (draws == truth).sum(0), endpoint=True)


def smallest_ess(z: NDArray) -> float:
    """Smallest bulk ESS of any parameter of one chain (draw, parameter); 0 if it is undefined."""
    ess = array_stats.ess(z[None], chain_axis=0, draw_axis=1)
    return float(np.nan_to_num(ess).min(initial=np.inf))


def simulation(
    number: int, fitter: Fitter, parts: tuple[FitData, ...], labels: Mapping[str, Any], seed: int
) -> Result:
    """Run simulation `number` of a campaign; random draws depend only on this number and the seed.

    Parameters
    ----------
    number, seed
        Number of the simulation, and seed of the campaign.
    fitter
        Fitter for data with the shapes of the parts.
    parts
        Independent fits (bands).
    labels
        ``coords``: axis → names along it; ``dims``: parameter → axes.
    """
    start = time.monotonic()
    key = jax.random.fold_in(jax.random.key(seed), number)
    try:
        found = [fitter(jax.random.fold_in(key, k), part) for k, part in enumerate(parts)]
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        return Result(number, {}, seconds=time.monotonic() - start, failed=str(error))
    ranks: dict[str, int] = {}
    for name in found[0][0]:
        each = [of_part[name] for of_part, _ in found]
        whole = each[0] if len(parts) == 1 else np.concatenate([np.atleast_1d(x) for x in each])
        ranks |= named_elements(name, whole, labels)
    diagnostics = [d for _, d in found]
    return Result(
        number,
        ranks,
        ess=min(d["ess"] for d in diagnostics),
        length=max(int(d["length"]) for d in diagnostics),
        divergences=sum(int(d["divergences"]) for d in diagnostics),
        steps=float(np.mean([d["steps"] for d in diagnostics])),
        seconds=time.monotonic() - start,
    )


def named_elements(name: str, values: NDArray, labels: Mapping[str, Any]) -> dict[str, int]:
    """Name the elements of a quantity: ``sky.intensity[A01,GB]``; axes without labels use numbers."""
    axes = labels["dims"].get(name, ("band", "region") if name in DERIVED else ("band",)[: np.ndim(values)])
    places = [labels["coords"][axis] for axis in axes]
    if np.shape(values) != tuple(len(p) for p in places):
        places = [range(n) for n in np.shape(values)]
    found = {}
    for index in np.ndindex(np.shape(values)):
        inside = ",".join(str(place[i]) for place, i in zip(places, index, strict=True))
        found[f"{name}[{inside}]" if inside else name] = int(values[index])
    return found
