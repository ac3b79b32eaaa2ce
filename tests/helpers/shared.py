"""Data made once for all workers of a pytest run, and kept on disk until its end."""

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def shared_folder(tmp_path_factory, name: str) -> Path:
    """Return a folder that all workers of this pytest run share."""
    base = tmp_path_factory.getbasetemp()
    # With pytest-xdist the folders of workers are inside that of the run.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return a path in a folder; the first worker creates its content, the others wait.

    Parameters
    ----------
    folder
        Folder from `shared_folder`.
    name
        Name of the file or folder.
    make
        Function that writes to a given path, which has the same suffix. It is called again after a failure.
    """
    path = folder / name
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            unfinished = folder / f"unfinished-{name}"
            make(unfinished)
            unfinished.rename(path)
    return path
