"""Compiled code kept on disk."""

from __future__ import annotations

import jax

from ridgebayes.sky.cache import cache_dir


def use_compilation_cache() -> None:
    """Keep compiled code on disk, so that later processes with data of the same shapes start at once."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = cache_dir() / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
