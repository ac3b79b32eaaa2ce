"""Rates as sums of terms: each a coefficient for every revolution times fixed columns."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
from jax import Array

from ridgebayes.likelihood.correlated_outliers import CorrelatedOutlierNormal
from ridgebayes.likelihood.ou_noise import CorrelatedNormal
from ridgebayes.likelihood.outliers import OutlierNormal, log_mixture, log_odds, log_prior_odds
from ridgebayes.likelihood.revolution import RevolutionNormal


class Term(NamedTuple):
    """A term of a rate: c x, or Σ_s c t[place_s] x_s for several columns.

    Attributes
    ----------
    coefficient
        c of each revolution, (band, revolution).
    column
        x, (block, width); None if it is 1 everywhere. Several columns are (column, block, width), or (band,
        column, block, width) if bands differ.
    table
        t, (band, place), for several columns.
    place
        Element of the table for each column in each block, (column, block).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ridgebayes.likelihood.linear_terms import Term
    >>> level = Term(jnp.ones((2, 5)))  # the same in each ScW of a revolution
    >>> level.by_band, level.column
    (False, None)
    """

    coefficient: Array
    column: Array | None = None
    table: Array | None = None
    place: Array | None = None

    @property
    def by_band(self) -> bool:
        """Tell whether columns differ between bands."""
        return self.column is not None and self.column.ndim == 4


Terms = list[Term]


def total(terms: Sequence[Term], block_revolution: Array, cells: tuple[int, ...]) -> Array:
    """Sum terms in all cells: (band, block, width)."""
    by_block: list[Array] = []
    columns: list[Array] = []
    for term in terms:
        coefficient, column, table, place = term
        here = coefficient[:, block_revolution]
        if column is None:
            by_block, columns = [*by_block, here], [*columns, jnp.ones(cells)]
        elif table is None:
            by_block, columns = [*by_block, here], [*columns, column]
        else:
            assert place is not None
            by_block += [here * table[:, at] for at in place]
            columns += list(column.swapaxes(0, 1) if term.by_band else column)
    return reduce(operator.add, [c[:, :, None] * x for c, x in zip(by_block, columns, strict=True)])


def squares(terms: Sequence[Term]) -> Terms:
    """Square each of these terms of one column: variances of independent scatters."""
    return [Term(t.coefficient**2, None if t.column is None else t.column**2) for t in terms]


class OfTerms(RevolutionNormal):
    """Distribution of rates whose mean is a sum of terms, with scatter in independent terms.

    It keeps the terms, from which `ridgebayes.inference.marginal` integrates out the linear parameters.
    """

    pytree_data_fields: tuple[str, ...] = ("mean_terms", "scatter_terms", "counting_variance")

    def __init__(
        self,
        mean: Sequence[Term],
        counting_variance: Array,
        scatter: Sequence[Term],
        coef_sd: Array,
        basis: Array,
        block_revolution: Array,
        filled: Array,
        *process: Any,
        validate_args: bool | None = None,
    ) -> None:
        self.mean_terms, self.scatter_terms = tuple(mean), tuple(scatter)
        self.counting_variance = counting_variance
        loc = total(mean, block_revolution, filled.shape)
        variance = counting_variance + total(squares(scatter), block_revolution, filled.shape)
        shared = (coef_sd, basis, block_revolution, filled)
        super().__init__(loc, variance, *shared, *process, validate_args=validate_args)


class TermsNormal(OfTerms):
    """`RevolutionNormal` of rates that are sums of terms.

    Parameters
    ----------
    mean
        Terms of the mean rates, cts/s.
    counting_variance
        Variance of the counting noise, (cts/s)², (band, block, width).
    scatter
        Standard deviations of independent scatters beyond counting, cts/s, each a term of one column.
    coef_sd, basis, block_revolution, filled
        As in `RevolutionNormal`.
    """


class Indicated(OfTerms):
    """Rates with known indicators of outliers."""

    pytree_data_fields: tuple[str, ...] = ("hit", "fraction", "size", "usual_variance")

    def __init__(self, *given: Any, validate_args: bool | None = None) -> None:
        *terms, self.hit, self.fraction, self.size = given
        super().__init__(*terms, validate_args=validate_args)
        self.usual_variance = self.noise_variance
        self.noise_variance = self._variance(self.hit)

    @property
    def log_prior_odds(self) -> Array:
        """Log odds that a ScW is an outlier, before its rate is known, (band,)."""
        return log_prior_odds(self.fraction)

    def with_hits(self, hit: Array) -> Self:
        """Return the distribution for other indicators, (band, block, width)."""
        new = self.with_variance(self._variance(hit))
        new.hit = hit
        return new

    def with_variance(self, variance: Array) -> Self:
        """Return the distribution with another variance of the white noise, (band, block, width)."""
        new = copy.copy(self)
        new.noise_variance = variance
        return new

    def _variance(self, hit: Array) -> Array:
        return self.usual_variance * jnp.where(hit, self.size[:, None, None] ** 2, 1.0)

    def log_prob_of_hits(self) -> Array:
        """Log probability of the indicators, ()."""
        fraction = jnp.clip(self.fraction, 1e-300, 1.0 - 1e-15)[:, None, None]
        each = jnp.where(self.hit, jnp.log(fraction), jnp.log1p(-fraction))
        return jnp.where(self.filled, each, 0.0).sum()

    def log_prob_of_white_noise(self, left: Array) -> Array:
        """Log density of white noise (band, block, width), summed over indicators, up to a constant, ()."""
        usual = -0.5 * (left**2 / self.usual_variance + jnp.log(self.usual_variance))
        # Empty cells are finite here. A product is faster than `where`.
        return (self.filled * (usual + log_mixture(self.log_odds(left), self.fraction[:, None, None]))).sum()

    def log_odds(self, left: Array) -> Array:
        """Log odds that a ScW is an outlier, given its white noise."""
        return log_odds(left, self.usual_variance, self.fraction[:, None, None], self.size[:, None, None])


class IndicatedTermsNormal(Indicated, TermsNormal):
    """`TermsNormal` with known indicators of outliers.

    Parameters
    ----------
    mean, counting_variance, scatter, coef_sd, basis, block_revolution, filled
        As in `TermsNormal`.
    hit
        True where a ScW is an outlier, (band, block, width).
    fraction, size
        As in `OutlierNormal`, (band,).
    """


class CorrelatedTermsNormal(OfTerms, CorrelatedNormal):
    """`CorrelatedNormal` of rates that are sums of terms.

    Parameters
    ----------
    mean, counting_variance, scatter, coef_sd, basis, block_revolution, filled
        As in `TermsNormal`.
    correlated_sd, memory, sequence
        As in `CorrelatedNormal`, (band, revolution) and (band,).
    """


class IndicatedCorrelatedTermsNormal(Indicated, CorrelatedTermsNormal):
    """`CorrelatedTermsNormal` with known indicators of outliers.

    Parameters
    ----------
    mean, counting_variance, scatter, coef_sd, basis, block_revolution, filled
        As in `TermsNormal`.
    correlated_sd, memory, sequence
        As in `CorrelatedNormal`.
    hit, fraction, size
        As in `IndicatedTermsNormal`.
    """


class CorrelatedOutlierTermsNormal(OfTerms, CorrelatedOutlierNormal):
    """`CorrelatedOutlierNormal` of rates that are sums of terms.

    Parameters
    ----------
    mean, counting_variance, scatter, coef_sd, basis, block_revolution, filled
        As in `TermsNormal`.
    correlated_sd, memory, sequence, fraction, size
        As in `CorrelatedOutlierNormal`.
    """


class OutlierTermsNormal(OfTerms, OutlierNormal):
    """`OutlierNormal` of rates that are sums of terms.

    Parameters
    ----------
    mean, counting_variance, scatter, coef_sd, basis, block_revolution, filled
        As in `TermsNormal`.
    fraction, size
        As in `OutlierNormal`, (band,).
    """
