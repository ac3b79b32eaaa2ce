"""What test_devices.py runs in processes of their own: the density on several devices, as JSON on stdout.

``python several_devices.py MISSION.fits``                             on meshes of 1, 2 and 4 devices
``python several_devices.py MISSION.fits COORDINATOR PROCESSES RANK``  on all devices of so many processes
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

if len(sys.argv) > 2:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

from ridgebayes import models, read_scws, sky
from ridgebayes.devices import Sharded, mesh
from ridgebayes.fitdata import prepare
from ridgebayes.posterior import Posterior


def told(potential, z, data):
    """Value, gradient, the product of the Hessian with ones; and the text of the program."""

    def derivatives(z, data):
        def both(x):
            return jax.value_and_grad(potential)(x, data)

        (value, gradient), (_, curvature) = jax.jvp(both, (z,), (jnp.ones(z.size),))
        return value, gradient, curvature

    program = jax.jit(derivatives).lower(z, data).compile()
    return [np.asarray(x).tolist() for x in program(z, data)], program.as_text()


scws = read_scws(sys.argv[1]).take_bands(["A01"])
regions = sky.load("coarse").select(["L-20", "GB", "L+20"])
data = prepare(scws, regions).data
posterior = Posterior(models.regions(regions), data)
z = np.linspace(-0.1, 0.1, posterior.size)
found = {"plain": told(posterior.potential, z, data)[0]}
for n in (1, 2, 4) if len(sys.argv) == 2 else (jax.device_count(),):
    several = Sharded(posterior.potential, mesh(n))
    shared = several.share(data)
    found[str(n)], text = told(several, z, shared)
    found[f"{n} collectives"] = [
        op for op in ("all-gather(", "all-to-all(", "collective-permute(", "reduce-scatter(") if op in text
    ]
    found[f"{n} parts"] = sorted(p.data.size for p in shared.rate.addressable_shards)
print(json.dumps(found))
