"""How programs are compiled that cost more to compile than to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

_QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0}


def compiled_quickly(function: Callable) -> Any:
    """Compile a function with little optimisation: sooner ready, but two to three times as slow.

    For what a fit calls a few times only, and what does not take longer for more ScWs.
    """
    return jax.jit(function, compiler_options=_QUICK)
