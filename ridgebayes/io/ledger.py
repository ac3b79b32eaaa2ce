"""A folder that fills up while a long job runs: what the job is, in TOML, and a line of JSON for each result.

A line is written whole when its result is there: a process that is killed loses what it was working on, no
more. The order of the lines means nothing.
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
    """The folder of a job that runs; only one process at a time has it.

    Parameters
    ----------
    path
        The folder; made where there is none.
    name
        Of the record, such as ``sbc.toml``.
    table
        Name of the file with the lines.
    record
        What the job is.
    check
        Called with the record of a job that was begun there before: refuses another one, and tells whether
        the new record takes its place, as that of a larger job.

    Raises
    ------
    InputError
        When another process has it, it cannot be written, or it holds another job.
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
            # The end of a line that was being written when the process was killed.
            with self.table.open("r+b") as lines:
                lines.truncate(len(_whole_lines(lines.read())))

    def add(self, result: Mapping[str, Any]) -> None:
        """Write the line of a result; what is not a finite number becomes null."""
        with self.table.open("ab", buffering=0) as file:
            file.write(json.dumps(_finite(result), allow_nan=False).encode() + b"\n")
            os.fsync(file.fileno())

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.release()


def read_toml(file: Path) -> dict[str, Any]:
    """Read the record of a job.

    Raises
    ------
    InputError
        When it cannot be read.
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
        When it cannot be read, or there is none: `begin` is the command that begins such a job.
    """
    if not (path / name).is_file():
        raise InputError(f"{path}: is no campaign ({name} is missing): run `{begin}`")
    return read_toml(path / name)


def read_lines(table: Path) -> list[dict[str, Any]]:
    """Read the results that are there; the job may still be running.

    Raises
    ------
    InputError
        When a line is not a table of JSON.
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
