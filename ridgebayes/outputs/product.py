"""What a product of a run is: one object from which its command, the export and the report are made."""

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
"""Where products are in a run directory."""

Section = Literal["Sky", "Detector"]
"""What a product is about."""

SECTIONS: tuple[Section, ...] = get_args(Section)
"""The order in which an export and a report show them."""


@dataclass(frozen=True)
class Writes:
    """Names of files that will be written: where one is there already, nothing is computed."""

    names: Sequence[str]


@dataclass(frozen=True)
class File:
    """A file.

    Attributes
    ----------
    name
        Its name in the folder of the product.
    content
        A table, which is written as ECSV; a text; or what writes the file at a path, and returns the paths
        where it writes more than one.
    refused
        Collects the reason if the file cannot be written, and the product goes on; None to stop there.
    """

    name: str
    content: QTable | str | Callable[[Path], Iterable[Path] | None]
    refused: list[str] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure: its name without an ending, and what draws it."""

    name: str
    draw: Callable[[], MatplotlibFigure]


@dataclass(frozen=True)
class Message:
    """What is said on the terminal.

    Attributes
    ----------
    text
        The lines; ``{folder}`` is where the files are.
    marked
        Begin with the mark of simulated data, where they are simulated; False for a note.
    ends
        The product ends here; what to go on with then, and what it is for.

    Examples
    --------
    >>> from ridgebayes.outputs.product import Words
    >>> said = Words("Rates are in {folder}.", marked=False)
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
    """A figure of the report: its name, its caption, and what draws it for a run."""

    name: str
    caption: str
    draw: Callable[[Run], MatplotlibFigure]


@dataclass(frozen=True)
class Product:
    """A product of a run.

    Attributes
    ----------
    name
        Of the command.
    short
        What lists of commands say of it, where there is no room for its first sentence.
    make
        ``make(run, **options)`` yields the parts of the product in the order in which they are written and
        said. Its docstring is the help of the command. Tables without provenance get that of the run.
    options
        Options of the command: names of those that products share (`ridgebayes.cli.products.SHARED`), and
        `click.option` for its own. The values go to `make` under their names.
    next
        What to go on with, and what it is for; ``{run}`` is the run directory, ``{regions}`` the options that
        name the regions.
    calibrated
        Made from the calibrated draws, where a run has these; `--plain` asks for the others.
    figures
        Format of the figures unless `--format` says otherwise; empty where that is no option.
    folder
        Of the run directory, for the files.
    section
        What the product is about: the heading of its figures in the report, and its place in an export.
    exported
        What an export takes of it.
    shown
        Its figures in the report.

    Examples
    --------
    >>> from ridgebayes.outputs.product import Product, Words
    >>> def make(run):
    ...     yield Words(f"{len(run.scws)} ScWs")
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
