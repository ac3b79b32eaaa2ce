"""Peak memory of this process and its accelerator."""

from __future__ import annotations

from pathlib import Path

import jax

from ridgebayes.environment import peak_memory_gib


def peak_gib() -> float:
    """Peak resident memory of this process, GiB, without that of its parent at the start."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**20
    except (OSError, StopIteration):
        return peak_memory_gib()


def device_gib() -> float | None:
    """Peak memory on an accelerator, GiB; None on a CPU."""
    told = jax.devices()[0].memory_stats() or {}
    return told["peak_bytes_in_use"] / 2**30 if "peak_bytes_in_use" in told else None
