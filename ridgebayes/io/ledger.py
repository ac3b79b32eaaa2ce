"""The folder of a long job: a record of the job in TOML, and a line of JSON for each result.

Each line is written as a whole when its result is complete, so a process that is killed loses only results in
progress. The order of the lines has no meaning.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock, Timeout

from ridgebayes.errors import InputError
from ridgebayes.io.atomic import whole_file

LOCK = ".lock"


class Ledger:
    """The folder of a running job, locked by one process at a time.

    Parameters
    ----------
    path
        The folder, created if missing.
    name
        File name of the record, such as ``sbc.toml``.
    table
        File name of the results.
    record
        Record of the job.
    check
        Function of the existing record, if any. It raises if that is another job, and returns True if the
        new record should replace it, for example for a larger job.

    Raises
    ------
    InputError
        If another process has locked it, it cannot be written, or it contains another job.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        table: str,
        record: Mapping[str, Any],
        check: Callable[[dict[str, Any]], bool],
    ) -> None:
        self.path, self.table = path, path / table
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / LOCK)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{path}: another process is at it: wait, or give another folder") from None
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror}): choose another folder"
            ) from error
        try:
            self._begin(path / name, record, check)
        except BaseException:
            self.close()
            raise

    def _begin(self, file: Path, record: Mapping[str, Any], check: Callable[[dict[str, Any]], bool]) -> None:
        begun = file.is_file()
        if not begun and self.table.exists():
            raise InputError(f"{self.table}: says not of what ({file.name} is missing): give another folder")
        if not begun or check(read_toml(file)):
            text = tomlkit.dumps(record)
            with whole_file(file) as new:
                new.write_text(text, encoding="utf-8")
        if self.table.exists():
            # Remove an incomplete last line of a process that was killed.
            with self.table.open("r+b") as lines:
                lines.truncate(len(_whole_lines(lines.read())))

    def add(self, result: Mapping[str, Any]) -> None:
        """Append a result; numbers that are not finite become null."""
        with self.table.open("ab", buffering=0) as file:
            file.write(json.dumps(_finite(result), allow_nan=False).encode() + b"\n")
            os.fsync(file.fileno())

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()


def read_toml(file: Path) -> dict[str, Any]:
    """Read the record of a job.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error}): give another folder") from error


def read_record(path: Path, name: str, begin: str) -> dict[str, Any]:
    """Read the record `name` of the job in a folder.

    Raises
    ------
    InputError
        If it is missing or cannot be read; the message gives `begin`, the command that starts such a job.
    """
    if not (path / name).is_file():
        raise InputError(f"{path}: is no campaign ({name} is missing): run `{begin}`")
    return read_toml(path / name)


def read_lines(table: Path) -> list[dict[str, Any]]:
    """Read all complete results; the job may still be running.

    Raises
    ------
    InputError
        If a line is not a JSON object.
    """
    if not table.exists():
        return []
    found: list[dict[str, Any]] = []
    for n, line in enumerate(_whole_lines(table.read_bytes()).splitlines(), start=1):
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise InputError(f"{table}, line {n}: cannot be read ({error}): remove that line") from error
    return found


def _whole_lines(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
