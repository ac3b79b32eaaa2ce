"""The distribution that proposes all nonlinear parameters at once, and its fit to draws.

It is a Student t in coordinates that remove the skewness of the density (sinh-arcsinh: Jones & Pewsey 2009,
Biometrika 96, 761), mixed with a wider one for the tails (defensive mixture: Hesterberg 1995, Technometrics
37, 185).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln

from ridgebayes.inference.mode import Gaussian, whitened
from ridgebayes.inference.tuning import PROPOSAL


class Proposal(NamedTuple):
    """Multivariate Student t in skewed coordinates u, mixed with a wider one for the tails.

    A parameter is x = centre + spread · sinh(arcsinh(u) + skew).

    Attributes
    ----------
    mean
        Centre in u, (parameter,).
    root
        Lower Cholesky factor of the scale matrix in u, (parameter, parameter).
    degrees
        Degrees of freedom.
    centre, spread, skew
        Parameters of the coordinates, each (parameter,).
    """

    mean: NDArray
    root: NDArray
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
        """Return a proposal without skewed coordinates: u are the parameters themselves."""
        return cls(mean, root, degrees, np.zeros(mean.size), np.ones(mean.size), np.zeros(mean.size))

    def skewed(self, u: NDArray) -> NDArray[np.float64]:
        """Transform u (..., parameter) to parameters."""
        return self.centre + self.spread * np.sinh(np.arcsinh(u) + self.skew)

    def even(self, x: NDArray) -> NDArray[np.float64]:
        """Transform parameters (..., parameter) to u."""
        return np.sinh(np.arcsinh((x - self.centre) / self.spread) - self.skew)

    def white(self, u: NDArray) -> NDArray[np.float64]:
        """Whiten u, one vector or many: independent coordinates of unit scale."""
        return whitened(u, self.mean, self.root)

    def slope(self, u: NDArray) -> NDArray[np.float64]:
        """Return dx/du of each parameter, (..., parameter)."""
        return self.spread * np.cosh(np.arcsinh(u) + self.skew) / np.sqrt(1.0 + u**2)

    def of(self, at: NDArray) -> Proposal:
        """Return the proposal of some of the parameters, whatever the others are."""
        root = np.linalg.cholesky((self.root @ self.root.T)[np.ix_(at, at)])
        return Proposal(self.mean[at], root, self.degrees, self.centre[at], self.spread[at], self.skew[at])

    @property
    def gaussian(self) -> Gaussian:
        """Centre and root of the scale matrix in the parameters themselves."""
        return Gaussian(self.skewed(self.mean), self.slope(self.mean)[:, None] * self.root)

    @property
    def spread_of_each(self) -> NDArray[np.float64]:
        """Root of the diagonal of the scale matrix in the parameters, (parameter,)."""
        return np.sqrt((self.gaussian.root**2).sum(1))

    def widened(self, x: NDArray, at: NDArray) -> Proposal | None:
        """Widen it in those of the parameters `at` in which it is too narrow for draws (n, parameter).

        None if it is so in none.
        """
        sd = self.even(x).std(0) / np.linalg.norm(self.root, axis=1)
        narrow = np.isin(np.arange(sd.size), at) & (sd > PROPOSAL.narrow)
        factor = np.where(narrow, np.minimum(sd, PROPOSAL.max_widening), 1.0)
        return self._replace(root=factor[:, None] * self.root) if narrow.any() else None

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw `n` vectors u, (n, parameter)."""
        wide = rng.uniform(size=(n, 1)) < PROPOSAL.tail_share
        degrees = np.where(wide, PROPOSAL.tail_degrees, self.degrees)
        length = np.where(wide, _tail_width(self.mean.size), 1.0) / np.sqrt(rng.chisquare(degrees) / degrees)
        return self.mean + (length * rng.normal(size=(n, self.mean.size))) @ self.root.T

    def log_density(self, u: NDArray) -> NDArray[np.float64]:
        """Log density in u of vectors u (n, parameter)."""
        distance, d, width = (self.white(u) ** 2).sum(-1), self.mean.size, _tail_width(self.mean.size)
        share = PROPOSAL.tail_share
        narrow = np.log1p(-share) + _log_t(distance, self.degrees, d)
        tail = _log_t(distance / width**2, PROPOSAL.tail_degrees, d)
        wide = np.log(share) - d * np.log(width) + tail
        return np.logaddexp(narrow, wide) - np.log(np.diag(self.root)).sum()

    def log_density_at(self, x: NDArray) -> NDArray[np.float64]:
        """Log density of parameters (n, parameter)."""
        u = self.even(x)
        return self.log_density(u) - np.log(self.slope(u)).sum(-1)


