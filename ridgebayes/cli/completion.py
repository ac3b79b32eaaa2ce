"""Shell completion of names; a list is read only when the user presses Tab."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem


def complete_models(context: click.Context, option: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the name of a shipped model, or a file."""
    from ridgebayes.models import MODELS

    return _some(MODELS, typed)


def complete_skies(context: click.Context, option: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the name of a shipped region set, or a file."""
    from ridgebayes.sky import shipped

    return _some(shipped(), typed)


def complete_extras(context: click.Context, option: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the name of an extra."""
    from ridgebayes.model.extensions import EXTRAS

    return [CompletionItem(name) for name in EXTRAS if name.startswith(typed)]


def _some(names: Iterable[str], typed: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in names if name.startswith(typed)]
    return found or [CompletionItem(typed, type="file")]
