"""Priors in TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit

from ridgebayes.errors import InputError
from ridgebayes.priors.parameters import Parameter, fixed_value
from ridgebayes.priors.text import describe, parse_prior, spell


def read_priors(path: str | Path) -> dict[str, Any]:
    """Read priors from a TOML file.

    Parameters
    ----------
    path
        File with quoted names (``"background.scatter" = "HalfNormal(0.02)"``) or tables (``[background]``,
        ``scatter = "HalfNormal(0.02)"``). Text is a prior; a number or an array fixes the parameter.

    Returns
    -------
    dict
        Name → text, number or list, for `with_priors`.

    Raises
    ------
    InputError
        If the file is wrong; the message names file and key.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ridgebayes.priors import read_priors
    >>> _ = Path("priors.toml").write_text('"background.scatter" = "HalfNormal(0.02)"')
    >>> read_priors("priors.toml")
    {'background.scatter': 'HalfNormal(0.02)'}
    """
    path = Path(path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise InputError(f"{path}: cannot be read ({reason})") from error
    except (ValueError, RecursionError) as error:  # besides TOMLDecodeError: endless numbers and nesting
        raise InputError(f"{path}: not TOML ({error})") from error
    priors: dict[str, Any] = {}
    for name, value in _flat(found, ""):
        if name in priors:
            raise InputError(f"{path}: '{name}' is given twice")
        try:
            if isinstance(value, str):
                parse_prior(value)
            elif isinstance(value, list | int | float) and not isinstance(value, bool):
                fixed_value(name, value)
            else:
                raise InputError(f"prior '{name}': {value!r} is neither a text nor a number")
        except InputError as error:
            raise InputError(f"{path}: {name}: {error}") from None
        priors[name] = value
    return priors


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """Return name and value of every entry; names of nested tables are joined by dots."""
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return found


def priors_toml(parameters: Mapping[str, Parameter]) -> str:
    """Write priors as TOML for `read_priors`, with units and meanings as comments.

    A prior without text (see `spell`) is a comment in the file; reading keeps that of the model.

    Examples
    --------
    >>> from ridgebayes.priors import Parameter, parse_prior, priors_toml
    >>> flux = Parameter(parse_prior("HalfNormal(2)"), "mCrab", ("band",), "flux of a source")
    >>> print(priors_toml({"source.flux": flux}))
    [source]
    # flux of a source [mCrab]
    flux = "HalfNormal(2)"
    """
    document = tomlkit.document()
    tables: dict[str, Any] = {"": document}
    for name, parameter in sorted(parameters.items(), key=lambda item: "." in item[0]):
        group, _, key = name.partition(".") if "." in name else ("", "", name)
        if group not in tables:
            tables[group] = tomlkit.table()
        table, text = tables[group], spell(parameter.prior)
        unit = f" [{parameter.unit}]" if parameter.unit else ""
        table.add(tomlkit.comment(f"{parameter.meaning}{unit}"))
        if text is None:
            table.add(tomlkit.comment(f"{key}: {describe(parameter.prior)} cannot be written as text"))
        elif parameter.fixed:
            table.add(key, np.asarray(parameter.prior, float).tolist())
        else:
            table.add(key, text)
    for group, table in tables.items():
        if group:
            document.add(group, table)
    return tomlkit.dumps(document)
