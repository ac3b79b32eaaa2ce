"""Options that several commands take, and how their texts are read."""

from __future__ import annotations

from ridgebayes.errors import InputError


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Read NAME=VALUE texts of a repeatable option."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"{option} {text}: not of the form NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def number(text: str, what: str) -> float:
    """Read a number, or say what it was for."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{what}={text}: not a number") from None
