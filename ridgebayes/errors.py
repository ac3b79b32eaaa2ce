"""The one exception for input a user can mend, and the one warning."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 800
"""Letters of a message: what a broken file holds may be of any length."""

_MOST_NAMES = 30


class InputError(ValueError):
    """Bad input: one line naming the file, row or column, and the remedy.

    The command line prints it without a traceback and exits with code 2. Whatever a file put into the
    message, it is one line of letters that a terminal shows as they are.

    Examples
    --------
    >>> from ridgebayes import InputError, read_scws
    >>> try:
    ...     read_scws("nowhere.fits")
    ... except InputError as error:
    ...     print(error)
    nowhere.fits: no such file: check the name
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_plain(str(message)))


class RidgeBayesWarning(UserWarning):
    """What a result does not show by itself, such as that the chains of a fit did not converge.

    Examples
    --------
    >>> import warnings
    >>> import ridgebayes as rb
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", rb.RidgeBayesWarning)  # stop at a run that did not converge
    ...     run = rb.open_run("runs/first")
    """


def command(*words: object) -> str:
    """Return a command of ridgebayes as a shell takes it, for a message that advises it.

    Examples
    --------
    >>> from ridgebayes.errors import command
    >>> command("resume", "runs/my first")
    "ridgebayes resume 'runs/my first'"
    """
    return shlex.join(["ridgebayes", *map(str, words)])


def counted(number: int, what: str) -> str:
    """Return a number with its noun, in the plural unless it is one.

    Examples
    --------
    >>> counted(1, "band"), counted(0, "band"), counted(3, "independent fit")
    ('1 band', '0 bands', '3 independent fits')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """Join lines, spell out what is not printable, and leave out the middle of what is too long."""
    if not text.isprintable():
        text = " ".join(text.split())
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) > LONGEST:
        # The beginning names the file, the end says what to do.
        text = f"{text[: LONGEST * 2 // 3]} … {text[-LONGEST // 3 + 3 :]}"
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)``, or the list of known names when none is near.

    Names that differ in nothing but their signs are all offered: L20 may be L+20 or L-20.

    Parameters
    ----------
    name
        What the user wrote.
    known
        The names that exist.
    """
    known = list(known)
    unsigned = [k for k in known if _unsigned(k) == _unsigned(name)]
    if len(unsigned) > 1:
        return f" (did you mean {' or '.join(map(repr, unsigned))}?)"
    folded = {k.casefold(): k for k in known}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5) if len(name) < 100 else []
    if close:
        return f" (did you mean '{folded[close[0]]}'?)"
    more = f", … {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return f" (known: {', '.join(known[:_MOST_NAMES])}{more})" if known else ""


def _unsigned(name: str) -> str:
    return name.casefold().replace("+", "").replace("-", "")
