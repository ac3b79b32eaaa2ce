"""Advice for fits that have not converged: options of ``ridgebayes fit``, ready to be typed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ridgebayes.inference.settings import TIMES, Settings

ENOUGH = Settings.draws
"""Default number of draws of each chain."""
_ROOM = 1.3  # an ESS is an estimate
_ROUND = 100


def enough() -> str:
    """Return the option for enough draws to judge convergence."""
    return f"--draws {ENOUGH}"


def more_draws(draws: int, times: float) -> str:
    """Return the option for `times` as many draws a chain, eight times at most; later advice asks for more.

    Examples
    --------
    >>> more_draws(500, 2.0)
    '--draws 1300'
    """
    times = min(max(times, 1.0), TIMES[-1]) if math.isfinite(times) else TIMES[-1]
    return f"--draws {math.ceil(draws * times * _ROOM / _ROUND) * _ROUND}"


def together(advice: Iterable[str]) -> dict[str, int]:
    """Join advice: option → the largest of the numbers that are advised.

    Examples
    --------
    >>> together(["--draws 600", "--draws 1300", "--chains 4", ""])
    {'draws': 1300, 'chains': 4}
    """
    found: dict[str, int] = {}
    for text in advice:
        words = text.split()
        for option, number in zip(words[::2], words[1::2], strict=True):
            name = option.removeprefix("--")
            found[name] = max(found.get(name, 0), int(number))
    return found
