"""Work that is done once for all workers of a pytest run, and kept on disk until its end."""

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def shared_folder(tmp_path_factory, name: str) -> Path:
    """Return a folder that all workers of this pytest run have in common."""
    base = tmp_path_factory.getbasetemp()
    # pytest-xdist gives every worker a folder of its own in that of the run.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return a path in a folder; the first worker that asks makes what is there, the others wait for it.

    Parameters
    ----------
    folder
        As `shared_folder` returns it.
    name
        Of the file or folder.
    make
        Writes to the path that it is given, which has the same suffix. Called again where it failed before.
    """
    path = folder / name
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            unfinished = folder / f"unfinished-{name}"
            make(unfinished)
            unfinished.rename(path)
    return path
