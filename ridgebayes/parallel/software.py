"""Versions of the software that determine the numbers, and checks that they are the same elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from ridgebayes.errors import InputError

PACKAGES = ("ridgebayes", "jax", "jaxlib", "numpyro", "numpy")
"""Packages whose other versions may give other numbers."""


def software() -> dict[str, str]:
    """Package → version in this process."""
    return {package: version(package) for package in PACKAGES}


def other(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return the first package whose version differs, with old and new version; None if all are the same."""
    for package, number in now.items():
        if then[package] != number:
            return package, then[package], number
    return None


def recorded(record: Mapping[str, Any]) -> dict[str, str]:
    """Package → version in a record."""
    told = {**record["versions"], "ridgebayes": record["ridgebayes"]}
    return {package: str(told[package]) for package in PACKAGES}


def check_same(
    record: Mapping[str, Any], where: object, remedy: str, now: Mapping[str, str] | None = None
) -> None:
    """Refuse to continue work that was begun with other versions, which would give other numbers.

    Parameters
    ----------
    record
        Record of a run or a campaign.
    where, remedy
        For the message: the work, and what to do other than install the old version.
    now
        Package → version, by default as installed.

    Raises
    ------
    InputError
        If a version differs.
    """
    differs = other(recorded(record), software() if now is None else now)
    if differs:
        package, old, new = differs
        raise InputError(
            f"{where}: was begun with {package} {old}, and this is {new}: install that one, or {remedy}"
        )
