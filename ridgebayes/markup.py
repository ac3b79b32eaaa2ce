"""The mark of simulated data, and small HTML tables, as notebooks show objects (``_repr_html_``).

Every text in a table is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

SIMULATED = "SIMULATED data"
"""How a text on simulated data begins."""


def marked(text: str, simulated: bool) -> str:
    """Put the mark of simulated data above a text, once, where they are simulated.

    Examples
    --------
    >>> marked("3 bands", True)
    'SIMULATED data\\n3 bands'
    """
    return text if not simulated or text.startswith(SIMULATED) else f"{SIMULATED}\n{text}"


def page(title: str, *parts: str) -> str:
    """Return a title with what stands below it."""
    return f"<div><b>{escape(title)}</b>{''.join(parts)}</div>"


def facts(values: Mapping[str, object]) -> str:
    """Return a table of names and values, a row each.

    Examples
    --------
    >>> facts({"a": "<b>"})[-63:]
    '<td style="text-align:left">&lt;b&gt;</td></tr></tbody></table>'
    """
    rows = (_cell(name, "th") + _cell(value) for name, value in values.items())
    return f"<table><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a row of names above it; texts stand left, numbers right."""
    top = "".join(_cell(name, "th") for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def lines(texts: Iterable[str]) -> str:
    """Return a paragraph of lines."""
    return f"<p>{'<br>'.join(map(escape, texts))}</p>"


def _cell(value: object, tag: str = "td") -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    side = "right" if isinstance(value, (int, float)) else "left"
    return f'<{tag} style="text-align:{side}">{escape(text)}</{tag}>'
