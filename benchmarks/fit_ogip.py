"""The exported OGIP files fitted by another code: SciPy, and Sherpa where it is installed.

    ridgebayes region-spectrum RUN --region GB
    ridgebayes fitspec RUN --region GB --prior 'powerlaw.index=Normal(1.5, 5)'
    python benchmarks/fit_ogip.py RUN/products/spectrum_GB.pha data/whitedwarf.fits

White dwarfs and a power law, their amplitudes E² dN/dE at 35 and 60 keV as in `fitspec`. Nothing of
ridgebayes is used: astropy reads the files, SciPy interpolates the table, and the response file folds the
model. Errors are those of the curvature at the best fit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import least_squares

NAMES = ("whitedwarf.amplitude", "whitedwarf.mass", "powerlaw.amplitude", "powerlaw.index")
START, LOW, HIGH = (0.8, 0.7, 0.3, 1.5), (0.0, 0.31, 0.0, -2.0), (20.0, 1.34, 20.0, 5.0)


def read_table(path: Path) -> RectBivariateSpline:
    """Read ln(E² dN/dE / L) as a spline in mass and ln E."""
    with fits.open(path) as hdus:
        spectra, energy = hdus["SPECTRA"].data, hdus["ENERGIES"].data["ENERGY"]
        mass, ln_e2 = (np.array(spectra[name], float) for name in ("MASS", "LN_E2"))
        return RectBivariateSpline(mass, np.log(np.array(energy, float)), ln_e2)


def photons(table: RectBivariateSpline, values: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Photons/cm²/s/keV."""
    soft, mass, hard, index = values
    shape = np.exp(table(mass, np.log(energy))[0] - table(mass, np.log(35.0))[0, 0])
    return soft * shape / energy**2 + hard * (energy / 60) ** -index / 60**2


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pha", type=Path)
    parser.add_argument("table", type=Path)
    given = parser.parse_args()
    table = read_table(given.table)
    with fits.open(given.pha) as hdus:
        spectrum = hdus["SPECTRUM"]
        rate, error = (np.array(spectrum.data[name], float) for name in ("RATE", "STAT_ERR"))
        response = given.pha.parent / spectrum.header["RESPFILE"]
    with fits.open(response) as hdus:
        rows = hdus["SPECRESP MATRIX"].data
        low, high = (np.array(rows[name], float) for name in ("ENERG_LO", "ENERG_HI"))
        area = np.array([np.array(row, float) for row in rows["MATRIX"]])
    middle = np.sqrt(low * high)

    def pulls(values: np.ndarray) -> np.ndarray:
        return (rate - (photons(table, values, middle) * (high - low)) @ area) / error

    best = least_squares(pulls, START, bounds=(LOW, HIGH), x_scale=(0.1, 0.05, 0.1, 0.2), xtol=1e-12)
    sd = np.sqrt(np.diag(np.linalg.inv(best.jac.T @ best.jac)))
    show("SciPy", best.x, sd, 2 * best.cost, len(rate))
    try:
        import sherpa.astro.ui as ui
    except ImportError:
        print("Sherpa is not installed")
        return
    ui.load_pha(str(given.pha), use_errors=True)
    ui.set_stat("chi2")

    def integrated(values, lower, upper=None):  # Sherpa asks for photons/cm²/s in each energy bin
        at = np.sqrt(np.asarray(lower) * np.asarray(upper))
        return photons(table, np.array(values), at) * (np.asarray(upper) - np.asarray(lower))

    ui.load_user_model(integrated, "gal")
    ui.add_user_pars("gal", ["soft", "mass", "hard", "index"], START, LOW, HIGH)
    ui.set_source(ui.get_model_component("gal"))
    ui.set_method("levmar")
    ui.fit()
    ui.covar()
    found = ui.get_covar_results()
    show("Sherpa", np.array(found.parvals), np.array(found.parmaxes, float), ui.calc_stat(), len(rate))


def show(code: str, values: np.ndarray, sd: np.ndarray, statistic: float, count: int) -> None:
    """Print values and errors of a fit."""
    each = "  ".join(f"{n} {v:.4f} ± {s:.4f}" for n, v, s in zip(NAMES, values, sd, strict=True))
    print(f"{code}: chi2 {statistic:.2f} of {count} bands  {each}")


if __name__ == "__main__":
    main()
