"""Make the command of a product from its object (`ridgebayes.outputs`): options, files and messages."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import (
    band_option,
    components_option,
    crab_spectrum_option,
    draws_option,
    format_option,
    no_classical_option,
    nside_option,
    open_run,
    out_option,
    pairs,
    plain_option,
    quantity_option,
    redistribution_option,
    region_option,
    run_argument,
    scws_option,
    seed_option,
    sky_option,
    stacked,
)
from ridgebayes.cli.ending import Products, check_new
from ridgebayes.errors import InputError
from ridgebayes.markup import marked
from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Writes

SHARED: dict[str, Callable] = {
    "bands": band_option,
    "crab_spectrum": crab_spectrum_option,
    "draws": draws_option,
    "model": components_option,
    "names": region_option,
    "no_classical": no_classical_option,
    "nside": nside_option,
    "priors": click.option(
        "--prior",
        "priors",
        multiple=True,
        metavar="NAME=PRIOR",
        callback=lambda context, option, texts: pairs(texts, "--prior"),
        help="Change a prior (repeatable).",
    ),
    "quantity": quantity_option,
    "redistribution": redistribution_option,
    "scws": scws_option,
    "seed": seed_option,
    "sky": sky_option(None),
}
"""Shared options of products: argument → option."""


def command_of(product: Product) -> click.Command:
    """Return the command of a product."""

    def command(run: Path, out: Path | None, overwrite: bool, plain: bool = True, **options: Any) -> None:
        opened = open_run(run, plain=plain)
        files = Products(out or run / product.folder, overwrite=overwrite)
        step, why = product.next
        for part in product.make(opened, **options):
            write(part, files, opened, product.figures or "png")
            if isinstance(part, Message) and part.ends:
                step, why = part.ends
                break
        if product.calibrated:
            click.echo(f"intervals: {_intervals(opened, plain)}")
        regions = "".join(f" --region {shlex.quote(name)}" for name in options.get("names", ()))
        files.end((step.format(run=shlex.quote(str(run)), regions=regions), why))

    options = stacked(
        run_argument,
        *([plain_option] if product.calibrated else []),
        *(SHARED[option] if isinstance(option, str) else option for option in product.options),
        *([format_option(product.figures)] if product.figures else []),
        out_option(product.folder),
    )
    return click.command(product.name, help=inspect.getdoc(product.make), short_help=product.short)(
        options(command)
    )


def _intervals(run: Any, plain: bool) -> str:
    """Say which draws a product took."""
    from ridgebayes.runs.intensity import CALIBRATED, calibration

    if run.record.get("draws") == CALIBRATED:
        return "calibrated by revolution"
    why = "--plain" if plain else f"not calibrated: {calibration(run.record).removeprefix('none: ')}"
    return f"of the posterior ({why})"


def write(part: Part, files: Products, run: Any, suffix: str) -> None:
    """Write or print a part of a product of a run."""
    match part:
        case Writes(names):
            check_new((files.folder / name for name in names), overwrite=files.overwrite)
        case File():
            try:
                _write(part, files, run)
            except InputError as error:
                if part.refused is None:
                    raise
                part.refused.append(str(error))
        case Figure(name, draw):
            files.figure(f"{name}.{suffix}", draw)
        case Message(text, mark):
            text = text.replace("{folder}", str(files.folder))
            click.echo(marked(text, mark and run.simulated))


def _write(part: File, files: Products, run: Any) -> None:
    from ridgebayes.outputs.steps import stamped

    content = part.content
    if isinstance(content, str):
        files.text(part.name, content)
    elif callable(content):
        path = files.folder / part.name
        check_new([path], overwrite=files.overwrite)
        files.written += content(path) or [path]
    else:
        files.table(part.name, stamped(run, content))
