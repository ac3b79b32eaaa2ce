"""Models without a sky: the background alone and the Crab alone."""

import numpy as np
import pytest

from ridgebayes import models, sample
from ridgebayes.errors import InputError
from ridgebayes.likelihood.design import prepare
from ridgebayes.plots.figures import write_figures
from ridgebayes.products.background import coefficient_table
from ridgebayes.products.crab import crab_table
from ridgebayes.products.flux import flux_table
from ridgebayes.products.maps import sky_maps
from ridgebayes.products.profile import intensity_profile
from ridgebayes.products.residuals import residual_table
from ridgebayes.products.spectrum import regions as spectrum_regions
from ridgebayes.runs.intensity import format_table
from ridgebayes.runs.run import Run

pytestmark = pytest.mark.slow

SETTINGS = {"seed": 1, "chains": 2, "warmup": 150, "draws": 150}


@pytest.fixture(scope="module")
def one_band(starry_mission):
    return starry_mission.take_bands(["A01"])


@pytest.fixture(scope="module")
def background_run(one_band, three_regions, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "background"
    sample(models.background(three_regions), one_band, out=out, **SETTINGS)
    return Run.open(out)


@pytest.fixture(scope="module")
def crab_run(one_band, three_regions, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "crab"
    sample(models.crab(three_regions), one_band, out=out, **SETTINGS)
    return Run.open(out)


def test_background_is_recovered_where_it_was_not_fitted(background_run, one_band, pull):
    posterior = background_run.tree["posterior"]
    assert np.abs(pull(posterior["background.scatter"], one_band.truth["sigma"][0])).max() < 4
    scws = background_run.scws
    assert len(scws) == len(one_band)
    fitted = (np.abs(scws["LAT"].value) > 20) & ~np.asarray(scws["CRAB"])
    histogram = background_run.tree["constant_data"]["residual_histogram"]
    assert int(histogram.sum()) == fitted.sum()
    # The other ScWs see the sky above the background that is expected of them, and the bulge most of all.
    excess = (scws["RATE"] - scws["BACKGROUND"])[:, 0].value
    bulge = (np.abs(scws["LAT"].value) < 5) & (np.abs((scws["LON"].value + 180) % 360 - 180) < 8)
    expected = 0.119 * 180 * one_band.truth["intensity"]["GB"][0]  # some 180 deg² of core in a field of view
    assert 0.5 * expected < np.median(excess[bulge & ~np.asarray(scws["CRAB"])]) < 2 * expected
    assert np.abs(np.median(excess[fitted])) < 0.05 * expected


def test_crab_is_recovered(crab_run, one_band):
    table = crab_table(crab_run)
    true = np.interp(table["MJD"].value, one_band.truth["mjd"], np.asarray(one_band.truth["crab_rate"])[:, 0])
    own = table["crab_scws"] > 0
    pulls = ((table["mean"].value - true) / table["sd"].value)[own]
    assert own.any()
    assert np.abs(pulls).max() < 4
    assert (table["sd"].value[own] < 0.1 * true[own]).all()
    assert "RES_A01" in residual_table(crab_run).colnames


@pytest.mark.parametrize("name", ["background", pytest.param("crab", marks=pytest.mark.slow)])
def test_products_without_a_sky(name, request, tmp_path):
    run = request.getfixturevalue(f"{name}_run")
    assert len(run.table()) == 0
    assert "no sky" in format_table(run.table(), simulated=True)
    names = [path.stem for path in write_figures(run, tmp_path)]
    assert {"residuals", "background", "predictive", "traces"} <= set(names)
    assert ("crab" in names) == (name == "crab")
    assert len(coefficient_table(run)) == run.tree["constant_data"].sizes["revolution"]
    for product in (flux_table, sky_maps, intensity_profile, spectrum_regions):
        with pytest.raises(InputError, match=f"model '{name}' has no sky"):
            product(run)
    if name == "background":
        for product in (crab_table, residual_table):
            with pytest.raises(InputError, match="model 'background' has no Crab"):
                product(run)


def test_what_is_not_there_is_one_line(one_band, three_regions):
    model = models.background()
    with pytest.raises(InputError, match="'free_latitude': model 'background' has no sky"):
        model.with_extras("free_latitude")
    with pytest.raises(InputError, match="'smooth_crab': model 'background' has no Crab"):
        model.with_extras("smooth_crab")
    no_crab = one_band.select(~one_band.crab)
    # Without the Crab the background alone needs no Crab rate; the Crab alone cannot be fitted.
    prepare(no_crab, model.sky, opened=model.parameters.keys(), chosen=model.chosen)
    with pytest.raises(InputError, match="no ScW of those"):
        prepare(no_crab, model.sky, opened=models.crab().parameters.keys(), chosen=models.crab().chosen)
