"""Compilation of functions that take longer to compile than to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

_QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0}


def compiled_quickly(function: Callable) -> Any:
    """Compile a function with little optimisation: it is ready sooner, but two to three times as slow.

    For functions that a fit calls only a few times, and whose time does not grow with the number of ScWs.
    """
    return jax.jit(function, compiler_options=_QUICK)
