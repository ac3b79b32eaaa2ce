"""Hierarchical Bayesian measurement of the Galactic diffuse hard X-ray emission with ISGRI."""

import jax

# Rates of 300 cts/s with errors of 0.1 over 160,000 ScWs: float32 loses the answer.
jax.config.update("jax_enable_x64", True)
