"""Every command that the pages show is one that the command line takes; it is parsed here, not run."""

import re
import shlex
from pathlib import Path

import pytest

from ridgebayes.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "Makefile",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "scripts").glob("*.py")),
]
# At the beginning of a line of code, or in backticks.
LINE = re.compile(r"^[ ]*(?:\$\(BIN\)/)?ridgebayes (.+)$|``?ridgebayes ([^`]+)`", re.MULTILINE)


def shown():
    for page in PAGES:
        for found in LINE.finditer(page.read_text(encoding="utf-8").replace("\\\n", " ")):
            text = found[1] or found[2]
            if not re.match(r"[a-z-]+( |$)|--", text) or re.search(" · | is |^measures ", text):
                continue
            yield pytest.param(text, id=f"{page.name}: {text[:50]}")


def words(text):
    """Words of a command, without what the shell does with it and what may be left out."""
    text = re.sub(r"\s(#|>|\||2>|&&).*$|;.*$", "", text.replace("$", ""))
    text = re.sub(r"\[([^\]|]*)(\|[^\]]*)?\]", r"\1", text).replace("RUN…", "RUN").replace("…", "x")
    text = re.sub(r"(--[a-z-]+) [NK]\b", r"\1 3", text)
    return shlex.split(text)


@pytest.mark.parametrize("text", list(shown()))
def test_the_command_line_takes_it(text):
    name, *arguments = words(text)
    if name.startswith("--"):
        return
    command = main.commands[name]
    if arguments and "--help" not in arguments:  # else the name in a sentence
        command.make_context(name, arguments)


def test_there_are_many():
    assert len(list(shown())) > 60
