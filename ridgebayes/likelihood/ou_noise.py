r"""The distribution of the rates of all revolutions with noise that is correlated in time.

The rates of `ridgebayes.likelihood.revolution` get an Ornstein-Uhlenbeck process x in each revolution:

.. math:: y = m + \Phi_\rho c_\rho + x_\rho(t) + \epsilon, \qquad
          \langle x(t)\,x(t')\rangle = s_\rho^2\, e^{-|t-t'|/\tau}

independent between revolutions. Marginally :math:`y \sim N(m, V + \Phi T \Phi^\top)` with :math:`V = D + K`.
The process is Markovian, so a Kalman filter over the ScWs in order of time multiplies residual and basis by
:math:`V^{-1/2}` in O(N). The rest is the J × J system of `ridgebayes.likelihood.revolution`. The gradient
comes from the filter run backwards (the disturbance smoother: Durbin & Koopman 2001, Time Series Analysis by
State Space Methods), which is exact and faster than automatic differentiation of the filter.

The filter handles all revolutions in parallel, one ScW of each at a time, in groups of about the same length.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from numpyro.distributions import constraints

from ridgebayes.likelihood import coefficients
from ridgebayes.likelihood.coefficients import Columns, Matrix, Solved
from ridgebayes.likelihood.revolution import (
    RevolutionNormal,
    log_weights,
    of_terms,
    over_revolutions,
    stacked_moments,
)
from ridgebayes.likelihood.sequence import Group, Sequence, by_cell, by_group

SHORTEST = 1e-9  # shortest memory, days: shorter ones are equivalent to none
_TOGETHER = 8  # steps whose factors are multiplied before taking the logarithm


class CorrelatedNormal(RevolutionNormal):
    """Normal rates with coefficients and Ornstein-Uhlenbeck processes that are integrated out exactly.

    Parameters
    ----------
    loc, noise_variance, coef_sd, basis, block_revolution, filled
        As in `RevolutionNormal`. `noise_variance` is the white part alone: counting noise and independent
        scatter of each ScW. The basis is data and is not differentiated.
    correlated_sd
        Standard deviation s of the process, cts/s, shape (..., revolution); zero switches it off.
    memory
        Its correlation time τ in days, shape (...). If it is far shorter than the gaps between ScWs, the
        process is white and degenerate with the scatter in noise_variance.
    sequence
        Order of the ScWs in time, from `ridgebayes.likelihood.sequence` for the same basis.
    """

    arg_constraints = {  # noqa: RUF012 (NumPyro's own convention)
        **RevolutionNormal.arg_constraints,
        "correlated_sd": constraints.independent(constraints.nonnegative, 1),
        "memory": constraints.nonnegative,
    }
    # NumPyro adds those of the base class.
    pytree_data_fields: tuple[str, ...] = ("correlated_sd", "memory", "sequence")

    def __init__(
        self,
        loc: ArrayLike,
        noise_variance: ArrayLike,
        coef_sd: ArrayLike,
        basis: ArrayLike,
        block_revolution: ArrayLike,
        filled: ArrayLike,
        correlated_sd: ArrayLike,
        memory: ArrayLike,
        sequence: Sequence,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.correlated_sd, self.memory = jnp.asarray(correlated_sd), jnp.asarray(memory)
        self.sequence = jax.tree.map(jnp.asarray, sequence)
        super().__init__(
            loc, noise_variance, coef_sd, basis, block_revolution, filled, validate_args=validate_args
        )
        self._batch_shape = jnp.broadcast_shapes(
            self.batch_shape, self.correlated_sd.shape[:-1], self.memory.shape
        )

    @property
    def variance(self) -> Array:
        """Variance of the rates, revolution terms and correlated noise included, (cts/s)²."""
        return super().variance + (self.correlated_sd**2)[..., self.block_revolution, None]

    @property
    def own_variance(self) -> Array:
        """Variance of the rates about loc and the revolution terms, outliers not counted, (cts/s)²."""
        return self.noise_variance + (self.correlated_sd**2)[..., self.block_revolution, None]

    def log_prob(self, value: ArrayLike) -> Array:
        """Log density of the rates `value`, shape (..., block, width) → (...)."""
        return self._over_bands(_log_prob, "()", value)

    def log_prob_by_revolution(self, value: ArrayLike) -> Array:
        """Log density of the rates of each revolution, (..., block, width) → (..., revolution)."""
        return self._over_bands(partial(_by_revolution, self.block_revolution), "(r)", value)

    def _shared(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draw revolution terms and the process."""
        key_terms, key_process = jax.random.split(key)
        return super()._shared(key_terms, sample_shape) + self._process(key_process, sample_shape)

    def coefficient_posterior(self, value: ArrayLike) -> tuple[Array, Array]:
        """Mean and covariance of the coefficients given rates, the process integrated out.

        Shapes (..., revolution, J) in cts/s and (..., revolution, J, J) in (cts/s)².
        """
        return self._over_bands(_posterior, "(r,n),(r,n,n)", value)

    def _process(self, key: Array, sample_shape: tuple[int, ...]) -> Array:
        """Draw the Ornstein-Uhlenbeck process, (..., block, width)."""
        shape = sample_shape + self.batch_shape
        memory = jnp.maximum(self.memory, SHORTEST)[..., None]

        def step(x: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            gap, shock = now
            rate = gap / memory
            x = jnp.exp(-rate) * x + jnp.sqrt(-jnp.expm1(-2.0 * rate)) * shock
            return x, x

        groups, paths = self.sequence.groups, []
        for key_group, group in zip(jax.random.split(key, len(groups)), groups, strict=True):
            steps, revolutions = group.present.shape
            shocks = jax.random.normal(key_group, (steps, *shape, revolutions))
            # The first gap is zero, so the initial state is that of the first ScW.
            _, path = jax.lax.scan(step, shocks[0], (group.gap, shocks))
            paths.append(jnp.moveaxis(path, 0, -2) * self.correlated_sd[..., None, group.revolution])
        return by_cell(paths, self.sequence)

    def _over_bands(self, function: Any, result: str, value: ArrayLike) -> Any:
        shared = (self.basis, self.filled, self.sequence)
        bound = lambda *arrays: function(*arrays, *shared)  # noqa: E731
        mapped = jnp.vectorize(bound, signature=f"(b,w),(b,w),(j,r),(r),()->{result}")
        memory = jnp.maximum(self.memory, SHORTEST)
        return mapped(value - self.loc, self.noise_variance, self.coef_sd, self.correlated_sd, memory)


class _Filtered(NamedTuple):
    """Results of the filter and of the small system for a group of revolutions."""

    columns: Columns  # residual and basis (step, revolution)
    weight: Array  # inverse white variance, zero after the last ScW (step, revolution)
    decay: Array  # correlation with the previous ScW; zero for the first (step, revolution)
    predicted: Columns  # mean of the process given all previous ScWs, for each column (step, revolution)
    variance: Array  # variance of the process given all previous ScWs (step, revolution)
    unknown: Array  # share of that variance left when the ScW is known, too, 0–1 (step, revolution)
    chi2: Array  # residualᵀ V⁻¹ residual (revolution,), like all below
    gram: Matrix  # Φᵀ V⁻¹ Φ
    projected: Columns  # Φᵀ V⁻¹ residual
    coef_sd: Columns
    solved: Solved


def _filter(
    residual: Array,
    weight: Array,
    coef_sd: Array,
    correlated_sd: Array,
    memory: Array,
    group: Group,
) -> _Filtered:
    """Filter residual and basis of a group of revolutions, and solve the small system of each."""
    columns = [residual, *group.basis]
    first = jnp.arange(group.index.shape[0])[:, None] == 0
    decay = jnp.where(first, 0.0, jnp.exp(-group.gap / memory))
    stationary = correlated_sd[group.revolution] ** 2
    n = len(columns)
    pairs = [(i, j) for i in range(n) for j in range(i + 1)]

    def step(carry: tuple, now: tuple) -> tuple:
        mean, variance, sums = carry
        columns, weight, decay = now
        predicted = [decay * m for m in mean]
        variance = (1.0 - decay**2) * stationary + decay**2 * variance
        unknown = 1.0 / (1.0 + variance * weight)
        gain, inverse = variance * weight * unknown, weight * unknown
        new = [c - p for c, p in zip(columns, predicted, strict=True)]
        mean = [p + gain * v for p, v in zip(predicted, new, strict=True)]
        scaled = [inverse * v for v in new]
        sums = [s + scaled[i] * new[j] for s, (i, j) in zip(sums, pairs, strict=True)]
        return (mean, variance * unknown, sums), (predicted, variance, unknown)

    zero = jnp.zeros_like(stationary)
    start = ([zero] * n, stationary, [zero] * len(pairs))
    scanned: Any = jax.lax.scan(step, start, (columns, weight, decay))
    (_, _, sums), (predicted, variance, unknown) = scanned

    total = {pair: s for pair, s in zip(pairs, sums, strict=True)}
    terms = range(n - 1)
    sd = [coef_sd[j, group.revolution] for j in terms]
    gram = [[total[i + 1, j + 1] for j in range(i + 1)] for i in terms]
    projected = [total[j + 1, 0] for j in terms]
    solved = coefficients.solve(gram, projected, sd)
    every_step = (columns, weight, decay, predicted, variance, unknown)
    return _Filtered(*every_step, total[0, 0], gram, projected, sd, solved)


def _filtered(
    residual: Array, weight: Array, coef_sd: Array, correlated_sd: Array, memory: Array, sequence: Sequence
) -> list[tuple[_Filtered, Group]]:
    """Filter residuals of cells with their weights (block, width), group by group."""
    ordered = zip(by_group(residual, sequence), by_group(weight, sequence), sequence.groups, strict=True)
    return [(_filter(r, w, coef_sd, correlated_sd, memory, group), group) for r, w, group in ordered]


def whitened(
    columns: Array, residual: Array, weight: Array, correlated_sd: Array, memory: Array, group: Group
) -> tuple[Array, Array]:
    """Multiply columns and a residual by V^{-1/2}, V the covariance of the noise, for a group of revolutions.

    Parameters
    ----------
    columns
        Zero after the last ScW, (step, revolution, column); the last column is zero, for the residual.
    residual
        Zero after the last ScW, (step, revolution).
    weight
        Inverse white variance, zero after the last ScW, (step, revolution).
    correlated_sd, memory
        As in `CorrelatedNormal`, (revolution,) of all revolutions and ().
    group
        The revolutions.

    Returns
    -------
    columns
        The innovations over their sd, (revolution, step, column).
    log_det
        log det V without that of the white part, ().
    """
    steps, revolutions, n = columns.shape
    first = jnp.arange(steps)[:, None] == 0
    decay = jnp.where(first, 0.0, jnp.exp(-group.gap / memory))
    stationary = correlated_sd[group.revolution] ** 2
    # Copying all columns takes as long as the filter. So each step adds the residual itself, and stores its
    # result in the order in which products are computed.
    last = jnp.zeros(n).at[-1].set(1.0)

    def step(carry: tuple, now: tuple) -> tuple:
        mean, variance, white = carry
        at, column, residual, weight, decay = now
        predicted = decay[:, None] * mean
        variance = (1.0 - decay**2) * stationary + decay**2 * variance
        unknown = 1.0 / (1.0 + variance * weight)
        new = column + residual[:, None] * last - predicted
        # The square root has no derivative at zero, so it is skipped where there is no ScW.
        counts = weight > 0
        inverse_sd = jnp.where(counts, jnp.sqrt(jnp.where(counts, weight, 1.0) * unknown), 0.0)
        white = jax.lax.dynamic_update_index_in_dim(white, inverse_sd[:, None] * new, at, 1)
        mean = predicted + (variance * weight * unknown)[:, None] * new
        return (mean, variance * unknown, white), unknown

    start = (jnp.zeros((revolutions, n)), stationary, jnp.zeros((revolutions, steps, n)))
    given = (jnp.arange(steps), columns, residual, weight, decay)
    scanned: Any = jax.lax.scan(step, start, given)
    (_, _, white), unknown = scanned
    return white, -jnp.log(unknown).sum()


def _value(f: _Filtered) -> Array:
    """Log density of each revolution of a group, without the normalisation of the white noise."""
    whole = f.unknown.shape[0] // _TOGETHER * _TOGETHER
    together = f.unknown[:whole].reshape(-1, _TOGETHER, f.unknown.shape[1]).prod(1)
    log_det = -jnp.log(together).sum(0) - jnp.log(f.unknown[whole:].prod(0))
    return of_terms(f.solved) - 0.5 * (f.chi2 + log_det)


def _white(weight: Array, mask: Array) -> Array:
    """Normalisation of the white noise of each block."""
    return 0.5 * (log_weights(weight, mask) - mask.sum(1) * jnp.log(2.0 * jnp.pi))


def _by_revolution(block_revolution, residual, variance, coef_sd, correlated_sd, memory, _, mask, sequence):
    weight = mask / variance
    value = over_revolutions(_white(weight, mask), block_revolution, coef_sd.shape[1])
    for f, group in _filtered(residual, weight, coef_sd, correlated_sd, memory, sequence):
        value = value.at[group.revolution].add(_value(f))
    return value


@jax.custom_jvp
def _log_prob(residual, variance, coef_sd, correlated_sd, memory, basis, mask, sequence):
    weight = mask / variance
    filtered = _filtered(residual, weight, coef_sd, correlated_sd, memory, sequence)
    return _white(weight, mask).sum() + sum(_value(f).sum() for f, _ in filtered)


class _Slopes(NamedTuple):
    """Derivatives of the log density of a group."""

    residual: Array  # (step, revolution)
    variance: Array  # of the white noise (step, revolution)
    coef_sd: Columns  # (revolution,)
    process: Array  # of the variance of the process (revolution,)
    memory: Array  # scalar


def _slopes(f: _Filtered, correlated_sd: Array, memory: Array, group: Group) -> _Slopes:
    """Run the filter backwards.

    With c and S the posterior mean and covariance of the coefficients and B = V⁻¹ (e eᵀ + Φ S Φᵀ) V⁻¹ − V⁻¹,
    e = residual − Φ c, the log density changes by tr(B dV) / 2. With a root of S, its term becomes J columns
    like e. The smoother computes λ = V⁻¹ column for each of them; `information` stands for V⁻¹ itself.
    """
    terms = range(len(f.coef_sd))
    mean, _ = coefficients.moments(f.solved, f.coef_sd)
    # e and Φ root as combinations of [residual, Φ]: (column, factor); root is upper triangular.
    mixture: list[list[tuple[int, Array | float]]] = [[(0, 1.0), *((j + 1, -mean[j]) for j in terms)]]
    mixture += [[(i + 1, f.coef_sd[i] * f.solved.inverse[j][i]) for i in range(j + 1)] for j in terms]
    mix = lambda columns: [sum(by * columns[i] for i, by in parts) for parts in mixture]  # noqa: E731

    def step(carry: tuple, now: tuple) -> tuple:
        # Derivative with respect to the filtered mean, and its variance.
        pull, information, process, memory = carry
        columns, predicted, variance, unknown, weight, decay, gap = now
        expected = mix(predicted)
        gain, inverse = variance * weight * unknown, weight * unknown
        new = [c - p for c, p in zip(mix(columns), expected, strict=True)]
        solved = [inverse * v - gain * p for v, p in zip(new, pull, strict=True)]
        # With respect to the predicted mean.
        before = [x + p for x, p in zip(solved, pull, strict=True)]
        diagonal = inverse + gain**2 * information
        information = inverse + unknown**2 * information
        # With respect to the predicted variance.
        slope = 0.5 * (sum(x**2 for x in before) - information)
        process += slope * (1.0 - decay**2)
        by_decay = 2.0 * slope * (variance - stationary)
        by_decay += sum(x * m for x, m in zip(before, expected, strict=True))
        carry = [decay * x for x in before], decay**2 * information, process, memory + by_decay * gap
        return carry, (-solved[0], 0.5 * (sum(x**2 for x in solved) - diagonal))

    stationary = correlated_sd**2
    zero = jnp.zeros_like(stationary)
    xs = (f.columns, f.predicted, f.variance, f.unknown, f.weight, f.decay, group.gap)
    scanned: Any = jax.lax.scan(step, ([zero] * len(mixture), zero, zero, zero), xs, reverse=True)
    (*_, process, memory_slope), (residual, variance) = scanned

    coef_sd = coefficients.slope_of_sd(f.solved, f.gram, f.projected, f.coef_sd)
    return _Slopes(residual, variance, coef_sd, process, memory_slope.sum() / memory / memory)


def _log_prob_jvp(primals, tangents):
    """Differentiate in closed form, with the filter run backwards."""
    residual, variance, coef_sd, correlated_sd, memory, _, mask, sequence = primals
    if not isinstance(tangents[5], SymbolicZero):
        raise NotImplementedError("CorrelatedNormal: the basis is data and cannot be differentiated")
    d_residual, d_variance, d_coef_sd, d_correlated_sd, d_memory = (
        jnp.zeros(t.shape, t.dtype) if isinstance(t, SymbolicZero) else t for t in tangents[:5]
    )
    weight = mask / variance
    value, tangent = _white(weight, mask).sum(), jnp.zeros(())
    by_scw: list[tuple[Array, Array]] = []
    for f, group in _filtered(residual, weight, coef_sd, correlated_sd, memory, sequence):
        sd = correlated_sd[group.revolution]
        slopes = _slopes(f, sd, memory, group)
        value += _value(f).sum()
        tangent += (2.0 * sd * slopes.process * d_correlated_sd[group.revolution]).sum()
        tangent += slopes.memory * d_memory
        for j, slope in enumerate(slopes.coef_sd):
            tangent += (slope * d_coef_sd[j, group.revolution]).sum()
        by_scw.append((slopes.residual, slopes.variance))
    g_residual, g_variance = (by_cell(parts, sequence) for parts in zip(*by_scw, strict=True))
    return value, tangent + (g_residual * d_residual).sum() + (g_variance * d_variance).sum()


_log_prob.defjvp(_log_prob_jvp, symbolic_zeros=True)


def _posterior(residual, variance, coef_sd, correlated_sd, memory, basis, mask, sequence):
    n_terms, n_revolutions = coef_sd.shape
    mean = jnp.zeros((n_revolutions, n_terms))
    covariance = jnp.zeros((n_revolutions, n_terms, n_terms))
    for f, group in _filtered(residual, mask / variance, coef_sd, correlated_sd, memory, sequence):
        mean_here, covariance_here = stacked_moments(f.solved, f.coef_sd)
        mean = mean.at[group.revolution].set(mean_here)
        covariance = covariance.at[group.revolution].set(covariance_here)
    return mean, covariance
