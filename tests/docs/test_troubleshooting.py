"""Troubleshooting begins with messages that the software prints."""

import ast
import re
from pathlib import Path

import pytest

from ridgebayes.cli.main import main
from ridgebayes.cli.wording import in_options, options_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^### `+ ?(.+?) ?`+$", PAGE, re.MULTILINE)


def texts():
    """All text constants of the sources; a value put into a text becomes an ellipsis."""
    found = []
    for path in [*(ROOT / "ridgebayes").rglob("*.py"), *(ROOT / "models").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                pieces = [n.value if isinstance(n, ast.Constant) else "…" for n in node.values]
                found.append("".join(map(str, pieces)))
    return "\n".join(re.sub(r"%(\.\d)?[defs]", "…", text) for text in found)


# As the library says it, and as the command line does.
OPTIONS = {k: v for command in main.commands.values() for k, v in options_of(command).items()}
SOURCES = f"{texts()}\n{in_options(texts(), OPTIONS)}"


def test_there_are_messages():
    assert len(MESSAGES) > 20


@pytest.mark.parametrize("message", MESSAGES)
def test_the_software_prints_it(message):
    # Messages are put together at values and colons.
    pieces = [p.strip(" .,()=`") for p in re.split(r"…|: |; ", message.removeprefix("WARNING: "))]
    for piece in pieces:
        if len(piece) > 3:
            assert piece in SOURCES, piece
