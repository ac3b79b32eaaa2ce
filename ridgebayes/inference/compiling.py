"""Programs that run a few times only, for which compiling is all the cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

_QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0}


def compiled_quickly(function: Callable) -> Any:
    """Compile a function in less time, to one that runs more slowly."""
    return jax.jit(function, compiler_options=_QUICK)
