"""The one exception for input a user can mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input: one line naming the file, row or column, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)``, or the list of known names when none is near.

    Parameters
    ----------
    name
        What the user wrote.
    known
        The names that exist.
    """
    known = list(known)
    folded = {k.casefold(): k for k in known}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    if close:
        return f" (did you mean '{folded[close[0]]}'?)"
    return f" (known: {', '.join(known)})" if known else ""
