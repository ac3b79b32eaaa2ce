"""Random single changes of the bytes of a file, by seed."""

import gzip
import re

import numpy as np

NASTY = (
    "1e999", "-1e999", "nan", "inf", "-0", "1e-320", "9" * 40, "9" * 5000, "0x10", "1_000", "١٢", "1,5", "5h",
    "", " ", "true", "null", "2010-13-45", "1979-05-27", "[1, 2]", "{a = 1}", "é☃\u202e", "\x00", "'", '"',
    "-1", "0", "1e308", "12:61:61", "../../etc/passwd", "__import__('os')", "%s%n", "A" * 3000,
    "-999", "1e30", "N/A", "NULL", "--", "?", "-2147483648",
)  # fmt: skip
"""Replacements for a number or a word."""

_TOKEN = re.compile(rb"[A-Za-z_][\w.-]*|[-+]?\d[\d.eE+-]*")
_CARD, _BLOCK = 80, 2880


def _cut(rng, content):
    return content[: rng.integers(0, len(content))]


def _bytes(rng, content):
    changed = bytearray(content)
    # Prefer the start of the file, which has the headers.
    end = len(content) if rng.random() < 0.6 else min(len(content), 3 * _BLOCK)
    for where in rng.integers(0, end, rng.integers(1, 9)):
        changed[where] = rng.integers(0, 256)
    return bytes(changed)


def _bit(rng, content):
    changed = bytearray(content)
    changed[rng.integers(0, len(content))] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def _span(rng, content):
    first, last = np.sort(rng.integers(0, len(content) + 1, 2))
    return int(first), int(min(last, first + rng.choice([1, 80, 2880, 10**6])))


def _zeros(rng, content):
    first, last = _span(rng, content)
    return content[:first] + bytes(last - first) + content[last:]


def _removed(rng, content):
    first, last = _span(rng, content)
    return content[:first] + content[last:]


def _twice(rng, content):
    first, last = _span(rng, content)
    return content[:last] + content[first:]


def _inserted(rng, content):
    where = int(rng.integers(0, len(content) + 1))
    return content[:where] + rng.bytes(int(rng.integers(1, 200))) + content[where:]


def _appended(rng, content):
    return content + (rng.bytes(500) if rng.random() < 0.5 else content)


def _packed(rng, content):
    packed = gzip.compress(content, mtime=0)
    return gzip.compress(packed, mtime=0) if rng.random() < 0.5 else packed


def _token(rng, content):
    """Replace a word or a number by a problematic one."""
    found = list(_TOKEN.finditer(content[:200_000]))
    if not found:
        return _bytes(rng, content)
    old = found[rng.integers(len(found))]
    return content[: old.start()] + NASTY[rng.integers(len(NASTY))].encode() + content[old.end() :]


def _lines(rng, content):
    """Lose, repeat or swap lines."""
    lines = content.split(b"\n")
    i, j = rng.integers(0, len(lines), 2)
    how = rng.integers(3)
    if how == 0:
        del lines[i]
    elif how == 1:
        lines.insert(j, lines[i])
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def _encoded(rng, content):
    text = content.decode("utf-8", "replace")
    return text.encode(["utf-16", "utf-8-sig", "latin-1", "utf-32"][rng.integers(4)], "replace")


def _ends(rng, content):
    return content.replace(b"\n", [b"\r\n", b"\r", b"\n\n", b""][rng.integers(4)])


def _card(rng, content):
    """Change a card of a FITS header: its value, or the whole of it."""
    end = max(content.rfind(b"END" + b" " * 77), _CARD)
    cards = [i for i in range(0, end, _CARD) if content[i + 8 : i + 10] == b"= "]
    if not cards:
        return _bytes(rng, content)
    where = cards[rng.integers(len(cards))]
    if rng.random() < 0.2:
        other = cards[rng.integers(len(cards))]
        card = content[other : other + _CARD]
    else:
        value = NASTY[rng.integers(len(NASTY))][:60]
        value = f"'{value}'" if rng.random() < 0.4 else value
        card = content[where : where + 10] + value.encode("ascii", "replace")
    return content[:where] + card.ljust(_CARD)[:_CARD] + content[where + _CARD :]


def _null(rng, content):
    """Define a null for a column of a FITS table, and set some cells to it."""
    end = content.find(b"END" + b" " * 77, 2 * _BLOCK)
    if end < 0 or content[end + _CARD : end + 2 * _CARD].strip():
        return _bytes(rng, content)
    value = int(rng.choice([0, -1, 1, -(2**31), -(2**15), 255]))
    card = f"TNULL{rng.integers(1, 12):<3}= {value:>20}".ljust(_CARD).encode()
    content = content[:end] + card + content[end : end + _CARD] + content[end + 2 * _CARD :]
    data = -(-(end + 2 * _CARD) // _BLOCK) * _BLOCK
    changed = bytearray(content)
    for where in rng.integers(data, max(len(content), data + 1), 4):
        changed[where : where + 4] = value.to_bytes(4, "big", signed=True)[: len(changed[where : where + 4])]
    return bytes(changed)


_ANY = (_cut, _bytes, _bit, _zeros, _removed, _twice, _inserted, _appended)
_OF_TEXT = (_token, _token, _token, _lines, _encoded, _ends)
KINDS = {
    "binary": _ANY,
    "text": (*_ANY, *_OF_TEXT),
    "fits": (*_ANY, _card, _card, _card, _null, _null, _packed),
}
"""Kind of file → possible changes."""


def mutate(content: bytes, kind: str, seed) -> tuple[str, bytes]:
    """Change a file in one way, sometimes in two.

    Parameters
    ----------
    content
        The file.
    kind
        One of `KINDS`.
    seed
        Seed of the change.

    Returns
    -------
    how, broken
        Names of the changes, joined by +, and the new bytes.
    """
    rng = np.random.default_rng(seed)
    names = []
    for _ in range(1 if rng.random() < 0.8 else 2):
        if not content:
            break
        change = KINDS[kind][rng.integers(len(KINDS[kind]))]
        content = change(rng, content)
        names.append(change.__name__[1:])
    return "+".join(names) or "nothing", content
