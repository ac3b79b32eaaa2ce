"""How wide calibrated intervals are under noise that the model does not have, beside how wide they should be.

    ridgebayes simulate --revolutions 200 --seed 1 --world correlated_noise --out mission.fits
    python benchmarks/sandwich_bias.py mission.fits --band A03 --memory 0.7

A simulated mission is fitted with default settings. At the posterior mean the model is linear in what the
rates are linear in, so with the true covariance of the noise the sd of every FOV flux is a closed form. Noise
is then drawn many times, and each time the covariance is estimated from the scatter of the revolutions: as
fits do it (CR2 of Bell & McCaffrey 2002, as a series), exactly so, without any correction (CR0), and with
the inverse in place of its root (CR3).
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ridgebayes import models, read_scws, sample, sky
from ridgebayes.inference.calibration import SERIES, Pulls, stretched
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.revolution import revolution_terms
from ridgebayes.runs.fitted import sites
from ridgebayes.runs.sampling import meet

DRAWS = 300
SHOWN = ("GB", "L+20", "L-20", "L+60")
_MOST = 0.95  # largest share of a revolution in the information on a direction


def main() -> None:
    """Print the ratio of estimated and true sd."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("table", help="a simulated mission: `ridgebayes simulate`")
    parser.add_argument("--band", default="A03")
    parser.add_argument("--memory", type=float, default=0.0, help="correlation of neighbouring ScWs (0.7)")
    options = parser.parse_args()
    table = read_scws(options.table)
    scws = table.take_bands([options.band])
    sigma = np.broadcast_to(table.truth["sigma"], len(table.bands))[table.band_names.index(options.band)]
    model, prepared = meet(models.regions(sky.load("milkyway")), scws)
    run = sample(model, scws, seed=1)
    data, posterior = prepared.data, Posterior(model, prepared.data)
    draws = run.tree["posterior"].dataset
    mean = {name: draws[name].mean(("chain", "draw")).values for name in posterior.shapes}
    z = jnp.asarray(posterior.unconstrain(mean))
    column = jax.jit(jax.jacfwd(lambda z: sites(posterior, z, data)["rate"].loc[0]))(z)
    flux = np.asarray(jax.jacfwd(lambda z: sites(posterior, z, data)["sky.fov_flux"][0])(z))
    prior = np.asarray(jax.hessian(lambda z: posterior.prior_potential(z, data))(z))
    linear = np.abs(np.asarray(column)).max((0, 1)) > 0
    rate = sites(posterior, z, data)["rate"]
    parts = _revolutions(prepared, rate, np.asarray(column)[..., linear], sigma, options.memory)
    names = list(prepared.sky.names)
    _compare(parts, prior[np.ix_(linear, linear)], flux[:, linear], [names.index(name) for name in SHOWN])


def _revolutions(
    prepared, rate, column: NDArray, sigma: float, memory: float
) -> list[tuple[NDArray, NDArray, NDArray]]:
    """Return for each revolution X, V⁻¹ X with the covariance V of the model, and the true covariance."""
    data, scws = prepared.data, prepared.scws
    terms = np.asarray(revolution_terms(rate.coef_sd**2, rate.basis**2, data.block_revolution))[0]
    noise, counts = np.asarray(rate.variance)[0] - terms, np.asarray(data.stat_variance)[0]
    sd, basis, level = (np.asarray(x) for x in (rate.coef_sd[0], data.basis, data.level[0]))
    mjd, filled = prepared.layout.pack(scws.mjd), np.asarray(data.filled)
    found = []
    for r in range(level.size):
        rows = np.nonzero(filled & (np.asarray(data.block_revolution) == r)[:, None])
        rows = tuple(x[np.argsort(mjd[rows])] for x in rows)
        n, counting, phi = noise[rows], counts[rows], basis[:, *rows].T * sd[:, r]
        of_terms, scatter = phi @ phi.T, (sigma * level[r]) ** 2
        apart = np.abs(np.subtract.outer(np.arange(n.size), np.arange(n.size)))
        of_crab = np.maximum(n - counting - scatter, 0.0)
        true = np.diag(counting + of_crab) + scatter * memory**apart + of_terms
        x = column[rows]
        found.append((x, np.linalg.solve(np.diag(n) + of_terms, x), true))
    return found


def _compare(parts: list, prior: NDArray, flux: NDArray, shown: list[int]) -> None:
    rng, count = np.random.default_rng(0), len(parts)
    gram = np.array([x.T @ w for x, w, _ in parts])
    covariance = np.linalg.inv(gram.sum(0) + prior)
    sd = lambda matrix: np.sqrt(np.einsum("ip,pq,iq->i", flux, matrix, flux))  # noqa: E731
    meat = sum(w.T @ true @ w for _, w, true in parts)
    right = sd(covariance @ (meat + prior) @ covariance)
    root = np.linalg.cholesky(covariance)
    share = np.einsum("pi,rpq,qj->rij", root, gram, root)
    value, vector = np.linalg.eigh(share)
    value = np.clip(value, 0.0, _MOST)
    ways = {
        "CR0": np.ones_like(value),
        "as fits do": np.polynomial.polynomial.polyval(value, (1, *SERIES)),
        "CR2": 1 / np.sqrt(1 - value),
        "CR3": 1 / (1 - value),
    }
    matrices = {way: np.einsum("rij,rj,rkj->rik", vector, factor, vector) for way, factor in ways.items()}
    roots = [np.linalg.cholesky(true) for *_, true in parts]
    found: dict[str, list[NDArray]] = {way: [] for way in ways}
    of_prior = root.T @ prior @ root
    for _ in range(DRAWS):
        noise = [r @ rng.normal(size=len(r)) for r in roots]
        score = np.array([w.T @ e for (_, w, _), e in zip(parts, noise, strict=True)])
        pull = (score - gram @ (covariance @ score.sum(0))) @ root
        for way, matrix in matrices.items():
            u = np.einsum("rij,rj->ri", matrix, pull)
            half = root @ stretched([Pulls(np.zeros(len(root)), root, np.stack([u, u]), of_prior)])
            found[way].append(sd(half @ half.T))
    print(f"{count} revolutions, {len(prior)} linear parameters; in brackets {', '.join(SHOWN)}")
    print(f"true sd over the posterior's: median {np.median(right / sd(covariance)):.2f}")
    for way, estimates in found.items():
        ratio = np.sqrt(np.mean(np.square(estimates), 0)) / right
        spread = np.std(estimates, 0) / np.mean(estimates, 0)
        each = ", ".join(f"{x:.2f}" for x in ratio[shown])
        line = (
            f"{way:<11}sd over the true one: median {np.median(ratio):.3f}, least {ratio.min():.3f} ({each})"
        )
        print(f"{line}; scatter of the sd {np.median(spread):.2f}")


if __name__ == "__main__":
    main()
