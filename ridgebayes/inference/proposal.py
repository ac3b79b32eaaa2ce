"""A distribution from which all nonlinear parameters can be proposed at once, and its fit to draws.

It is a mixture of Student t in coordinates in which the density is not skewed (sinh-arcsinh: Jones & Pewsey
2009, Biometrika 96, 761), each with a wider one for the tails (defensive mixture: Hesterberg 1995,
Technometrics 37, 185).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp, softmax

from ridgebayes.inference.mode import Gaussian

_TAIL_SHARE, _TAIL_DEGREES = 0.15, 5.0  # of the wider Student t; its width is `_tail_width`
_MOST_SKEW = 1.5
_OF_DRAWS, _WIDER = 25.0, 1.05  # degrees of freedom, and width over the fitted one, of a mixture
_STEPS, _STARTS = 60, 4  # of the expectation-maximisation
_SETTLED = 1e-4  # gain of the mean log density with which it ends
_LEAST = 1e-3  # draws that a component has when none is near it
_PULL = 18.0  # draws for each parameter, with the covariance of all, that each covariance is fitted to


class Proposal(NamedTuple):
    """Mixture of multivariate Student t in coordinates u that may be skewed, each with a wider one.

    A parameter is x = centre + spread · sinh(arcsinh(u) + skew). Most proposals have one component.

    Attributes
    ----------
    means
        Centres in u, (component, parameter).
    roots
        Lower Cholesky factors of the scale matrices in u, (component, parameter, parameter).
    shares
        Of the components, (component,), the largest first.
    degrees
        Degrees of freedom.
    centre, spread, skew
        Of the coordinates, (parameter,).
    """

    means: NDArray
    roots: NDArray
    shares: NDArray
    degrees: Any
    centre: NDArray
    spread: NDArray
    skew: NDArray

    @classmethod
    def about(cls, start: Gaussian, degrees: float) -> Proposal:
        """Return a proposal with the mode and covariance of a Gaussian."""
        return cls.straight(start.mode, np.linalg.cholesky(start.root @ start.root.T), degrees)

    @classmethod
    def straight(cls, mean: NDArray, root: NDArray, degrees: float) -> Proposal:
        """Return a proposal in coordinates that are the parameters themselves."""
        frame = np.zeros(mean.size), np.ones(mean.size), np.zeros(mean.size)
        return cls(mean[None], root[None], np.ones(1), degrees, *frame)

    def shaped(self, mean: NDArray, root: NDArray, degrees: float) -> Proposal:
        """Return a proposal of one component in the same coordinates."""
        return self._replace(means=mean[None], roots=root[None], shares=np.ones(1), degrees=degrees)

    @property
    def mean(self) -> NDArray:
        """Centre of the largest component in u, (parameter,)."""
        return self.means[0]

    @property
    def root(self) -> NDArray:
        """Lower Cholesky factor of its scale matrix, (parameter, parameter)."""
        return self.roots[0]

    def moved(self, by: NDArray) -> Proposal:
        """Return the proposal moved in u."""
        return self._replace(means=self.means + by)

    def skewed(self, u: NDArray) -> NDArray[np.float64]:
        """From u (..., parameter) to parameters."""
        return self.centre + self.spread * np.sinh(np.arcsinh(u) + self.skew)

    def even(self, x: NDArray) -> NDArray[np.float64]:
        """From parameters (..., parameter) to u."""
        return np.sinh(np.arcsinh((x - self.centre) / self.spread) - self.skew)

    def slope(self, u: NDArray) -> NDArray[np.float64]:
        """Return dx/du of each parameter, (..., parameter)."""
        return self.spread * np.cosh(np.arcsinh(u) + self.skew) / np.sqrt(1.0 + u**2)

    @property
    def gaussian(self) -> Gaussian:
        """Centre and root of the scale matrix in the parameters themselves, of the largest component."""
        return Gaussian(self.skewed(self.mean), self.slope(self.mean)[:, None] * self.root)

    @property
    def spread_of_each(self) -> NDArray[np.float64]:
        """Root of the diagonal of that scale matrix, (parameter,)."""
        return np.sqrt((self.gaussian.root**2).sum(1))

    def components(self, rng: np.random.Generator, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Draw numbers of components."""
        if self.shares.size == 1:
            return np.zeros(shape, int)
        return rng.choice(self.shares.size, shape, p=self.shares)

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw `n` vectors u, (n, parameter)."""
        which, size = self.components(rng, n), self.mean.size
        wide = rng.uniform(size=(n, 1)) < _TAIL_SHARE
        degrees = np.where(wide, _TAIL_DEGREES, self.degrees)
        length = np.where(wide, _tail_width(size), 1.0) / np.sqrt(rng.chisquare(degrees) / degrees)
        return self.means[which] + along(self.roots[which], length * rng.normal(size=(n, size)))

    def log_density(self, u: NDArray) -> NDArray[np.float64]:
        """Log density in u of vectors u (n, parameter)."""
        size, each = self.mean.size, []
        for mean, root, share in zip(self.means, self.roots, self.shares, strict=True):
            distance, width = _distance(u, mean, root), _tail_width(size)
            narrow = np.log1p(-_TAIL_SHARE) + _log_t(distance, self.degrees, size)
            wide = np.log(_TAIL_SHARE / width**size) + _log_t(distance / width**2, _TAIL_DEGREES, size)
            each.append(np.logaddexp(narrow, wide) + np.log(share) - np.log(np.diag(root)).sum())
        return logsumexp(each, axis=0) if len(each) > 1 else each[0]

    def log_density_at(self, x: NDArray) -> NDArray[np.float64]:
        """Log density of parameters (n, parameter)."""
        u = self.even(x)
        return self.log_density(u) - np.log(self.slope(u)).sum(-1)


def along(roots: NDArray, white: NDArray) -> NDArray[np.float64]:
    """Multiply vectors (..., parameter) with the root of each, (..., parameter, parameter)."""
    return np.einsum("...ij,...j->...i", roots, white)


def _distance(u: NDArray, mean: NDArray, root: NDArray) -> NDArray[np.float64]:
    """Squared distance of vectors (n, parameter) from a mean, in sd, (n,)."""
    return (solve_triangular(root, (u - mean).T, lower=True) ** 2).sum(0)


def _tail_width(d: int) -> float:
    """Width of the wider Student t over the other: in many dimensions little more makes it rare inside."""
    return 1.0 + 1.0 / np.sqrt(max(d, 1))


def _log_t(distance: NDArray, degrees: float, d: int) -> NDArray:
    """Log density of a Student t of unit scale in `d` dimensions, at a squared distance."""
    norm = gammaln((degrees + d) / 2) - gammaln(degrees / 2) - d / 2 * np.log(degrees * np.pi)
    return norm - (degrees + d) / 2 * np.log1p(distance / degrees)


def of_draws(x: NDArray, components: int = 1) -> Proposal | None:
    """Fit a proposal to draws (n, parameter) of a density; None where they do not tell its covariance.

    Draws of chains know a tail, or another mode, that the points of an adaptation have missed, though the
    chains stuck to it. With several components the covariance of each is pulled towards that of all, as if it
    had been seen in `_PULL` more draws a parameter.

    Parameters
    ----------
    x
        The draws.
    components
        Number of components.
    """
    if not np.ptp(x, axis=0).all():
        return None
    frame = Proposal.straight(x[0], np.eye(x.shape[1]), _OF_DRAWS)
    frame = frame._replace(**unskewed(x, np.full(len(x), 1.0 / len(x))))
    u = frame.even(x)
    try:
        fits = [_mixture(u, components, seed) for seed in range(_STARTS if components > 1 else 1)]
    except np.linalg.LinAlgError:
        return None
    _, means, covariances, shares = max(fits, key=lambda fit: fit[0])
    order = np.argsort(-shares)
    roots = _WIDER * np.linalg.cholesky(covariances[order])
    return frame._replace(means=means[order], roots=roots, shares=shares[order])


def _mixture(u: NDArray, components: int, seed: int) -> tuple[float, NDArray, NDArray, NDArray]:
    """Fit a mixture of Gaussians (expectation-maximisation): mean log density, means, covariances, shares."""
    size = u.shape[1]
    root = np.linalg.cholesky(np.cov(u, rowvar=False).reshape(size, size))
    white = solve_triangular(root, (u - u.mean(0)).T, lower=True).T
    centres = np.random.default_rng(seed).choice(white, components, axis=0, replace=False)
    nearest = ((white - centres[:, None]) ** 2).sum(-1).argmin(0)
    belongs, height = np.eye(components)[nearest], -np.inf
    for _ in range(_STEPS):
        number = belongs.sum(0) + _LEAST
        means = belongs.T @ white / number[:, None]
        off = white - means[:, None]  # (component, draw, parameter)
        scatter = np.swapaxes(off, 1, 2) * belongs.T[:, None] @ off
        pull = _PULL * size if components > 1 else 0.0
        covariances = (scatter + pull * scatter.sum(0) / len(u)) / (number + pull)[:, None, None]
        shares = number / number.sum()
        log_density = np.stack(
            [
                np.log(share) - 0.5 * _distance(white, mean, factor) - np.log(np.diag(factor)).sum()
                for share, mean, factor in zip(shares, means, np.linalg.cholesky(covariances), strict=True)
            ],
            axis=1,
        )
        before, height = height, float(logsumexp(log_density, axis=1).mean())
        belongs = softmax(log_density, axis=1)
        if height - before < _SETTLED:
            break
    return height, u.mean(0) + means @ root.T, root @ covariances @ root.T, shares


def unskewed(x: NDArray, weight: NDArray) -> dict[str, NDArray]:
    """Choose coordinates in which weighted points are not skewed, parameter by parameter."""
    size = x.shape[1]
    centre, spread, skew = np.empty(size), np.empty(size), np.empty(size)
    for k, column in enumerate(x.T):
        order = np.argsort(column)
        share = np.cumsum(weight[order]) - 0.5 * weight[order]
        low, centre[k], high = np.interp([0.16, 0.5, 0.84], share, column[order])
        spread[k] = (high - low) / 2
        angle = np.arcsinh((column - centre[k]) / spread[k])

        def skewness(by: float, angle: NDArray = angle) -> float:
            u = np.sinh(angle - by)
            off = u - weight @ u
            return float(weight @ off**3 / (weight @ off**2) ** 1.5)

        ends = skewness(-_MOST_SKEW), skewness(_MOST_SKEW)
        if ends[0] * ends[1] < 0:
            skew[k] = brentq(skewness, -_MOST_SKEW, _MOST_SKEW, xtol=1e-3)
        else:
            skew[k] = _MOST_SKEW * (1 if abs(ends[1]) < abs(ends[0]) else -1)
    return {"centre": centre, "spread": spread, "skew": skew}
