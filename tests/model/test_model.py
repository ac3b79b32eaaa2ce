"""Which models can be sampled band by band, and that those which cannot are sampled as one."""

import numpy as np
import numpyro.distributions as dist
import pytest

from ridgebayes import sample
from ridgebayes.models import regions


def test_bands_are_apart_unless_they_share(three_regions):
    model = regions(three_regions)
    assert model.bands_apart
    assert model.with_priors({"response.solid_angle": 1.1}).bands_apart
    assert not model.with_priors({"response.solid_angle": "LogNormal(0, 0.1)"}).bands_apart
    apart = dist.HalfNormal(np.array([0.01, 0.02]))
    assert not model.with_priors({"background.scatter": apart}).bands_apart


CHANGES = [
    (None, {"response.solid_angle": "LogNormal(0, 0.1)"}),
    ("correlated_noise", {}),
    ("outliers", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("extra", "prior"), CHANGES)
def test_a_changed_model_makes_a_whole_run(extra, prior, small_mission, three_regions):
    model = regions(three_regions).with_extras(*([extra] if extra else [])).with_priors(prior)
    scws = small_mission if not extra else small_mission.take_bands(["A01"])
    run = sample(model, scws, seed=2, chains=2, warmup=40, draws=30)
    assert run.intensity().sizes["band"] == len(scws.bands)
    assert np.isfinite(run.fov_flux()).all()
    if not extra:
        solid_angle = run.tree["posterior"]["response.solid_angle"]
        assert solid_angle.dims == ("chain", "draw")
        seen = run.intensity().isel(band=0, region=1) * solid_angle
        assert float(seen.std() / seen.mean()) < 0.5 * float(solid_angle.std())
    noise = run.scws["NOISE"].value
    assert (noise >= 0.999 * run.scws["STAT_ERR"].value).all()
