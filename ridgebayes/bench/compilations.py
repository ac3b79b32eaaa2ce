"""Numbers and times of JAX compilations."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Any

import jax

from ridgebayes.inference.compiling import COMPILED

_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_MISSED = "/jax/compilation_cache/cache_misses"


class Compilations:
    """Counts compilations of all threads within a ``with`` block.

    Attributes
    ----------
    programs
        Name of a function, such as ``jit(advance)`` → number of times that it was compiled or read from the
        cache on disk.
    seconds
        Time of lowering and compiling, s, summed over threads, so it may exceed the wall time.
    missed
        Number of programs that the cache on disk did not contain; zero without a cache.
    """

    def __init__(self) -> None:
        self.programs: Counter[str] = Counter()
        self.seconds = 0.0
        self.missed = 0

    def _duration(self, event: str, duration_secs: float, **told: Any) -> None:
        if event in (_LOWERED, COMPILED):
            self.seconds += duration_secs
        if event == COMPILED:
            self.programs[str(told.get("fun_name", "?"))] += 1

    def _event(self, event: str, **_: Any) -> None:
        self.missed += event == _MISSED

    def __enter__(self) -> Compilations:
        jax.monitoring.register_event_duration_secs_listener(self._duration)
        jax.monitoring.register_event_listener(self._event)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Older versions of JAX cannot remove a listener; it then continues counting, which does no harm.
        for undo, listener in (
            ("unregister_event_duration_listener", self._duration),
            ("unregister_event_listener", self._event),
        ):
            if hasattr(jax.monitoring, undo):
                getattr(jax.monitoring, undo)(listener)
