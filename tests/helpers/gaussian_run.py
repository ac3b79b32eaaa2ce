"""A fit with a Gaussian posterior: only the sky is free, so linear algebra gives all results."""

import copy
from functools import cache

import numpy as np
from scipy import stats

import ridgebayes as rb
from ridgebayes import simulate
from ridgebayes.inference.log_density import Posterior
from ridgebayes.runs.fitted import sites
from ridgebayes.runs.run import Run
from ridgebayes.runs.sampling import meet

PRIOR_MEAN, PRIOR_SD = 0.4, 0.03
FIXED = {
    "background.level": 0.98, "background.drift": 0.0, "background.tracer": 0.4, "sky.latitude": 0.0,
    "background.revolution_sd": 0.03, "background.scatter": 0.016,
    "crab.rate": 1.236, "crab.shape": 0.0, "crab.scatter": 0.02,
}  # fmt: skip


class Linear:
    """Rates = offset + design · intensity + noise with one covariance per revolution, by dense algebra."""

    def __init__(self, model, scws):
        _, prepared = meet(model, scws)
        data, where = prepared.data, prepared.layout
        posterior = Posterior(model, data)
        rows = lambda x: where.unpack(np.asarray(x))[0]  # noqa: E731
        columns = [rows(sites(posterior, z, data)["rate"].loc) for z in np.vstack([np.zeros(3), np.eye(3)])]
        self.offset, self.design = columns[0], (np.array(columns[1:]) - columns[0]).T
        rate = sites(posterior, np.zeros(3), data)["rate"]
        self.y = rows(data.rate)
        position = np.searchsorted(where.revolutions, np.sort(scws.revolution))
        basis = where.unpack(np.asarray(data.basis))
        sd = np.asarray(rate.coef_sd)[0][:, position]
        terms = np.einsum("jn,jm->nm", sd * basis, sd * basis) * (position[:, None] == position)
        self.noise = np.diag(rows(rate.noise_variance)) + terms
        self.position, self.revolutions = position, where.revolutions

    def given(self, rows, power=1.0, of_likelihood=1.0, prior_mean=PRIOR_MEAN):
        """Mean and covariance of intensities given some rows, with prior and likelihood to a power.

        The prior is that of intensity times Crab rate over its reference.
        """
        crab = FIXED["crab.rate"]
        prior_mean, prior_sd = prior_mean / crab, PRIOR_SD / crab
        x, y = self.design[rows], (self.y - self.offset)[rows]
        weighted = np.linalg.solve(self.noise[np.ix_(rows, rows)], x).T * of_likelihood
        precision = power * np.eye(3) / prior_sd**2 + weighted @ x
        covariance = np.linalg.inv(precision)
        return covariance @ (weighted @ y + power * prior_mean / prior_sd**2), covariance

    def log_density(self, rho, rows, **prior):
        """Log density of the rates of a revolution given other rows."""
        here = np.flatnonzero(self.position == rho)
        mean, covariance = self.given(rows, **prior)
        x = self.design[here]
        spread = x @ covariance @ x.T + self.noise[np.ix_(here, here)]
        return stats.multivariate_normal(self.offset[here] + x @ mean, spread).logpdf(self.y[here])

    def left_out(self, **prior):
        """Log density of each revolution given all others."""
        revolutions = range(self.revolutions.size)
        return np.array(
            [self.log_density(r, np.flatnonzero(self.position != r), **prior) for r in revolutions]
        )


@cache
def gaussian_run():
    """Return a table (one band, 24 revolutions), its fit, and the equivalent dense algebra."""
    sky = rb.sky.load("coarse").select(["L-20", "GB", "L+20"])
    truth = simulate.Truth(
        bands=simulate.BANDS[:1], template=None, intensity={"L-20": [0.3], "GB": [0.7], "L+20": [0.3]}
    )
    scws = simulate.mission(simulate.programme(24, stop=2740, seed=11), truth, sky=sky, seed=3)
    scws = scws.select(np.argsort(scws.scw_id, kind="stable"))
    prior = {"sky.intensity": f"Normal({PRIOR_MEAN}, {PRIOR_SD})"}
    model = rb.models.regions(sky).with_priors({**FIXED, **prior})
    run = rb.sample(model, scws, seed=1, draws=2500)
    return scws, run, Linear(model, scws)


def other_run(run, linear, mean):
    """Return the same fit with another prior mean; its draws are exact, without a sampler."""
    centre, covariance = linear.given(np.arange(linear.y.size), prior_mean=mean)
    shape = run.intensity().shape
    draws = np.random.default_rng(1).multivariate_normal(centre, covariance, shape[:2])
    tree = run.tree.copy(deep=True)
    tree["posterior"]["sky.intensity"].values[:] = draws.reshape(shape)
    flux = draws.reshape(shape) @ tree["constant_data"]["fov"].values.T
    tree["posterior"]["sky.fov_flux"].values[:] = flux
    record = copy.deepcopy(run.record)
    record["model"]["priors"]["sky.intensity"] = f"Normal({mean}, {PRIOR_SD})"
    return Run(tree, record, fit=run.fit)
