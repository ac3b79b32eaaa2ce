"""``ridgebayes completion``: shell completion of commands, options and names."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from ridgebayes.cli.ending import say_next

SHELLS = ("bash", "zsh", "fish")
_FILES = {
    "bash": "~/.local/share/bash-completion/completions/ridgebayes",
    "zsh": "~/.zsh/completions/_ridgebayes",
    "fish": "~/.config/fish/completions/ridgebayes.fish",
}


@click.command(short_help="Print the script for completion of commands in the shell")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print the script with which the shell completes commands, options, models and skies (Tab key).

    SHELL is bash, zsh or fish; by default the one that you use.

    \b
    Examples:
      eval "$(ridgebayes completion)"
      ridgebayes completion fish > ~/.config/fish/completions/ridgebayes.fish
    """
    from ridgebayes.errors import InputError

    own = Path(os.environ.get("SHELL", "bash")).name
    shell = shell or own
    if shell not in SHELLS:
        raise InputError(f"no completion for {shell}: give one of {', '.join(SHELLS)}")
    kind = get_completion_class(shell)
    assert kind is not None
    group = context.find_root().command
    click.echo(kind(group, {}, "ridgebayes", "_RIDGEBAYES_COMPLETE").source())
    say_next((f"ridgebayes completion {shell} > {_FILES[shell]}", "keep it for every new shell"), err=True)
