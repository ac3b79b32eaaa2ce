"""The end of every command: the files that it wrote, and what to do next."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ridgebayes.errors import InputError, RidgeBayesWarning, command

FIGURE_FORMAT = "ridgebayes.figure_format"
"""Key of the format of figures in the context of a command."""

Step = tuple[str, str]
"""A command to run next, and its purpose."""


def check_new(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Raise an error for files that exist already, before any computation.

    Raises
    ------
    InputError
        If a file exists and may not be replaced.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists already: choose another --out, or --overwrite")


def same_command(**changes: Any) -> str:
    """Return the shell command that is running, with some options changed.

    Parameters
    ----------
    **changes
        Name of an argument of the command → its value: True for a flag, None to leave the option out.
    """
    context = click.get_current_context()
    values = {name: value for name, value in context.params.items() if _typed(context, name)} | changes
    words: list[object] = [context.info_name]
    for parameter in context.command.params:
        value = values.get(str(parameter.name))
        if value is None:
            continue
        several = parameter.multiple or parameter.nargs != 1
        for one in value if several else [value]:
            if isinstance(parameter, click.Argument):
                words.append(one)
            else:
                words += [max(parameter.opts, key=len), *([] if one is True else [one])]
    return command(*words)


def _typed(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


_ENDING = re.compile(r"(\.(fits|fit|ecsv|csv|parquet))?(\.gz)?$", re.IGNORECASE)
"""The ending of the name of a table, which is not part of the name of a run."""


def fit_command(file: Path, *options: object) -> str:
    """Return the command that fits a table; the run directory has the name of the table."""
    return command("fit", file, "--out", Path("runs") / _ENDING.sub("", file.name), *options)


def end_with(run: Any) -> None:
    """Exit with the code for chains that did not converge, if those of the run did not."""
    from ridgebayes.runs.convergence import EXIT, not_converged

    if not_converged(run):
        click.get_current_context().exit(EXIT)


@contextmanager
def said_at_the_end() -> Iterator[None]:
    """Suppress warnings that the command itself repeats at its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RidgeBayesWarning)
        yield


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Print each warning of the package once, on one line, at the end; none after an error."""
    found: dict[str, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("always", RidgeBayesWarning)
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, RidgeBayesWarning):
                found[f"WARNING: {message}"] = None
            else:
                show(message, category, *where, **more)

        warnings.showwarning = collect
        yield
    for line in found:
        click.echo(line, err=True)


class Products:
    """Files that a command writes into a folder.

    Parameters
    ----------
    folder
        The folder.
    names
        Files that are always written: if one exists, an error is raised before any computation.
    overwrite
        Replace existing files.
    """

    def __init__(self, folder: Path, *names: str, overwrite: bool) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.written: list[Path] = []
        check_new((folder / name for name in names), overwrite=overwrite)

    def path(self, name: str) -> Path:
        """Return the path of a file that is about to be written."""
        path = self.folder / name
        check_new([path], overwrite=self.overwrite)
        self.written.append(path)
        return path

    def table(self, name: str, table: Any) -> None:
        """Write a table in ECSV."""
        from ridgebayes.io.product_tables import write_ecsv

        write_ecsv(table, self.path(name))

    def text(self, name: str, text: str) -> None:
        """Write a text file."""
        from ridgebayes.io.atomic import whole_file

        with whole_file(self.path(name)) as scratch:
            scratch.write_text(text, encoding="utf-8")

    def figure(self, name: str, make: Callable[[], Any]) -> None:
        """Draw and write a figure, in the format of `--format` if the command has this option."""
        from ridgebayes.plots.style import write_figure

        chosen = click.get_current_context().meta.get(FIGURE_FORMAT)
        write_figure(make, self.path(name if chosen is None else str(Path(name).with_suffix(f".{chosen}"))))

    def end(self, *steps: Step) -> None:
        """Print the files that were written, and what to do next."""
        say_written(self.written)
        say_next(*steps)


def say_written(paths: Iterable[Path]) -> None:
    """Print the files that were written, one line per folder."""
    folders: dict[Path, list[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path.name)
    for folder, names in folders.items():
        click.echo(f"wrote {folder}: {', '.join(names)}")


def say_next(*steps: Step, err: bool = False) -> None:
    """Print the next steps, one line per command; to stderr if the user redirects stdout to a file."""
    width = max((len(step) for step, _ in steps), default=0)
    for k, (step, why) in enumerate(steps):
        click.echo(f"{'next:' if k == 0 else '':<6}{step:<{width}}  {why}".rstrip(), err=err)
