"""Files that appear whole or not at all."""

from __future__ import annotations

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
        When the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
            yield Path(folder) / path.name
            (Path(folder) / path.name).replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}): choose another folder (--out)"
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
            f"{path}: cannot be written ({error.strerror or error}): choose another folder (--out)"
        ) from error


def check_folder(path: Path, mark: str, *, overwrite: bool = False) -> None:
    """Refuse a folder that `whole_folder` would refuse, before minutes are spent on it."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / mark).is_file():
        raise InputError(f"{path}: exists and has no {mark}, so it is not replaced: choose another --out")
    if not overwrite:
        raise InputError(f"{path}: exists already: choose another --out, or --overwrite it")
