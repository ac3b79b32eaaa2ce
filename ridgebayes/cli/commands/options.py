"""Options that several commands take, and how their texts are read."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.errors import InputError

run_argument = click.argument("run", type=click.Path(path_type=Path))
"""The run directory that a product is made from."""

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("products"),
    show_default=True,
    help="Folder to write into; files of the same names are replaced.",
)
plain_option = click.option(
    "--plain",
    is_flag=True,
    help="Take the posterior's own intervals, not those calibrated by revolution.",
)
scws_option = click.option(
    "--scws",
    type=click.Path(path_type=Path),
    help="The ScW table that was fitted, where it is no longer where it was.",
)


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
