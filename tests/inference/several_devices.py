"""What test_sharding.py runs in processes of their own: the density on several devices, as JSON on stdout.

``python several_devices.py MISSION.fits``                             on meshes of 1, 2 and 4 devices
``python several_devices.py MISSION.fits sample``                      a few draws on 1 and 2 devices
``python several_devices.py MISSION.fits COORDINATOR PROCESSES RANK``  on all devices of so many processes
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

if len(sys.argv) > 3:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

from ridgebayes import models, read_scws, sky
from ridgebayes.inference.kernels import Draws, Nuts
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.sharding import Sharded, mesh, several
from ridgebayes.likelihood.design import prepare
from ridgebayes.model.extensions import EXTRAS


def together(what):
    """Wait for the other processes: where they talk to each other, gloo waits 30 s and no longer."""
    if len(sys.argv) > 3:
        files = [Path(f"{sys.argv[1]}.{what}.{rank}") for rank in range(jax.process_count())]
        files[jax.process_index()].touch()
        while not all(file.exists() for file in files):
            time.sleep(0.05)


def told(potential, z, data):
    """Value, gradient, the product of the Hessian with ones; and the text of the program."""

    def derivatives(z, data):
        def both(x):
            return jax.value_and_grad(potential)(x, data)

        (value, gradient), (_, curvature) = jax.jvp(both, (z,), (jnp.ones(z.size),))
        return value, gradient, curvature

    program = jax.jit(derivatives).lower(z, data).compile()
    together(f"compiled {type(potential).__name__}")
    return [np.asarray(x).tolist() for x in program(z, data)], program.as_text()


def drawn(potential, data, posterior):
    """Draw a few times around the medians of the prior."""
    around = Gaussian(posterior.start(jax.random.key(0), data), np.diag(0.01 * posterior.scale))
    nuts = Nuts(potential, warmup=5, target_accept=0.9, max_tree_depth=4)
    blocks = nuts.chain(jax.random.key(1), data, around, 5)
    return np.concatenate([block.z for block in blocks if isinstance(block, Draws)]).tolist()


scws = read_scws(sys.argv[1]).take_bands(["A01"])
regions = sky.load("coarse").select(["L-20", "GB", "L+20"])
data = prepare(scws, regions, opened={"crab.rate", *EXTRAS["transients"].data}).data
posterior = Posterior(models.regions(regions).with_extras("transients"), data)
if sys.argv[2:] == ["sample"]:
    print(
        json.dumps({n: drawn(p, d, posterior) for n in (1, 2) for p, (d,) in [several(posterior, [data], n)]})
    )
    sys.exit()
z = np.linspace(-0.1, 0.1, posterior.size)
found = {"plain": told(posterior.potential, z, data)[0]}
for n in (1, 2, 4) if len(sys.argv) == 2 else (jax.device_count(),):
    several = Sharded(posterior.potential, mesh(n))
    together("share")
    shared = several.share(data)
    found[str(n)], text = told(several, z, shared)
    found[f"{n} collectives"] = [
        op for op in ("all-gather(", "all-to-all(", "collective-permute(", "reduce-scatter(") if op in text
    ]
    found[f"{n} parts"] = sorted(p.data.size for p in shared.rate.addressable_shards)
print(json.dumps(found))
