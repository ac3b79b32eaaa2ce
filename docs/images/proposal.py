"""Draw proposal.png of docs/sampling.md: python docs/images/proposal.py.

A scale that may be zero, of which data say that it is 0 ± 5 s, in the coordinate z in which it is sampled.
"""

from pathlib import Path

import matplotlib.style
import numpy as np
from scipy.stats import norm

from ridgebayes.inference.mode import Gaussian, refined
from ridgebayes.inference.profiles import PLACES, profiled
from ridgebayes.plots.style import STYLE, legend_below, new_figure


def log_density(z: np.ndarray) -> np.ndarray:
    """Of vectors (n, 1): a Gaussian likelihood of the scale, and the Jacobian of its coordinate."""
    scale = z * norm.cdf(z) + norm.pdf(z)
    return (-0.5 * (scale / 5.0) ** 2 + norm.logcdf(z))[:, 0]


around = refined(log_density, Gaussian(np.zeros(1), np.eye(1)))
mode, sd = around.mode[0], around.root[0, 0]
proposal = profiled(log_density, around)
z = np.linspace(-4.0, 16.0, 801)
density = np.exp(log_density(z[:, None]))
density /= np.trapezoid(density, z)
at = np.interp(mode + sd * PLACES, z, density)

with matplotlib.style.context(STYLE, after_reset=True):
    figure = new_figure("A scale that may be zero: its density and two proposals", height_mm=75)
    ax = figure.add_subplot()
    ax.plot(z, density, label="density", color="black")
    ax.plot(mode + sd * PLACES, at, "o", color="black", label="values computed", clip_on=False, zorder=5)
    ax.plot(z, norm.pdf(z, mode, sd), ":", label="Gaussian at the mode")
    ax.plot(z, np.exp(proposal.log_density_at(z[:, None])), "--", label="proposal")
    ax.set(xlabel="coordinate z of the scale", ylabel="density", xlim=(-4, 16), ylim=(0, None))
    legend_below(figure)
    figure.savefig(Path(__file__).with_name("proposal.png"), dpi=150)
