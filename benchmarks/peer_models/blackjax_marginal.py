"""BlackJAX's window adaptation and NUTS on our log density, the revolution terms integrated out."""

from __future__ import annotations

import time
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

from ridgebayes.bench.compilations import Compilations
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData


def sample(posterior: Posterior, data: FitData, settings: Any, *, dense: bool) -> dict[str, Any]:
    """Adapt and sample, chains one after the other; `dense`: a dense mass matrix."""

    @jax.jit
    def chain(key: jax.Array, z: jax.Array, data: FitData) -> tuple[jax.Array, jax.Array, jax.Array]:
        log_density = lambda z: -posterior.potential(z, data)  # noqa: E731
        key_warm, key_draw = jax.random.split(key)
        adaptation = blackjax.window_adaptation(blackjax.nuts, log_density, is_mass_matrix_diagonal=not dense)
        (state, parameters), _ = adaptation.run(key_warm, z, num_steps=settings.warmup)
        kernel = blackjax.nuts(log_density, **parameters)

        def one(state: Any, key: jax.Array) -> tuple[Any, tuple]:
            state, info = kernel.step(key, state)
            return state, (state.position, info.num_integration_steps, info.is_divergent)

        return jax.lax.scan(one, state, jax.random.split(key_draw, settings.draws))[1]

    start = time.perf_counter()
    middle = jnp.asarray(posterior.start(jax.random.key(0), data))
    with Compilations() as compilations:
        chains = []
        for key in jax.random.split(jax.random.key(settings.seed), settings.chains):
            # Around the medians of the prior, as Stan does.
            z = middle + 0.1 * jnp.asarray(posterior.scale) * jax.random.normal(key, middle.shape)
            chains.append(jax.block_until_ready(chain(key, z, data)))
    seconds = time.perf_counter() - start
    z, steps, diverging = (np.stack(x) for x in zip(*chains, strict=True))
    return {
        "compile_s": compilations.seconds,
        "sample_s": seconds - compilations.seconds,
        "intensity": posterior.constrain(z)["sky.intensity"][:, :, 0],
        "steps": float(steps.mean()),
        "divergences": int(diverging.sum()),
    }
