"""Which versions of the software decide the numbers, and whether they are the same elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from ridgebayes.errors import InputError

PACKAGES = ("ridgebayes", "jax", "jaxlib", "numpyro", "numpy")
"""Other versions of these give other numbers."""


def software() -> dict[str, str]:
    """Package → version, here."""
    return {package: version(package) for package in PACKAGES}


def other(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return the first package whose version differs, the version then and that now; None without one."""
    for package, number in now.items():
        if then[package] != number:
            return package, then[package], number
    return None


def recorded(record: Mapping[str, Any]) -> dict[str, str]:
    """Package → version, as a record tells them: of ridgebayes by itself, of others under ``versions``."""
    told = {**record["versions"], "ridgebayes": record["ridgebayes"]}
    return {package: str(told[package]) for package in PACKAGES}


def check_same(
    record: Mapping[str, Any], where: object, remedy: str, now: Mapping[str, str] | None = None
) -> None:
    """Refuse to go on with what other software has begun, which would give other numbers.

    Parameters
    ----------
    record
        Of a run or a campaign.
    where, remedy
        For the message: what was begun, and what to do but to install the other version.
    now
        Package → version, by default as it is installed here.

    Raises
    ------
    InputError
        When a version differs.
    """
    differs = other(recorded(record), software() if now is None else now)
    if differs:
        package, old, new = differs
        raise InputError(
            f"{where}: was begun with {package} {old}, and this is {new}: install that one, or {remedy}"
        )
