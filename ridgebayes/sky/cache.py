"""Arrays kept on disk between runs, named by a hash of their inputs.

The folder is that of the environment variable RIDGEBAYES_CACHE, or
``platformdirs.user_cache_dir("ridgebayes")``. Deleting it is always safe. If the cache cannot be read or
written, arrays are computed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.io.atomic import whole_file

log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Return the folder of the cache (it need not exist)."""
    return Path(os.environ.get("RIDGEBAYES_CACHE") or platformdirs.user_cache_dir("ridgebayes"))


def content_key(*parts: str | NDArray[np.generic] | None) -> str:
    """Return the sha256 of texts and arrays (their shape, type and bytes), in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"array {part.dtype.str} {part.shape} ".encode())
            digest.update(part.tobytes())
        else:
            digest.update(f"text {part!r} ".encode())
    return digest.hexdigest()


def cached_array(
    name: str, key: str, shape: tuple[int, ...], compute: Callable[[], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the array kept under ``name`` and ``key``, or compute and keep it.

    Parameters
    ----------
    name
        Start of the file name.
    key
        :func:`content_key` of everything that the array depends on.
    shape
        Shape of the array; a file with another shape is computed again.
    compute
        Function without arguments that computes the array if there is no usable file.
    """
    path = cache_dir() / f"{name}-{key[:32]}.npy"
    kept = _read(path, shape)
    if kept is not None:
        return kept
    array = compute()
    _write(path, array)
    return array


def _read(path: Path, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as err:
        log.warning("cache file %s cannot be read (%s): computing it again", path, err)
        return None
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != np.float64:
        log.warning("cache file %s holds something else: computing it again", path)
        return None
    if not np.isfinite(array).all():
        log.warning("cache file %s holds numbers that are not finite: computing it again", path)
        return None
    log.debug("read %s", path)
    return array


def _write(path: Path, array: NDArray[np.float64]) -> None:
    """Write the file atomically, because another process may read it."""
    try:
        with whole_file(path) as scratch:
            np.save(scratch, array, allow_pickle=False)
    except InputError as err:
        log.info("cannot keep %s (%s): it will be computed again next time", path, err.__cause__)
