"""Run a command of the command line in this process and record its time and memory.

``python -m ridgebayes.cli.measured RESULT.json fit mission.fits --out runs/first``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import jax

from ridgebayes.bench.compilations import Compilations
from ridgebayes.bench.memory import device_gib, peak_gib
from ridgebayes.cli.main import main


def run(arguments: list[str]) -> tuple[int, dict[str, object]]:
    """Run a command; return its exit code, time and memory."""
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
