"""``ridgebayes model``: parameters of a model and their priors; options that change them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import FILE, model_option, pairs, sky_option, stacked
from ridgebayes.cli.completion import complete_extras
from ridgebayes.cli.ending import say_next

prior_options = stacked(
    click.option(
        "--prior", "priors", multiple=True, metavar="NAME=PRIOR", help="Change a prior (repeatable)."
    ),
    click.option(
        "--priors",
        "prior_file",
        type=FILE,
        metavar="FILE.toml",
        help="Priors from a TOML file, as `ridgebayes model --toml` writes it; --prior overrides it.",
    ),
)


def model_options(sky: str = "milkyway", *, more_extras: str = "") -> Callable[[Callable], Callable]:
    """Return the options that choose sky (`sky` by default), extras and priors of a model."""
    return stacked(
        sky_option(sky),
        click.option(
            "--extra",
            "extras",
            multiple=True,
            metavar="NAME",
            shell_complete=complete_extras,
            help="Add an extra (repeatable): correlated_noise, outliers, transients, smooth_crab, "
            f"free_latitude{more_extras}.",
        ),
        prior_options,
    )


def change_priors(model: Any, texts: tuple[str, ...], prior_file: Path | None) -> Any:
    """Return the model with the priors of a file, overridden by those of --prior."""
    from ridgebayes.errors import InputError
    from ridgebayes.priors import read_priors

    changes = pairs(texts, "--prior")
    if prior_file:
        found = read_priors(prior_file)
        try:
            model = model.with_priors(found)
        except InputError as error:
            raise InputError(f"{prior_file}: {error}") from None
    return model.with_priors(changes)


@click.command(short_help="Print a model: parameters, priors, units, axes")
@model_option
@model_options()
@click.option("--toml", is_flag=True, help="Print the priors as a TOML file that --priors reads back.")
def model(
    name: str,
    sky: str,
    extras: tuple[str, ...],
    priors: tuple[str, ...],
    prior_file: Path | None,
    toml: bool,
) -> None:
    """Print a model: every parameter with prior, unit, axes and meaning.

    \b
    Examples:
      ridgebayes model
      ridgebayes model --extra outliers --prior 'background.scatter=Shared(HalfNormal(0.02), band)'
      ridgebayes model --toml > priors.toml
    """
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.priors import priors_toml

    built = change_priors(models.find(name)(skies.load(sky)).with_extras(*extras), priors, prior_file)
    if toml:
        click.echo(priors_toml(built.parameters).rstrip())
        say_next(
            ("ridgebayes fit FILE --priors FILE.toml --out runs/first", "with these, saved as FILE.toml"),
            err=True,
        )
        return
    click.echo(built)
    say_next(
        ("ridgebayes models", "the other models"),
        (f"ridgebayes prior FILE --model {name}", "compare these priors with the data of a table"),
    )


@click.command(short_help="List the models, with a description of their sky")
def models() -> None:
    """List the models: name, and description of the sky.

    \b
    Example:  ridgebayes models
    """
    from importlib import import_module
    from inspect import getdoc

    from ridgebayes.models import MODELS

    width = max(map(len, MODELS))
    for name, build in MODELS.items():
        about = getdoc(import_module(build.__module__)) or ""
        click.echo(f"{name:<{width}}  {about.splitlines()[0]}")
    say_next(
        ("ridgebayes model --model NAME", "its parameters and priors"),
        ("ridgebayes fit FILE --model NAME --out runs/NAME", "sample its posterior"),
    )
