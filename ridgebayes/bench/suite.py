"""Run the processes of all cases in sequence, and store each result as a line of JSON."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ridgebayes.bench.cases import Case
from ridgebayes.errors import InputError
from ridgebayes.parallel.cores import cores
from ridgebayes.runs.convergence import EXIT as NOT_CONVERGED
from ridgebayes.runs.metadata import PACKAGES, git_commit

logger = logging.getLogger(__name__)

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Settings:
    """Settings of the measurement.

    Attributes
    ----------
    programme
        Table of real pointings; by default a simulated programme.
    options
        Further arguments of ``ridgebayes fit``.
    again
        Fit a second time, with the cache of the first fit.
    limit_s
        Time limit of a process, s; beyond it the process is stopped and the case recorded as unfinished.
    """

    programme: Path | None = None
    options: tuple[str, ...] = ()
    again: bool = False
    limit_s: float = 3600.0


def measure(
    cases: Sequence[Case], folder: Path, settings: Settings, *, demo: bool = False
) -> Iterator[dict[str, Any]]:
    """Measure all cases in sequence; each result is appended to ``results.jsonl``.

    Parameters
    ----------
    cases
        Cases. Results in the file with the same commit, machine and settings are reused.
    folder
        Folder for missions, runs and results.
    settings
        Settings of the measurement.
    demo
        Also measure ``ridgebayes demo``, always twice.

    Raises
    ------
    InputError
        If the folder cannot be written, or the programme is not found.
    """
    if settings.programme is not None and not settings.programme.is_file():
        raise InputError(f"{settings.programme}: no such file: give a table of pointings")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}): choose another folder") from error
    common: dict[str, Any] = {
        "programme": settings.programme.name if settings.programme else "simulated",
        "options": list(settings.options),
        "commit": git_commit(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}},
    }
    kept = read_results(folder)
    for case in [*(("demo",) if demo else ()), *cases]:
        label: dict[str, Any] = {"case": case if isinstance(case, str) else asdict(case)}
        before = next((r for r in reversed(kept) if _same(r, label | common, settings)), None)
        if before is not None:
            logger.info("%s: measured already", case)
            yield before
            continue
        logger.info("%s ...", case)
        result = label | common
        result["when"] = datetime.now(UTC).isoformat(timespec="seconds")
        result["load"] = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        try:
            result |= _demo(folder, settings) if isinstance(case, str) else _one(case, folder, settings)
        except _Unfinished as reason:
            result["failed"] = str(reason)
            logger.warning("%s: %s", case, reason)
        with (folder / RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        yield result


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Read ``results.jsonl``; empty if it is missing."""
    path = folder / RESULTS
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}): remove it, or choose another folder") from error


def machine() -> dict[str, Any]:
    """Return processor, number of usable cores, and memory."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    pages = {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(os.sysconf_names)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30 if pages else None
    return {"processor": name, "cores": cores(), "memory_gib": memory and round(memory, 1)}


class _Unfinished(Exception):
    """A process failed, or took too long."""


def _same(old: dict[str, Any], new: dict[str, Any], settings: Settings) -> bool:
    """Return True if an old result can be reused; any change of the source tree invalidates it."""
    done = "failed" not in old and not (settings.again and "again" not in old)
    return done and not new["commit"].endswith("+") and all(old.get(key) == new[key] for key in new)


def _one(case: Case, folder: Path, settings: Settings) -> dict[str, Any]:
    """Simulate if needed, fit, and collect measurements."""
    mission, sky = case.mission(folder), case.sky(folder)
    made_from = mission.with_suffix(".command")
    simulation = case.simulation(folder, settings.programme)
    if not mission.exists() or not made_from.exists() or made_from.read_text() != repr(simulation):
        _command(simulation, folder, folder / "cache", settings.limit_s)
        made_from.write_text(repr(simulation))
    out = folder / "runs" / case.name
    fit = ["fit", str(mission.absolute()), "--sky", str(sky.absolute()), "--out", str(out.absolute())]
    fit += ["--overwrite", "--quiet", "--seed", "1", *case.chosen_bands, *settings.options]
    shutil.rmtree(out, ignore_errors=True)
    with TemporaryDirectory(prefix="cache-", dir=folder) as cache:
        result = {"fit": _command(fit, folder, Path(cache), settings.limit_s)}
        run = str(out.absolute())
        judged = _python("ridgebayes.bench.gradient", [run], folder, Path(cache), settings.limit_s)
        if settings.again:
            result["again"] = _command(fit, folder, Path(cache), settings.limit_s)
    return result | judged


def _demo(folder: Path, settings: Settings) -> dict[str, Any]:
    demo = ["demo", "--overwrite", "--quiet", "--out", str((folder / "runs" / "demo").absolute())]
    demo += settings.options
    with TemporaryDirectory(prefix="cache-", dir=folder) as cache:
        first, second = (_command(demo, folder, Path(cache), settings.limit_s) for _ in range(2))
    return {"fit": first, "again": second}


def _command(arguments: list[str], folder: Path, cache: Path, limit_s: float) -> dict[str, Any]:
    """Run a ridgebayes command in its own process; return its measurements and wall time."""
    start = time.monotonic()
    cost = _python("ridgebayes.cli.measured", arguments, folder, cache, limit_s)
    return cost | {"wall_s": round(time.monotonic() - start, 2)}


def _python(module: str, arguments: list[str], folder: Path, cache: Path, limit_s: float) -> dict[str, Any]:
    """Run a module that writes its result as JSON."""
    with TemporaryDirectory(prefix="result-", dir=folder) as scratch:
        result = Path(scratch).absolute() / "result.json"
        command = [sys.executable, "-m", module, str(result), *arguments]
        environment = {**os.environ, "RIDGEBAYES_CACHE": str(cache.absolute())}
        try:
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise _Unfinished(f"{module} {arguments[0]}: not finished after {limit_s:g} s") from None
        # Fits that have not converged count too; the table shows their ESS.
        if ended.returncode not in (0, NOT_CONVERGED) or not result.exists():
            said = (ended.stderr.strip() or ended.stdout.strip() or "nothing").splitlines()[-1]
            raise _Unfinished(f"{module} {arguments[0]}: exit code {ended.returncode}: {said}")
        return json.loads(result.read_text(encoding="utf-8"))
