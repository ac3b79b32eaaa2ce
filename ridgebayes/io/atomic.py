"""Atomic writing of tables, products, figures and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ridgebayes.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file that is written there replaces `path` at the end.

    Raises
    ------
    InputError
        When the folder cannot be written, or is full.
    """
    with whole_files(path) as (scratch,):
        yield scratch


@contextmanager
def whole_files(*paths: Path) -> Iterator[list[Path]]:
    """Yield paths to write to, for files of one folder that belong together.

    All files are on disk before the first is replaced. They are replaced in the given order, so the file
    that refers to the others must come last. An old file, other than the last, is deleted if no new one is
    written.

    Raises
    ------
    InputError
        When the folder cannot be written, or is full.
    """
    paths = tuple(map(Path, paths))
    folder = paths[-1].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A process that is killed leaves only this hidden folder behind.
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
    """Yield a folder to write into; it replaces `path` at the end.

    Parameters
    ----------
    path
        The final folder.
    mark
        Name of a file that all such folders contain; folders without it are never replaced.
    overwrite
        Replace an existing folder.

    Raises
    ------
    InputError
        If it exists and may not be replaced, or cannot be written.
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
    """Raise the errors of `whole_folder` early, before a long computation."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / mark).is_file():
        raise InputError(f"{path}: exists and has no {mark}, so it is not replaced: choose another place")
    if not overwrite:
        raise InputError(f"{path}: exists already: choose another place, or overwrite=True")


def make_room(path: Path, size: int) -> None:
    """Test whether a file of `size` bytes can be written; HDF5 crashes if the disk is full.

    Raises
    ------
    OSError
        If there is not enough space.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()


def _to_disk(path: Path) -> None:
    """Wait until a file is on disk: without this a power failure after renaming can empty it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
