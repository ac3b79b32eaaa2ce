"""Files that appear whole or not at all: tables, products, figures and checkpoints are written by these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ridgebayes.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there at the end takes the place of `path`.

    Raises
    ------
    InputError
        When the folder cannot be written, or is full.
    """
    with whole_files(path) as (scratch,):
        yield scratch


@contextmanager
def whole_files(*paths: Path) -> Iterator[list[Path]]:
    """Give paths to write to, for files of one folder that belong together.

    All are on disk in full before the first takes its place; they do so one by one, in the order given, so
    the one that names the others comes last. Of those before it, one that is not written is removed where it
    stood: it belonged to the old ones.

    Raises
    ------
    InputError
        When the folder cannot be written, or is full.
    """
    paths = tuple(map(Path, paths))
    folder = paths[-1].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A process that is killed leaves this folder behind, hidden, and everything else as it was.
        with TemporaryDirectory(prefix=f".{paths[-1].stem}-", dir=folder) as scratch:
            written = [Path(scratch) / path.name for path in paths]
            yield written
            for new in written:
                if new.exists():
                    _to_disk(new)
            for new, path in zip(written, paths, strict=True):
                if new.exists() or path == paths[-1]:
                    os.replace(new, path)
                else:
                    path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{paths[-1]}: cannot be written ({error.strerror or error}): choose another folder"
        ) from error


@contextmanager
def whole_folder(path: Path, mark: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a folder to write into; what is there at the end takes the place of `path`.

    Parameters
    ----------
    path
        The folder to come.
    mark
        A file that is in every such folder: without it a folder is another's and is never replaced.
    overwrite
        Replace one that exists.

    Raises
    ------
    InputError
        When it exists and may not be replaced, or cannot be written.
    """
    path = Path(path)
    check_folder(path, mark, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            new.mkdir()
            yield new
            if path.exists():
                path.rename(old)
            new.rename(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}): choose another folder"
        ) from error


def check_folder(path: Path, mark: str, *, overwrite: bool = False) -> None:
    """Refuse a folder that `whole_folder` would refuse, before minutes are spent on it."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / mark).is_file():
        raise InputError(f"{path}: exists and has no {mark}, so it is not replaced: choose another place")
    if not overwrite:
        raise InputError(f"{path}: exists already: choose another place, or overwrite=True")


def make_room(path: Path, size: int) -> None:
    """Find out whether a file of so many bytes can be written: HDF5 crashes where a disk gets full under it.

    Raises
    ------
    OSError
        When there is no room for it.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()


def _to_disk(path: Path) -> None:
    """Wait until a file is on disk, so that a power cut after it has its name does not empty it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
