"""The tutorials are listed and begin as notebooks. `make docs` runs them, and a failing cell stops it."""

import re
from pathlib import Path

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = {p.stem: p.read_text(encoding="utf-8") for p in TUTORIALS.glob("*.md")}


def test_every_tutorial_is_in_the_table_of_contents():
    index = (TUTORIALS.parent / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^tutorials/([\w-]+)$", index, re.MULTILINE)) == sorted(PAGES)


def test_all_but_the_one_that_needs_hardware_are_run():
    """Without its header a page is shown, not run."""
    run = {name for name, text in PAGES.items() if re.match(r"---\njupytext:\n", text)}
    assert run == PAGES.keys() - {"cluster"}
    assert run == {name for name, text in PAGES.items() if "{code-cell}" in text}
