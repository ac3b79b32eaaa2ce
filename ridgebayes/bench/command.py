"""Run a command of the command line in this process and write down what it cost.

``python -m ridgebayes.bench.command RESULT.json fit mission.fits --out runs/first``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import jax

from ridgebayes.bench.compilations import Compilations
from ridgebayes.cli.main import main
from ridgebayes.runs.metadata import peak_memory_gib


def peak_gib() -> float:
    """Largest resident memory of this process, GiB, without what its parent had when it was started."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**20
    except (OSError, StopIteration):
        return peak_memory_gib()


def device_gib() -> float | None:
    """Largest memory used on an accelerator, GiB; None on a CPU."""
    told = jax.devices()[0].memory_stats() or {}
    return told["peak_bytes_in_use"] / 2**30 if "peak_bytes_in_use" in told else None


def run(arguments: list[str]) -> tuple[int, dict[str, object]]:
    """Run a command; its exit code, and what it cost."""
    with Compilations() as compilations:
        try:
            code = main(arguments, standalone_mode=False) or 0
        except click.exceptions.Exit as ended:
            code = ended.exit_code
    return code, {
        "compile_s": round(compilations.seconds, 2),
        "programs": compilations.programs.total(),
        "compiled_most": dict(compilations.programs.most_common(5)),
        "cache_missed": compilations.missed,
        "peak_gib": round(peak_gib(), 3),
        "device_gib": device_gib(),
        "device": f"{jax.device_count()} × {jax.devices()[0].device_kind}",
    }


if __name__ == "__main__":
    code, cost = run(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(cost), encoding="utf-8")
    sys.exit(code)
