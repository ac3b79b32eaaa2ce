"""Components of a region from a model of all bands: sums over regions, against the intensities themselves."""

import numpy as np
import pytest

from ridgebayes import models
from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR
from ridgebayes.plots.fitspec import fitspec_figure
from ridgebayes.products.fitspec import derived, fit_table
from ridgebayes.products.jointspec import joint_fit
from ridgebayes.products.regiontable import region_latex, region_table
from ridgebayes.sky import Region, build
from ridgebayes.spectra.components import COMPONENTS
from ridgebayes.spectra.folding import fold
from tests.helpers.sky_run import sky_run

DRAWS, EDGES = 300, np.array([[20.0, 30.0, 40.0], [30.0, 40.0, 50.0]])
OMEGA = 1.1


@pytest.fixture(scope="module")
def run(three_regions):
    """A run of ``whitedwarf`` whose intensities are folded from its parameters by another code."""
    rng = np.random.default_rng(2)
    sky, count = three_regions, len(three_regions)
    posterior = {
        "sky.thermal": 18 + rng.normal(size=DRAWS),
        "sky.departure": 0.5 * rng.normal(size=(DRAWS, count)),
        "sky.hard": 6 + rng.normal(size=DRAWS),
        "sky.hard_departure": 0.5 * rng.normal(size=(DRAWS, count)),
        "sky.mass": 0.65 + 0.05 * rng.normal(size=DRAWS),
        "sky.index": 1.5 + 0.2 * rng.normal(size=DRAWS),
    }
    energy, weight = fold(EDGES, CRAB)
    root = np.sqrt(sky.stars)
    intensity = np.zeros((DRAWS, 3, count))
    for component, tied, departure, shape in (
        ("whitedwarf", "sky.thermal", "sky.departure", "sky.mass"),
        ("powerlaw", "sky.hard", "sky.hard_departure", "sky.index"),
    ):
        unit = COMPONENTS[component].photons(energy, posterior[shape][:, None, None])
        unit = (np.asarray(unit) * weight).sum(-1)
        amplitude = posterior[tied][:, None] * sky.stars + posterior[departure] * root
        intensity += unit[:, :, None] * amplitude[:, None] / DEG2_PER_SR
    made = sky_run(sky, intensity, solid_angle=OMEGA)
    model = models.whitedwarf(sky)
    made.record["model"] = {
        "name": "whitedwarf", "options": {}, "extras": [], "priors": {},
    }  # fmt: skip
    axes = ("chain", "draw", "region")
    found = {name: (axes[: draws.ndim + 1], draws[None]) for name, draws in posterior.items()}
    made.tree["posterior"].dataset = made.tree["posterior"].to_dataset().assign(found)
    assert set(posterior) <= set(model.parameters)
    return made


@pytest.mark.slow
def test_components_add_up_to_what_the_field_of_view_sees(run):
    for region in ("GB", "L+20"):
        found = joint_fit(run, region)
        flux = run.fov_flux().sel(region=region).values[0]
        np.testing.assert_allclose(found.fit.folded.sum(0), flux, rtol=1e-5)
        intensity = joint_fit(run, region, "intensity")
        np.testing.assert_allclose(
            intensity.fit.folded.sum(0), run.intensity().sel(region=region).values[0], rtol=1e-5
        )


@pytest.mark.slow
def test_region_of_a_file(run):
    mine = build("mine", [Region.box("elsewhere", (5, 15), (0, 10))], nside=16)
    found = joint_fit(run, "elsewhere", sky=mine)
    seen = run.sky.fov_exposure(mine.centre_lon, mine.centre_lat, run.response)[0]
    np.testing.assert_allclose(found.fit.folded.sum(0), OMEGA * run.intensity().values[0] @ seen, rtol=1e-5)


@pytest.mark.slow
def test_what_follows(run):
    found = joint_fit(run, "GB", distance=8.0, stellar_mass=1e10)
    numbers = derived(found)
    share = numbers["whitedwarf.share"][0] + numbers["powerlaw.share"][0]
    np.testing.assert_allclose(share, 1.0)
    ratio = numbers["whitedwarf.luminosity"][0] / numbers["whitedwarf.emissivity"][0]
    np.testing.assert_allclose(ratio, 1e10)
    table = fit_table(run, found)
    row = {str(r["name"]): r for r in table}
    assert row["whitedwarf.mass"]["mean"] == pytest.approx(run.tree["posterior"]["sky.mass"].values.mean())
    assert str(row["powerlaw.index"]["note"]).startswith("prior only")
    assert "crab_spectrum.norm" not in row
    assert "`ridgebayes check` tests it" in table.meta["check"]
    assert len(fitspec_figure(run, found).subfigs[0].axes) == 2  # no pulls


@pytest.mark.slow
def test_regions_side_by_side(run):
    results = [joint_fit(run, name) for name in ("GB", "L-20")]
    table = region_table(run, results)
    assert list(table["region"]) == ["GB", "L-20"]
    flux = results[1].fit.energy_flux(results[1].fit.model[0], 30.0, 80.0)
    assert table["whitedwarf.flux_mean"][1].value == pytest.approx(flux.mean())
    text = region_latex(table)
    rows = [line for line in text.splitlines() if line.startswith(("GB", "L-20"))]
    assert len(rows) == 2
    assert all(row.split(" & ")[2] == "--" for row in rows)  # the index: its prior
    mass = table["whitedwarf.mass_mean"][0].value
    assert f"{mass:.3f} \\pm" in rows[0]
    assert "keV keV" not in text


@pytest.mark.slow
def test_other_models_and_a_free_latitude_are_refused(run, three_regions):
    other = sky_run(three_regions, np.ones((20, 2, 3)))
    other.record["model"] = {"name": "regions"}
    with pytest.raises(InputError, match="its model 'regions' has no components"):
        joint_fit(other, "GB")
    with pytest.raises(InputError, match="an intensity has no luminosity"):
        joint_fit(run, "GB", "intensity", distance=8.0)
