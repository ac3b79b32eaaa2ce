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


@pytest.mark.slow
def test_a_shared_parameter_makes_a_whole_run(small_mission, three_regions):
    model = regions(three_regions).with_priors({"response.solid_angle": "LogNormal(0, 0.1)"})
    run = sample(model, small_mission, seed=2, chains=2, warmup=40, draws=30)
    assert run.intensity().sizes["band"] == len(small_mission.bands)
    assert np.isfinite(run.fov_flux()).all()
    solid_angle = run.tree["posterior"]["response.solid_angle"]
    assert solid_angle.dims == ("chain", "draw")
    seen = run.intensity().isel(band=0, region=1) * solid_angle
    assert float(seen.std() / seen.mean()) < 0.5 * float(solid_angle.std())
