"""Compilation: quick for functions that take longer to compile than to run; what it does with memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from ridgebayes.environment import give_back_memory

_QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0}
_LONG = 1.0  # s
COMPILED = "/jax/core/compile/backend_compile_duration"
"""JAX's name of the event that something was compiled."""


def compiled_quickly(function: Callable) -> Any:
    """Compile a function with little optimisation: it is ready sooner, but two to three times as slow.

    For functions that a fit calls only a few times, and whose time does not grow with the number of ScWs.
    """
    return jax.jit(function, compiler_options=_QUICK)


def _give_back(event: str, duration_secs: float, **_: Any) -> None:
    """Give back what a long compilation has used, up to 1.6 GiB, before the next one adds its own."""
    if event == COMPILED and duration_secs > _LONG:
        give_back_memory()


jax.monitoring.register_event_duration_secs_listener(_give_back)
