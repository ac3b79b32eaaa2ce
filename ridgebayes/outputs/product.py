"""A product of a run: one object, from which its command, the export and the report are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure as MatplotlibFigure

    from ridgebayes.outputs.steps import Options, Step
    from ridgebayes.runs.run import Run


FOLDER = "products"
"""Folder of products in a run directory."""

Section = Literal["Sky", "Detector"]
"""What a product is about."""

SECTIONS: tuple[Section, ...] = get_args(Section)
"""The order in which an export and a report show them."""


@dataclass(frozen=True)
class Writes:
    """Names of files that will be written: if one exists, an error is raised before any computation."""

    names: Sequence[str]


@dataclass(frozen=True)
class File:
    """A file.

    Attributes
    ----------
    name
        Its name in the folder of the product.
    content
        A table, which is written as ECSV; a text; or a function that writes the file at a path, and returns
        the paths if it writes several files.
    refused
        List to which the reason is added if the file cannot be written; None to raise the error.
    """

    name: str
    content: QTable | str | Callable[[Path], Iterable[Path] | None]
    refused: list[str] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure: its name without the ending, and the function that draws it."""

    name: str
    draw: Callable[[], MatplotlibFigure]


@dataclass(frozen=True)
class Message:
    """A message on the terminal.

    Attributes
    ----------
    text
        The lines; ``{folder}`` is the folder of the files.
    marked
        Begin with the mark of simulated data if they are simulated; False for a note.
    ends
        If given, the product ends here; the next command, and its purpose.

    Examples
    --------
    >>> from ridgebayes.outputs.product import Message
    >>> said = Message("Rates are in {folder}.", marked=False)
    >>> said.text.format(folder="products")
    'Rates are in products.'
    """

    text: str
    marked: bool = True
    ends: tuple[str, str] | None = None


Part = Writes | File | Figure | Message
"""What the function of a product yields."""


@dataclass(frozen=True)
class Shown:
    """A figure of the report: its name, its caption, and the function that draws it for a run."""

    name: str
    caption: str
    draw: Callable[[Run], MatplotlibFigure]


@dataclass(frozen=True)
class Product:
    """A product of a run.

    Attributes
    ----------
    name
        Name of the command.
    short
        Short help of the command, for lists of commands.
    make
        ``make(run, **options)`` yields the parts of the product in the order in which they are written and
        printed. Its docstring is the help of the command. Tables without provenance get that of the run.
    options
        Options of the command: names of shared options (`ridgebayes.cli.products.SHARED`), and
        `click.option` for others. The values are passed to `make` by name.
    next
        The next command, and its purpose; ``{run}`` is the run directory, ``{regions}`` the options that name
        the regions.
    calibrated
        Whether it uses the calibrated draws, if a run has these; `--plain` selects the others.
    figures
        Default format of the figures; if empty, there is no option `--format`.
    folder
        Folder in the run directory, for the files.
    section
        What the product is about: the heading of its figures in the report, and its place in an export.
    exported
        Function that returns its steps of an export; None if it is not exported.
    shown
        Its figures in the report.

    Examples
    --------
    >>> from ridgebayes.outputs.product import Product, Message
    >>> def make(run):
    ...     yield Message(f"{len(run.scws)} ScWs")
    >>> count = Product("count", "number of ScWs", make)
    >>> count.next[0], count.folder
    ('ridgebayes report {run}', 'products')
    """

    name: str
    short: str
    make: Callable[..., Iterator[Part]]
    options: tuple[str | Callable[[Any], Any], ...] = ()
    next: tuple[str, str] = ("ridgebayes report {run}", "one page about the run")
    calibrated: bool = True
    figures: str = ""
    folder: str = FOLDER
    section: Section = "Sky"
    exported: Callable[[Run, Options], Iterable[Step]] | None = None
    shown: tuple[Shown, ...] = ()
