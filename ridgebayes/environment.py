"""What a process is started from: variables, terminals and scripts that must not matter, or are named."""

from __future__ import annotations

import codecs
import ctypes
import locale
import multiprocessing
import os
import sys
import traceback
import unicodedata
from collections.abc import Iterable
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_HUGE_PAGES = "glibc.malloc.hugetlb"
_UNGUARDED = 77  # exit code of a worker that began to run the script that started it
_LIKE = "–- —- −- …... ×x ·* ±+/- ≈~ ≤<= ≥>= σsigma τtau ρrho χchi µu μu √sqrt →-> ∞inf ’' ‘' “\" ”\" █# ▏|"
_ASCII = {pair[0]: pair[1:] for pair in _LIKE.split()} | {"°": " deg"}


def settle() -> None:
    """Take out of the way what would break the import of JAX and Matplotlib."""
    # Rates of 300 cts/s with errors of 0.1 over 160,000 ScWs: float32 loses the answer.
    os.environ["JAX_ENABLE_X64"] = "1"
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", True)
    backend = os.environ.get("MPLBACKEND", "")
    if backend.startswith("module://") and "matplotlib" not in sys.modules and not _is_there(backend[9:]):
        del os.environ["MPLBACKEND"]  # of the notebook that this process was started from


def import_problem(error: BaseException) -> str | None:
    """Name the variable that JAX refused when it was imported, in one line; None where there is none."""
    asked = sorted(name for name in os.environ if name.startswith("JAX_") and name in str(error).upper())
    if not asked or not isinstance(error, ValueError):
        return None
    return f"{asked[0]} is '{os.environ[asked[0]]}', which JAX does not take: unset {asked[0]}"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def begin_again(*, large: bool = False) -> None:
    """Begin the command again where it needs a variable that is read only when a process starts.

    Parameters
    ----------
    large
        Whether the command computes with large arrays.
    """
    changed = _for_utf8() | (_for_huge_pages() if large else {})
    if changed:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | changed)


def _for_utf8() -> dict[str, str]:
    """Variables for Python's UTF-8 mode, where the locale cannot hold every name of a file."""
    if sys.flags.utf8_mode or codecs.lookup(locale.getpreferredencoding(False)).name == "utf-8":
        return {}
    shown = getattr(sys.stdout, "encoding", None) or "ascii"  # the terminal stays what it is
    return {"PYTHONUTF8": "1", "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or shown}


def _for_huge_pages() -> dict[str, str]:
    """Variables with which malloc of the GNU C library asks Linux for huge pages, where it has to be asked.

    Each density of a long mission allocates more than 100 MB, and with pages of 4 kB that takes as long as
    the computation.
    """
    known = os.environ.get("GLIBC_TUNABLES", "")
    try:
        asks = "[madvise]" in _PAGES.read_text()
    except OSError:
        return {}
    if not asks or _HUGE_PAGES in known:
        return {}
    return {"GLIBC_TUNABLES": ":".join(filter(None, [known, f"{_HUGE_PAGES}=1"]))}


def for_commands() -> None:
    """Prepare a process of the command line: it draws to files, on any terminal."""
    os.environ["MPLBACKEND"] = "agg"
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="ridgebayes.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Spell letters that an encoding does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or _bare(c) for c in text), error.end


def _bare(letter: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", letter) if c.isascii()) or "?"


codecs.register_error("ridgebayes.plain", _plain)


def platform_problem() -> str | None:
    """Say which variable asks for a device that is not there; None where none does.

    To be asked after an error: JAX fails in many ways, some without a word.
    """
    asked = next((name for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME") if os.environ.get(name)), None)
    if asked is None:
        return None
    import jax

    try:
        jax.devices()
    except Exception:  # of whatever kind
        value = os.environ[asked]
        return f"{asked} is '{value}', and JAX finds no such device here: unset {asked}, or set it to cpu"
    return None


def settings_problem(error: BaseException) -> str | None:
    """Name the arvizrc that ArviZ does not take, such as one of another version; None where there is none."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "read_rcfile":
            name = frame.f_locals.get("fname")
            return f"{name}: settings that this ArviZ does not take: mend or move the file"
    return None


def check_guard() -> None:
    """End a worker that is running the script which started it, before it starts workers of its own.

    A spawned process imports the script; without ``if __name__ == "__main__":`` that runs it again.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(_UNGUARDED)


def lost_worker(workers: Iterable[BaseProcess], usual: str) -> str:
    """Say why worker processes died: the script lacks its guard, or what is usual."""
    for worker in workers:
        worker.join(5)
    if any(worker.exitcode == _UNGUARDED for worker in workers):
        script = getattr(sys.modules.get("__main__"), "__file__", None) or "the script"
        guard = 'if __name__ == "__main__":'
        return f"{script}: starts workers, which run it again: put what it does under  {guard}"
    return usual


def spawning() -> Any:
    """Return the context in which workers are started: not forked, as JAX has threads."""
    check_guard()
    return multiprocessing.get_context("spawn")


def peak_memory_gib() -> float:
    """Largest resident memory of this process so far, GiB; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**30 if sys.platform == "darwin" else used / 2**20


def give_back_memory() -> None:
    """Give memory that is free back to the system; the GNU C library keeps what compilations have used."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:
            trim(0)
