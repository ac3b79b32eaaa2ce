"""A posterior with its linear parameters integrated out by dense matrices, in NumPy and SciPy."""

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import gamma, ndtr

from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.marginal import linear_parameters
from ridgebayes.likelihood.design import SHAPES
from ridgebayes.model.extensions.latitude import shape_weights
from ridgebayes.runs.sampling import meet
from ridgebayes.sky import exposure


def few_scws(mission, *, each=12):
    """Select about 60 ScWs, a dozen per revolution: two with the Crab, two on the plane, one off it."""
    numbers = np.unique(mission.revolution)
    of = lambda chosen: [r for r in numbers if chosen[mission.revolution == r].mean() > 0.4]  # noqa: E731
    crab, off = of(mission.crab), of(~mission.crab & (np.abs(mission.lat) > 20))
    plane = of(~mission.crab & (np.abs(mission.lat) < 12) & (np.abs(mission.lon) < 40))
    kept = []
    for revolution in (*crab[:2], *plane[:2], *off[:1]):
        rows = np.flatnonzero(mission.revolution == revolution)
        kept += rows[np.linspace(0, rows.size - 1, each).astype(int)].tolist()
    return mission.select(np.sort(kept))


class Dense:
    """Mean, covariance and priors of the rates of few ScWs.

    The design is computed from `mean`, an independent implementation; another test checks that it is linear.
    """

    def __init__(self, model, scws):
        self.model, self.prepared = meet(model, scws)
        self.data, self.where, self.scws = self.prepared.data, self.prepared.layout, self.prepared.scws
        self.posterior = Posterior(self.model, self.data)
        self.linear = linear_parameters(self.posterior, self.data)
        self.position = np.searchsorted(self.where.revolutions, self.scws.revolution)
        skies = [self.prepared.sky.reshaped(*shape) for shape in SHAPES]
        self.exposures = [exposure(self.scws, sky, self.prepared.response) for sky in skies]
        self.y = self.scws.rate.T

    def rows(self, packed):
        return self.where.unpack(np.asarray(packed))

    def named(self, z):
        found = {name: value[0] for name, value in self.posterior.constrain(np.asarray(z)[None]).items()}
        fixed = {n: np.asarray(p.prior, float) for n, p in self.model.parameters.items() if p.fixed}
        return fixed | found

    def mean(self, p):
        """Mean rate, cts/s, (band, scw)."""
        data, at, bands = self.data, self.position, len(self.y)
        sd, length = (np.broadcast_to(p[f"background.drift_{n}"], bands)[:, None] for n in ("sd", "length"))
        frequency = np.asarray(data.drift_frequency)
        # Spectral density of a Matérn process (Rasmussen & Williams 2006, equation 4.15).
        nu = 2.5
        spectrum = 2 * np.sqrt(np.pi) * gamma(nu + 0.5) * (2 * nu) ** nu / (gamma(nu) * length ** (2 * nu))
        spectrum = sd**2 * spectrum * (2 * nu / length**2 + frequency**2) ** -(nu + 0.5)
        drift = (np.sqrt(spectrum) * p["background.drift"]) @ np.asarray(data.drift_basis).T
        level = self.prepared.scales.level
        background = level[:, at] * (p["background.level"][:, None] + drift[:, at])
        background += level[:, at] * p["background.tracer"][:, None] * self.rows(data.tracer)
        return background + self.crab(p) * (self.rows(data.crab_response) + self.seen(p))

    def crab(self, p):
        """Crab rate at each ScW, cts/s, (band, scw)."""
        clock = np.asarray(self.data.time)
        basis = np.polynomial.legendre.legvander(clock, 3)[self.position].T
        history = np.exp(p["crab.shape"] @ basis[1:])
        return (self.prepared.scales.crab_rate * p["crab.rate"])[:, None] * history

    def seen(self, p):
        """Sky in units of the Crab, (band, scw)."""
        weights = np.eye(len(SHAPES))[:1]
        if "sky.width" in p:
            weights = np.asarray(shape_weights(p["sky.width"], p["sky.shift"]))
        found = np.einsum("bs,sim,bm->bi", weights + np.zeros((len(self.y), 1)), self.exposures,
                          np.atleast_2d(p["sky.intensity"]))  # fmt: skip
        if "sky.latitude" in p:
            wide, south, north = (self.exposures[SHAPES.index(x)] for x in ((1.4, 0), (1, -1), (1, 1)))
            gains = np.stack([wide - self.exposures[0], (north - south) / 2]) @ self.prepared.sky.stars
            found += p["sky.latitude"] @ gains
        if "sky.second" in p:
            column = self.rows(self.data.basis[1])
            found += 0.5 * np.einsum("i,im,bm->bi", column, self.exposures[0], p["sky.second"])
        return found / 1000

    def noise(self, p):
        """Covariance of each band, (cts/s)², (band, scw, scw)."""
        level = self.prepared.scales.level[:, self.position]
        scatter = (p["background.scatter"][:, None] * level) ** 2
        scatter += (p["crab.scatter"][:, None] * self.crab(p) * self.rows(self.data.crab_response)) ** 2
        same = self.position[:, None] == self.position
        phase = np.polynomial.legendre.legvander(2 * self.scws.phase - 1, 2).T
        terms = p["background.revolution_sd"][:, :, None] * level[:, None] * phase
        shared = np.einsum("bjn,bjm->bnm", terms, terms)
        if "background.correlated" in p:
            apart = np.abs(self.scws.mjd[:, None] - self.scws.mjd) * 24
            sd = p["background.correlated"][:, None] * level
            decay = np.exp(-apart / p["background.memory"][:, None, None])
            shared += sd[:, :, None] * sd[:, None] * decay
        return same * shared + np.array([np.diag(row) for row in self.scws.stat_err.T**2 + scatter])

    def prior_of_linear(self, p):
        """Mean and sd of the linear parameters."""
        first = {
            "background.level": (1.0, 0.1),
            "background.drift": (0.0, 1.0),
            "background.tracer": (0.5, 1.0),
            "sky.intensity": (0.0, 2.0 / p["crab.rate"][:, None]),
            "sky.latitude": (0.0, 1.0 / p["crab.rate"][:, None]),
            "sky.second": (0.0, 1.0),
        }
        mean, sd = np.zeros(self.posterior.size), np.zeros(self.posterior.size)
        for name, shape in self.posterior.shapes.items():
            if self.linear[self.posterior.named(name)].all():
                for into, value in zip((mean, sd), first[name], strict=True):
                    into[self.posterior.named(name)] = np.broadcast_to(value, shape).ravel()
        return mean[self.linear], sd[self.linear]

    def prior_of_nonlinear(self, p):
        """Log prior density of sampled coordinates: logarithms, or `FromZero` if a parameter may be 0."""
        log = lambda name: np.log(p[name])  # noqa: E731

        def half(name, sd, width=0.1):
            return stats.halfnorm.logpdf(p[name], scale=sd) + _log_slope(p[name], sd, width)

        each = [
            half("background.revolution_sd", 0.05),
            half("background.scatter", 0.03, width=0.03),
            stats.norm.logpdf(log("crab.rate"), 0.0, 0.3),
            stats.norm.logpdf(p["crab.shape"], 0.0, 0.3),
            stats.norm.logpdf(log("crab.scatter"), np.log(0.005), 0.5),
        ]
        if "background.correlated" in p:
            each += [half("background.correlated", 0.02)]
            each += [stats.norm.logpdf(log("background.memory"), np.log(2.0), 0.5)]
        if "sky.width" in p:
            each += [
                stats.norm.logpdf(log("sky.width"), 0.0, 0.3),
                stats.norm.logpdf(p["sky.shift"], 0.0, 0.5),
            ]
        return float(sum(np.sum(x) for x in each))

    def system(self, theta):
        """Offset (row,), design (row, linear) and covariance (row, row) of all bands in one vector."""
        z = np.zeros(self.posterior.size)
        z[~self.linear] = theta
        of = lambda z: self.mean(self.named(z)).ravel()  # noqa: E731
        offset = of(z)
        columns = []
        for k in np.flatnonzero(self.linear):
            unit = z.copy()
            unit[k] = 1.0
            columns.append(of(unit) - offset)
        p = self.named(z)
        blocks = self.noise(p)
        n = blocks.shape[-1]
        covariance = np.zeros((len(blocks) * n, len(blocks) * n))
        for k, block in enumerate(blocks):
            covariance[k * n : (k + 1) * n, k * n : (k + 1) * n] = block
        return p, offset, np.array(columns).T, covariance

    def log_density(self, theta):
        """Log posterior of nonlinear parameters: prior times the density of rates as one large Gaussian."""
        p, offset, design, covariance = self.system(theta)
        mean, sd = self.prior_of_linear(p)
        whole = covariance + (design * sd**2) @ design.T
        rates = stats.multivariate_normal(offset + design @ mean, whole)
        return rates.logpdf(self.y.ravel()) + self.prior_of_nonlinear(p)

    def conditional(self, theta):
        """Mean and precision of the linear parameters."""
        p, offset, design, covariance = self.system(theta)
        mean, sd = self.prior_of_linear(p)
        weighted = np.linalg.solve(covariance, design)
        precision = design.T @ weighted + np.diag(sd**-2)
        right = weighted.T @ (self.y.ravel() - offset) + mean / sd**2
        return np.linalg.solve(precision, right), precision


def _log_slope(x, sd, width):
    """Log dx/dz of x = s (z Φ(z) + φ(z)), s the width times the mean of a half-normal prior."""
    scale = width * sd * np.sqrt(2.0 / np.pi)
    zs = [brentq(lambda z, v=v: scale * (z * ndtr(z) + stats.norm.pdf(z)) - v, -30.0, 30.0 + v / scale,
                 xtol=1e-14) for v in np.ravel(x)]  # fmt: skip
    return np.log(scale * ndtr(np.reshape(zs, np.shape(x))))
