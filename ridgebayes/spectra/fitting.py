r"""Fit of a spectral model to a spectrum in bands with a covariance, by NUTS.

.. math::

    y \sim N(\textstyle\sum_c \mathrm{fold}_k\, f_c(E; θ),\; C), \qquad
    \mathrm{fold}_k f = \int_k f(E)\,dE \,/\, \int_k F_{mCrab}(E)\,dE

or with energy redistribution (`ridgebayes.instrument.redistribution`). y and C are mean and covariance of a
posterior in mCrab. They include its prior, which must be wide compared with the posterior, as that of
intensities of observed regions is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr
from numpyro.infer import MCMC, NUTS, init_to_median
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from ridgebayes.errors import InputError
from ridgebayes.inference.diagnostics import Diagnosis, diagnose
from ridgebayes.inference.mixing import JUDGED, mixed
from ridgebayes.instrument.crab_spectrum import ERG_PER_KEV, CrabSpectrum
from ridgebayes.instrument.redistribution import Redistribution
from ridgebayes.model.folding import CRAB_SPECTRUM, crab_change
from ridgebayes.priors import Parameter, Parameters, Shared, describe
from ridgebayes.spectra.components import Component, photons
from ridgebayes.spectra.folding import fold, integral_nodes
from ridgebayes.typing import Floats

CHAINS, WARMUP, TARGET_ACCEPT = 4, 400, 0.9
SHARE_BAND = (30.0, 80.0)
"""Default band for the shares of components, keV."""
PRIOR_ONLY, WEAK = 0.9, 0.7
"""Posterior over prior sd above which a parameter counts as prior only, and as weakly constrained."""

_PRIOR_DRAWS = 20_000
_TREE_DEPTH = 10
_FIELDS = "diverging", "energy", "num_steps"
_TIMES = 1, 2, 4, 8  # successive factors by which chains that have not converged are lengthened
_Chains = dict[str, Floats]
"""Name → (chain, draw)."""


@dataclass(frozen=True, eq=False)
class SpectralFit:
    """Posterior of a spectral model.

    Attributes
    ----------
    model, parameters
        Components, and the parameters with the priors that were used.
    edges
        (2, K) edges of the bands, keV.
    mean, covariance
        Fitted spectrum, (K,), and its covariance, (K, K), mCrab or mCrab/deg².
    crab
        What the Crab is assumed to be.
    draws
        (S,) draws of each parameter, chain after chain; constant for fixed parameters.
    per_mcrab
        Unit of the amplitudes over that of the data: 1 for a FOV flux, deg² in a sr for an intensity.
    diagnosis
        Diagnosis of the sampler.
    redistribution
        Energy redistribution of the detector; None if neglected.
    revolutions
        Number of revolutions whose scatter gave the covariance; 0 if the covariance counts as known.
    """

    model: tuple[Component, ...]
    parameters: dict[str, Parameter]
    edges: Floats
    mean: Floats
    covariance: Floats
    crab: CrabSpectrum
    draws: dict[str, Floats]
    per_mcrab: float
    diagnosis: Diagnosis
    redistribution: Redistribution | None = None
    revolutions: int = 0

    @cached_property
    def folded(self) -> Floats:
        """(component, S, K) contribution of each component to the bands, mCrab or mCrab/deg²."""
        energy, weight = fold(self.edges, self.crab, self.per_mcrab, self.redistribution)
        over = self.crab_change
        if len(energy) < len(weight):  # the energies are common to all bands
            return np.stack([self.photons(c, energy[0]) @ weight.T for c in self.model]) / over
        return np.stack([(self.photons(c, energy) * weight).sum(-1) for c in self.model]) / over

    @cached_property
    def crab_change(self) -> Floats:
        """(S, K) ratio of the Crab in the bands to its assumed spectrum."""
        energy, weight = fold(self.edges, self.crab, redistribution=self.redistribution)
        weight = weight * self.crab.photons(energy) / 1e3
        return np.asarray(
            jax.vmap(lambda norm, tilt: crab_change(norm, tilt, energy, weight))(
                *(jnp.asarray(self.draws[name]) for name in CRAB_SPECTRUM)
            )
        )

    def photons(self, component: Component, energy: Floats) -> Floats:
        """Photon spectrum of a component at energies (…) in keV, (S, …)."""
        column = {name: x.reshape(-1, *[1] * energy.ndim) for name, x in self.draws.items()}
        values = {name: jnp.asarray(x) for name, x in column.items()}
        return np.asarray(photons(component, values, jnp.asarray(energy)))

    def energy_flux(self, component: Component, low: float, high: float) -> Floats:
        """(S,) energy flux of a component in a band, erg/cm²/s, per sr for an intensity."""
        energy, width = integral_nodes(np.array([[low], [high]]))
        return ERG_PER_KEV * (self.photons(component, energy) * energy * width).sum((-2, -1))

    def share(self, component: Component, low: float, high: float) -> Floats:
        """(S,) share of a component in the energy flux of a band."""
        return self.energy_flux(component, low, high) / sum(
            self.energy_flux(c, low, high) for c in self.model
        )

    def crossing(self) -> Floats:
        """(S,) energy at which E² dN/dE of the first of two components falls below the second's, keV.

        The highest one within the bands; NaN for draws without a crossing.
        """
        energy = np.geomspace(self.edges.min(), self.edges.max(), 400)
        first, second = (self.photons(c, energy) for c in self.model)
        # Components of a joint model may have either sign. Near the crossing this is half their log ratio.
        above = (first - second) / np.maximum(np.abs(first) + np.abs(second), 1e-300)
        falls = (above[:, :-1] > 0) & (above[:, 1:] <= 0)
        k = falls.shape[1] - 1 - falls[:, ::-1].argmax(1)
        rows = np.arange(len(above))
        high, low = above[rows, k], above[rows, k + 1]
        found = falls.any(1)
        step = np.where(found, high, 0.0) / np.where(found, high - low, 1.0)
        at = np.log(energy[k]) + step * np.log(energy[k + 1] / energy[k])
        return np.where(found, np.exp(at), np.nan)

    @cached_property
    def chi_square(self) -> Floats:
        """(S,) χ² of the data for each draw."""
        root = np.linalg.cholesky(self.covariance)
        pulls = np.linalg.solve(root, (self.mean - self.folded.sum(0)).T)
        return (pulls**2).sum(0)

    @property
    def p_value(self) -> float:
        """Posterior predictive p-value of χ².

        This is the share of replicated spectra with larger χ² than the data. The distribution of χ² of a
        replicate given the parameters is known, so none is drawn. Values near 0 mean that the model does not
        fit. Values near 1 are normal, because the parameters were fitted to the same data.
        """
        bands = len(self.mean)
        if not self.revolutions:
            return float(chi2.sf(self.chi_square, bands).mean())
        degrees, width = _student(self.revolutions, bands)
        return float(f_distribution.sf(self.chi_square / width**2 / bands, bands, degrees).mean())

    @cached_property
    def prior_sd(self) -> dict[str, float]:
        """Sd of the prior of each parameter; 0 where it is fixed."""
        return {name: float(draws.std()) for name, draws in self.prior_draws.items()}

    @cached_property
    def prior_draws(self) -> dict[str, Floats]:
        """Draws of each prior."""
        key = jax.random.key(0)
        return {
            name: np.full(1, _value(p)) if p.fixed else np.asarray(_prior(p).sample(key, (_PRIOR_DRAWS,)))
            for name, p in self.parameters.items()
        }

    def constraint(self, name: str) -> str:
        """Describe in words how well the data constrain a parameter."""
        if self.parameters[name].fixed:
            return "fixed"
        ratio = self.draws[name].std(ddof=1) / self.prior_sd[name]
        if ratio > PRIOR_ONLY:
            return f"prior only: sd {ratio:.2f} of the prior's"
        return f"weakly constrained: sd {ratio:.2f} of the prior's" if ratio > WEAK else ""


def fit(
    model: tuple[Component, ...],
    parameters: Mapping[str, Parameter],
    edges: Floats,
    mean: Floats,
    covariance: Floats,
    crab: CrabSpectrum,
    *,
    per_mcrab: float = 1.0,
    redistribution: Redistribution | None = None,
    revolutions: int = 0,
    draws: int = 1000,
    seed: int = 0,
) -> SpectralFit:
    """Sample the posterior of a spectral model.

    Parameters
    ----------
    model, parameters
        Components, and their parameters with priors.
    edges
        (2, K) edges of the bands, keV.
    mean, covariance
        (K,) and (K, K) of the spectrum, mCrab or mCrab/deg².
    crab
        What the Crab is assumed to be.
    per_mcrab
        Unit of the amplitudes over that of the data: 1 for a FOV flux, deg² in a sr for an intensity.
    redistribution
        Energy redistribution of the detector; by default none.
    revolutions
        Number of revolutions whose scatter gave the covariance, which is then not known exactly; 0 if it is.
    draws, seed
        Draws of each of the four chains after warm-up, and seed of all random draws. Chains that have not
        converged are extended up to eight times and thinned to the same number of draws.

    Raises
    ------
    InputError
        If the covariance is not positive definite, for example with fewer draws than bands, or the model has
        no free parameter.
    """
    root = _root(covariance)
    parameters = {**parameters, **CRAB_SPECTRUM, **parameters}
    _check(parameters)
    kernel = NUTS(
        _model(model, parameters, crab, revolutions, *fold(edges, crab, per_mcrab, redistribution)),
        target_accept_prob=TARGET_ACCEPT,
        dense_mass=True,
        init_strategy=init_to_median,
        max_tree_depth=_TREE_DEPTH,
    )
    mcmc = MCMC(
        kernel,
        num_warmup=WARMUP,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    samples, statistics = _until_converged(mcmc, jax.random.key(seed), *map(jnp.asarray, (mean, root)))
    found = {
        name: samples[name].ravel() if name in samples else np.full(CHAINS * draws, _value(p))
        for name, p in parameters.items()
    }
    diagnosis = _diagnosed({name: x for name, x in samples.items() if name in parameters}, statistics)
    return SpectralFit(
        model,
        parameters,
        edges,
        mean,
        covariance,
        crab,
        found,
        per_mcrab,
        diagnosis,
        redistribution,
        revolutions,
    )


def _until_converged(mcmc: MCMC, key: jax.Array, *data: jax.Array) -> tuple[_Chains, _Chains]:
    """Extend chains until they have converged, at most to the largest of the factors `_TIMES`.

    Returns
    -------
    dict, dict
        Draws and statistics of NUTS, name → (chain, draw). For chains n times as long every nth draw.
    """
    found: list[tuple[_Chains, _Chains]] = []
    for times in _TIMES:
        while len(found) < times:
            if found:
                mcmc.post_warmup_state = mcmc.last_state
            mcmc.run(jax.random.fold_in(key, len(found)), *data, extra_fields=_FIELDS)
            found.append((mcmc.get_samples(group_by_chain=True), mcmc.get_extra_fields(group_by_chain=True)))
        samples, statistics = (_joined([run[k] for run in found]) for k in (0, 1))
        kept = {name: x[:, times - 1 :: times] for name, x in samples.items()}
        few = CHAINS * mcmc.num_samples < JUDGED
        if few or mixed(np.concatenate([x.reshape(*x.shape[:2], -1) for x in kept.values()], axis=-1)):
            break
    # A kept draw also tells of what was wrong with those before it that are left out.
    starts = np.arange(0, times * mcmc.num_samples, times)
    told = {
        name: np.maximum.reduceat(x, starts, axis=1) for name, x in statistics.items() if name != "energy"
    }
    return kept, {"energy": statistics["energy"][:, times - 1 :: times], **told}


def _joined(runs: Sequence[_Chains]) -> _Chains:
    """Join successive runs of the same chains."""
    return {name: np.concatenate([run[name] for run in runs], axis=1) for name in runs[0]}


def _root(covariance: Floats) -> Floats:
    """Lower Cholesky factor of a covariance that must be positive definite."""
    try:
        root = np.linalg.cholesky(np.asarray(covariance, float))
    except np.linalg.LinAlgError:
        root = np.full(np.shape(covariance), np.nan)
    if not np.isfinite(root).all():
        raise InputError(
            f"the covariance of the {len(root)} bands is not positive definite: fit fewer bands, or draw more"
        )
    return root


def _check(parameters: Mapping[str, Parameter]) -> None:
    """Raise for priors with several elements, and for models without free parameters."""
    for name, parameter in parameters.items():
        if np.shape(np.asarray(parameter.prior)) if parameter.fixed else _prior(parameter).shape():
            raise InputError(f"prior '{name}' = {describe(parameter.prior)}: give one for a single number")
    if not any(not p.fixed for name, p in parameters.items() if name not in CRAB_SPECTRUM):
        raise InputError("every parameter is fixed: leave a prior to one of them")


def _diagnosed(samples: Mapping[str, Floats], fields: Mapping[str, Any]) -> Diagnosis:
    """Diagnose chains from their draws and the statistics of NUTS."""
    statistics = {name: np.asarray(x) for name, x in fields.items()}
    statistics["reached_max_treedepth"] = statistics.pop("num_steps") >= 2**_TREE_DEPTH - 1
    axes = ("chain", "draw")
    return diagnose(
        xr.DataTree.from_dict(
            {
                "posterior": xr.Dataset({name: (axes, x) for name, x in samples.items()}),
                "sample_stats": xr.Dataset({name: (axes, x) for name, x in statistics.items()}),
            }
        )
    )


def _prior(parameter: Parameter) -> Any:
    """Distribution of a free parameter."""
    return parameter.prior.prior if isinstance(parameter.prior, Shared) else parameter.prior


def _value(parameter: Parameter) -> float:
    """Value of a fixed parameter."""
    return float(np.asarray(parameter.prior))


def _model(
    model: tuple[Component, ...],
    parameters: Mapping[str, Parameter],
    crab: CrabSpectrum,
    revolutions: int,
    energy: Floats,
    weight: Floats,
) -> Callable[..., None]:
    of_crab = weight * crab.photons(energy)
    of_crab = of_crab / of_crab.sum(-1, keepdims=True)
    folded = {c.shape_name: c.folded(energy, weight) for c in model}

    def spectrum(mean: jax.Array, root: jax.Array) -> None:
        shapes = Parameters({name: p for name, p in parameters.items() if name in folded}, {})
        unit = jnp.stack([at(shapes(name)) for name, at in folded.items()])
        p = Parameters(parameters, {})
        unit = unit / crab_change(p("crab_spectrum.norm"), p("crab_spectrum.tilt"), energy, of_crab)
        if any(parameters[c.amplitude_name].fixed for c in model):
            amplitude = jnp.stack([p(c.amplitude_name) for c in model])
        else:
            amplitude = _amplitudes(model, parameters, unit, mean, root)
        expected = (amplitude[:, None] * unit).sum(0)
        # Whitened by the covariance: the same as the multivariate distribution, but it compiles faster.
        pull = jax.scipy.linalg.solve_triangular(root, mean - expected, lower=True)
        white = dist.Normal(0.0, 1.0).expand(mean.shape).to_event(1)
        if revolutions:
            degrees, width = _student(revolutions, mean.size)
            white = dist.MultivariateStudentT(degrees, jnp.zeros(mean.size), width * jnp.eye(mean.size))
        numpyro.sample("spectrum", white, obs=pull)

    return spectrum


def _student(revolutions: int, bands: int) -> tuple[int, float]:
    """Degrees of freedom and width of the Student t that replaces a normal distribution.

    It allows for a covariance estimated from so many revolutions (Sellentin & Heavens 2016, MNRAS 456, L132):
    the density is (1 + χ² / (R - 1))^{-R/2}.
    """
    degrees = revolutions - bands
    return degrees, np.sqrt((revolutions - 1) / degrees)


def _amplitudes(
    model: tuple[Component, ...],
    parameters: Mapping[str, Parameter],
    unit: jax.Array,
    mean: jax.Array,
    root: jax.Array,
) -> jax.Array:
    """Sample the amplitudes through their sum in the best known band and their shares of it, (component,).

    The data determine the sum to a per cent, but not single amplitudes. In these coordinates the posterior is
    nearly isotropic. Priors are those of the amplitudes; a factor includes the Jacobian.
    """
    sd = jnp.linalg.norm(root, axis=1)
    best = jnp.argmax(mean / sd)
    level, step = jnp.maximum(mean[best], sd[best]), sd[best] / jnp.maximum(mean[best], sd[best])
    # Masked: the priors of the amplitudes below give the density.
    total = level * jnp.exp(step * numpyro.sample("_total", dist.Normal(0.0, 1.0).mask(False)))
    share = jnp.ones(1)
    if len(model) == 2:  # equivalent to a Dirichlet distribution, but compiles faster
        first = numpyro.sample("_share", dist.Uniform(0.0, 1.0))
        share = jnp.stack([first, 1 - first])
    elif len(model) > 2:
        share = numpyro.sample("_share", dist.Dirichlet(jnp.ones(len(model))))
    amplitude = total * share / unit[:, best]
    priors = sum(
        _prior(parameters[c.amplitude_name]).log_prob(a) for c, a in zip(model, amplitude, strict=True)
    )
    change = len(model) * jnp.log(total) - jnp.log(unit[:, best]).sum()
    numpyro.factor("amplitudes", priors + change)
    for component, value in zip(model, amplitude, strict=True):
        numpyro.deterministic(component.amplitude_name, value)
    return amplitude
