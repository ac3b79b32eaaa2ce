"""Translate arguments in error messages (``overwrite=True``) to options (``--overwrite``)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

_OTHER_NAMES = {
    "--dead-time": "live",
    "--replicates": "draws",
    "--prior-draws": "draws",
    "--rank-draws": "draws",
}
"""Option → argument, for options that have another name than their argument."""

_ITEM = re.compile(r"'([^']*)': ([^,}]+)")


def options_of(command: click.Command) -> dict[str, str]:
    """Return the option of each argument of a command, such as ``overwrite`` → ``--overwrite``.

    ``overwrite`` is always included, because messages of commands without it may suggest another fit with it.
    """
    found = {"overwrite": "--overwrite"}
    for parameter in command.params:
        longest = max(parameter.opts, key=len)
        if longest.startswith("--"):
            found[str(parameter.name)] = found[longest[2:].replace("-", "_")] = longest
            found[_OTHER_NAMES.get(longest, str(parameter.name))] = longest
    return found


def in_options(message: str, options: Mapping[str, str]) -> str:
    """Replace arguments in a message by options.

    Examples
    --------
    >>> in_options("such as crab_rate={'A01': 119, 'A02': …}", {"crab_rate": "--crab-rate"})
    'such as --crab-rate A01=119 --crab-rate A02=…'
    >>> in_options("give other scws=..., or overwrite=True", {"overwrite": "--overwrite", "scws": "--scws"})
    'give other --scws, or --overwrite'
    >>> in_options("take quantity='fov'", {"quantity": "--quantity"})
    'take --quantity fov'
    >>> in_options("draws = 2: at least 10", {"draws": "--replicates"})
    '--replicates 2: at least 10'
    """

    def named(found: re.Match[str]) -> str:
        option, value = options.get(found["name"]), found["value"]
        if option is None:
            return found[0]
        if items := _ITEM.findall(value):
            return " ".join(f"{option} {_word(f'{name}={one}')}" for name, one in items)
        return option if value in ("True", "...") else f"{option} {value.strip(chr(39))}"

    return re.sub(
        r"(?<![\w.'-])(?P<name>[a-z_]+) ?= ?(?P<value>True\b|\.\.\.|'[^']*'|{[^{}]*}|-?[\d.]*\d)",
        named,
        message,
    )


def _word(text: str) -> str:
    return f"'{text}'" if " " in text else text


def say_in_options(text: str) -> None:
    """Print a text of the library with the options of the running command."""
    click.echo(in_options(text, options_of(click.get_current_context().command)))