def _tail_width(d: int) -> float:
    """Width of the wider Student t over the other: in many dimensions slightly wider is far out already."""
    return 1.0 + 1.0 / np.sqrt(max(d, 1))


def _log_t(distance: NDArray, degrees: float, d: int) -> NDArray:
    """Log density of a Student t of unit scale in `d` dimensions, at a squared distance."""
    norm = gammaln((degrees + d) / 2) - gammaln(degrees / 2) - d / 2 * np.log(degrees * np.pi)
    return norm - (degrees + d) / 2 * np.log1p(distance / degrees)


def of_draws(x: NDArray, before: Proposal) -> Proposal | None:
    """Fit a proposal to draws (n, parameter) of a density.

    Draws of chains may contain a tail that adaptation missed, even if the chains got stuck there.

    Parameters
    ----------
    x
        The draws.
    before
        The proposal of those chains.

    Returns
    -------
    Proposal or None
        None if the draws do not determine a covariance. None also if their mean log density under the fit,
        less the number of fitted values over that of draws (Akaike 1974), is no higher than under `before`.
    """
    if not np.ptp(x, axis=0).all():
        return None
    n, size = x.shape
    coordinates = unskewed(x, np.full(n, 1.0 / n))
    frame = Proposal.straight(x[0], np.eye(size), PROPOSAL.degrees[0])._replace(**coordinates)
    u = frame.even(x)
    try:
        root = np.linalg.cholesky(np.cov(u, rowvar=False).reshape(size, -1))
    except np.linalg.LinAlgError:
        return None
    found = frame._replace(mean=u.mean(0), root=PROPOSAL.draws_width * root)
    tried = [found._replace(degrees=degrees) for degrees in PROPOSAL.degrees]
    likely = [float(one.log_density_at(x).mean()) for one in tried]
    best = int(np.argmax(likely))
    fitted = size * (size + 3) / 2 + 3 * size + 1  # mean and covariance, coordinates, degrees of freedom
    return tried[best] if likely[best] - fitted / n > before.log_density_at(x).mean() else None


def on_ridge(skew: NDArray, covariance: NDArray) -> NDArray[np.bool_]:
    """Tell for which parameters skewed coordinates would bend a thin, straight ridge, (parameter,).

    They bend it by about `skew` sd. It is as thick as the parameter's sd given all others.
    """
    try:
        precision = np.linalg.inv(covariance)
    except np.linalg.LinAlgError:
        return np.zeros(skew.size, bool)
    thickness = 1.0 / np.sqrt(np.maximum(np.diag(precision) * np.diag(covariance), 1.0))
    return np.abs(skew) > thickness


def unskewed(x: NDArray, weight: NDArray) -> dict[str, NDArray]:
    """Fit coordinates that remove the skewness of weighted points, parameter by parameter."""
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

        ends = skewness(-PROPOSAL.max_skew), skewness(PROPOSAL.max_skew)
        if ends[0] * ends[1] < 0:
            skew[k] = brentq(skewness, -PROPOSAL.max_skew, PROPOSAL.max_skew, xtol=1e-3)
        else:
            skew[k] = PROPOSAL.max_skew * (1 if abs(ends[1]) < abs(ends[0]) else -1)
    covariance = np.cov(x, rowvar=False, aweights=weight, ddof=0).reshape(size, size)
    skew[on_ridge(skew, covariance)] = 0.0
    return {"centre": centre, "spread": spread, "skew": skew}
