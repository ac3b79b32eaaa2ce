r"""Polynomials that stand for the density of the nonlinear parameters, where a mission is long.

One density of a long mission takes tens of milliseconds, and chains need thousands. But a long mission has a
narrow posterior, on which precision, gradient and log density are smooth functions of the few nonlinear
parameters. Polynomials are fitted to each of these numbers at some hundred nodes about the mode, and chains
use them: cubic ones, with fourth and fifth powers of single coordinates. Far from the nodes the density is
computed exactly. `error` compares the two at draws of the posterior; the sampler uses the polynomials only if
they agree.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import combinations_with_replacement
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import softmax

from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.tuning import EMULATOR

logger = logging.getLogger(__name__)

Conditionals = Callable[[NDArray], Any]
"""Gaussians of the linear parameters for nonlinear vectors (n, nonlinear), as `Marginal.conditionals`."""


class Emulator(NamedTuple):
    """Polynomials for the Gaussian of the linear parameters and the density of the nonlinear ones.

    Attributes
    ----------
    frame
        Proposal whose whitened coordinates, in which no parameter is skewed, are the variables.
    reference
        Values of the linear parameters at which gradients are taken, (linear,).
    coefficients
        Coefficients of the polynomials, (monomial, number): of the lower triangle of the precision, the
        gradient, and the log density without what the linear parameters add.
    """

    frame: Proposal
    reference: NDArray
    coefficients: NDArray

    def covers(self, thetas: NDArray) -> NDArray[np.bool_]:
        """Tell which vectors (n, nonlinear) are near enough to the nodes, (n,)."""
        white = self.frame.white(self.frame.even(thetas))
        size = white.shape[1]
        radius = EMULATOR.width * np.sqrt(size + 2.0 * np.sqrt(2.0 * size))  # nodes farther out are few
        return (np.linalg.norm(white, axis=1) <= radius) & (np.abs(white).max(1) <= EMULATOR.farthest)

    def conditionals(self, thetas: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Compute the fields of `Conditional` for vectors (n, nonlinear).

        The log density is minus infinity where the polynomials' precision is not positive definite.
        """
        n, size = len(thetas), self.reference.size
        numbers = _monomials(self.frame.white(self.frame.even(thetas))) @ self.coefficients
        density, mean, factor = np.full(n, -np.inf), np.zeros((n, size)), np.tile(np.eye(size), (n, 1, 1))
        below = np.tril_indices(size)
        for k, row in enumerate(numbers):
            precision = np.zeros((size, size))
            precision[below] = row[: below[0].size]
            try:
                factor[k] = np.linalg.cholesky(precision)
            except np.linalg.LinAlgError:
                continue
            half = solve_triangular(factor[k], row[below[0].size : -1], lower=True, check_finite=False)
            mean[k] = self.reference + solve_triangular(
                factor[k], half, trans="T", lower=True, check_finite=False
            )
            density[k] = row[-1] + _integral(factor[k], half)
        return density, mean, factor


def fitted(
    exact: Conditionals, frame: Proposal, reference: NDArray, rng: np.random.Generator
) -> Emulator | None:
    """Fit polynomials at nodes drawn about the mode.

    Parameters
    ----------
    exact
        The exact Gaussians and densities.
    frame
        First proposal, which gives the coordinates.
    reference
        Linear parameters near their mean at the mode, (linear,).
    rng
        Random numbers.

    Returns
    -------
    Emulator or None
        None if a quadratic form, which needs fewer nodes, fits the density so poorly that no polynomial would
        serve, or if the density is zero at a node.
    """
    size, below = frame.mean.size, np.tril_indices(reference.size)
    least = comb(size + 3, 3) + 2 * size
    white = EMULATOR.width * rng.normal(size=(int(EMULATOR.nodes_per_monomial * least), size))

    def numbers(white: NDArray) -> NDArray:
        found = exact(frame.skewed(frame.mean + white @ frame.root.T))
        half = np.einsum("nij,ni->nj", found.factor, found.mean - reference)
        gradient = np.einsum("nij,nj->ni", found.factor, half)
        precision = found.factor @ found.factor.swapaxes(1, 2)
        density = found.log_density - [_integral(*each) for each in zip(found.factor, half, strict=True)]
        return np.column_stack([precision[:, below[0], below[1]], gradient, density])

    first = int(EMULATOR.nodes_per_monomial * comb(size + 2, 2))
    rows = numbers(white[:first])
    quadratic = _products(white[:first], 2)
    density = rows[:, -1]
    if not np.isfinite(density).all():
        return None
    left = density - quadratic @ np.linalg.lstsq(quadratic, density)[0]
    rms = float(np.sqrt((left**2).sum() / (first - quadratic.shape[1])))
    logger.debug("quadratic form of %d nodes: rms residual %.2f", first, rms)
    if rms > EMULATOR.max_rms:
        return None
    rows = np.concatenate([rows, numbers(white[first:])])
    if not np.isfinite(rows).all():
        return None
    return Emulator(frame, reference, np.linalg.lstsq(_monomials(white), rows)[0])


def serves(cells: int, nonlinear: int) -> bool:
    """Tell whether a part is so long, and its nonlinear parameters so few, that an emulator saves time."""
    return cells >= EMULATOR.min_cells and nonlinear <= EMULATOR.max_parameters


def error(exact: Conditionals, emulated: Conditionals, thetas: NDArray, log_proposal: NDArray) -> float:
    """Return the sd of the error in log density, over the exact or the emulated posterior: the larger one.

    Parameters
    ----------
    exact, emulated
        Both sets of Gaussians and densities.
    thetas, log_proposal
        Draws of a proposal, (n, nonlinear), and their log density in it, (n,).
    """
    densities = np.array([exact(thetas).log_density, emulated(thetas).log_density])
    possible = np.isfinite(densities)
    if (possible[0] != possible[1]).any() or not possible.any():
        return np.inf
    densities, log_proposal = densities[:, possible[0]], log_proposal[possible[0]]
    off = densities[1] - densities[0]
    # Polynomials that are too high at some draw show only in weights of their own.
    weights = softmax(densities - log_proposal, axis=1)
    return float(np.sqrt(max(weight @ (off - weight @ off) ** 2 for weight in weights)))


def _products(white: NDArray, degree: int) -> NDArray[np.float64]:
    """All products of at most `degree` coordinates, (n, coordinate) → (n, product)."""
    padded = np.column_stack([white, np.ones(len(white))])
    which = np.array(list(combinations_with_replacement(range(padded.shape[1]), degree)))
    return padded[:, which].prod(-1)


def _monomials(white: NDArray) -> NDArray[np.float64]:
    """Monomials of the polynomials, (n, coordinate) → (n, monomial)."""
    return np.column_stack([_products(white, 3), white**4, white**5])


def _integral(factor: NDArray, half: NDArray) -> float:
    """Log density that integrating out the linear parameters adds; see `marginal.log_integral`."""
    return float(0.5 * half @ half - np.log(np.diag(factor)).sum())
