"""The command line: ``ridgebayes COMMAND``.

Exit code 0 on success, 2 for an error that the user can correct (one line on stderr), 3 for a fit whose
chains did not converge, 1 for any other error; `--debug` shows the traceback.
"""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import sys
from typing import Any

import click

from ridgebayes.cli.commands.append import append
from ridgebayes.cli.commands.bench import bench
from ridgebayes.cli.commands.campaign import campaign
from ridgebayes.cli.commands.check import check
from ridgebayes.cli.commands.compare import compare
from ridgebayes.cli.commands.completion import completion
from ridgebayes.cli.commands.convert import convert
from ridgebayes.cli.commands.export import export
from ridgebayes.cli.commands.fit import demo, fit, resume, update
from ridgebayes.cli.commands.inspect import inspect
from ridgebayes.cli.commands.loo import loo
from ridgebayes.cli.commands.model import model, models
from ridgebayes.cli.commands.prior import prior
from ridgebayes.cli.commands.rates import rates
from ridgebayes.cli.commands.report import report
from ridgebayes.cli.commands.sbc import sbc
from ridgebayes.cli.commands.screen import screen
from ridgebayes.cli.commands.sensitivity import sensitivity
from ridgebayes.cli.commands.simulate import simulate
from ridgebayes.cli.ending import warnings_in_a_line
from ridgebayes.cli.products import command_of
from ridgebayes.cli.wording import in_options, options_of
from ridgebayes.environment import (
    begin_again,
    for_commands,
    import_problem,
    platform_problem,
    settings_problem,
)
from ridgebayes.errors import InputError, nearest
from ridgebayes.outputs import PRODUCTS

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

_SAMPLING = {c.name for c in (fit, resume, update, check, loo, compare, sbc, campaign, bench)}

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "A first look": (demo, simulate),
    "The table of ScWs": (rates, convert, append, screen, inspect),
    "Models": (models, model, prior),
    "Fit": (fit, resume, update),
    "Is it right?": (check, loo, compare, sensitivity, sbc, campaign),
    "Products of a run": (*map(command_of, PRODUCTS.values()), export, report),
    "This machine": (bench, completion),
}
"""Heading in the help → commands."""


class _Commands(click.Group):
    """A group with commands in sections, suggestions for unknown commands, and errors of one line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by purpose, in the order of their use."""
        formatter.width = max(formatter.width, 100)  # wide enough for the short helps
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(c.name), c.get_short_help_str(76)) for c in commands])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find a command; suggest the nearest for an unknown name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}'{nearest(args[0], self.commands)}.")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if not args and kwargs.get("args") is None:  # not called from Python
            begin_again(large=not _SAMPLING.isdisjoint(sys.argv))
        for_commands()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings_in_a_line():
                return super().invoke(ctx)
        except InputError as error:
            if ctx.params.get("debug"):
                raise
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            message = in_options(str(error), options_of(command) if command else {})
            click.echo(f"ridgebayes: {message}", err=True)
            ctx.exit(2)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as stopped:
            usual = "interrupted: no file is incomplete; the same command starts again, or continues"
            click.echo(f"ridgebayes: {stopped if stopped.args else usual}", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            if isinstance(error, OSError) and (error.errno in _NO_ROOM or "temporary" in str(error)):
                click.echo(f"ridgebayes: {error.strerror}: free some disk space, then run it again", err=True)
                ctx.exit(2)
            problem = import_problem(error) or settings_problem(error) or platform_problem()
            if problem is not None:
                click.echo(f"ridgebayes: {problem}", err=True)
                ctx.exit(2)
            reason = str(error).splitlines()[0] if str(error) else ""
            click.echo(f"ridgebayes: {type(error).__name__}: {reason} (--debug shows where)", err=True)
            ctx.exit(1)


@click.group(cls=_Commands, context_settings=CONTEXT)
@click.option("--debug", is_flag=True, help="Show tracebacks and debugging messages.")
@click.version_option(package_name="ridgebayes")
def main(debug: bool) -> None:
    """Measure the Galactic diffuse hard X-ray emission with INTEGRAL/IBIS/ISGRI.

    \b
    Start with:  ridgebayes demo
    Then:        ridgebayes inspect FILE,  ridgebayes fit FILE --out runs/first
    """
    # Frequent garbage collection took 8 % of the time of a short fit, and one second at exit.
    gc.set_threshold(200_000, 20, 20)
    atexit.register(gc.freeze)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("ridgebayes").setLevel(logging.DEBUG if debug else logging.INFO)


for commands in SECTIONS.values():
    for command in commands:
        main.add_command(command)
