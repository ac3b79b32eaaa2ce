"""Read and check the record of a run (`run.toml`), and the digests of its other files."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ridgebayes.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_TABLES: dict[str, dict[str, type]] = {
    "model": {"name": str, "options": dict, "extras": list, "priors": dict},
    "data": {"path": str, "fingerprint": str, "simulated": bool, "bands": list, "unseen_regions": list},
    "sampling": {
        **dict.fromkeys(("chains", "warmup", "draws", "seed", "max_tree_depth"), int),
        "target_accept": float,
    },
    "sky": {},
    "versions": dict.fromkeys(("jax", "jaxlib", "numpyro", "numpy"), str),
}
"""Tables of a record, and the type of each entry."""

_KINDS = {
    str: "a text",
    dict: "a table",
    list: "a list",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def read_record(path: Path, *, whole: bool = False) -> dict[str, Any]:
    """Read a `run.toml`.

    Parameters
    ----------
    path
        The file.
    whole
        Require everything that is needed to resume the fit.

    Raises
    ------
    InputError
        If it is not TOML, or if entries are missing.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}): fit again") from error
    for table, known in _TABLES.items():
        if table not in record and table != "data" and not whole:
            continue
        _check(path, table, record.get(table), dict)
        for key, kind in known.items():
            _check(path, f"{table}.{key}", record[table].get(key), kind)
    for key in ("ridgebayes", "git_commit"):
        _check(path, key, record.get(key), str)
    if whole or "response" in record:
        _check(path, "response", record.get("response"), str)
    if whole:
        _check(path, "data.crab_rate", record["data"].get("crab_rate"), dict)
    return record


def _check(path: Path, name: str, value: Any, kind: type) -> None:
    if type(value) is not kind:
        found = "is missing" if value is None else f"is {value!r}, not {_KINDS[kind]}"
        raise InputError(f"{path}: {name} {found}: the file was changed: fit again")


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256, as `sha256sum` prints it, of those of the files that exist in a folder."""
    found = {}
    for name in names:
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def check_closed(path: Path) -> None:
    """Refuse a file that another program has open for writing, and so has locked.

    Raises
    ------
    InputError
        If the file is locked.
    """
    if fcntl is None:
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{path}: is open in another program: close it there, and try again") from error
        except OSError:  # of a file system without locks
            return


def check_digest(folder: Path, name: str, record: Mapping[str, Any]) -> None:
    """Refuse a file that is not the one that was written with the record.

    Raises
    ------
    InputError
        If its digest differs from that in the record.
    """
    files = record.get("files")
    told = files.get(name) if isinstance(files, dict) else None
    if told is not None and digests(folder, [name]).get(name) != told:
        raise InputError(
            f"{folder / name}: is not the file that the fit wrote (its SHA-256 is not the one in run.toml): "
            "bring that back, or fit again"
        )
