"""The tutorials are listed, begin as notebooks and run as such, as when `make docs` builds the site."""

import os
import re
import sys
from pathlib import Path

import jupytext
import nbclient
import pytest

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = {p.stem: p.read_text(encoding="utf-8") for p in TUTORIALS.glob("*.md")}
RUN = PAGES.keys() - {"cluster"}


def test_every_tutorial_is_in_the_table_of_contents():
    index = (TUTORIALS.parent / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^tutorials/([\w-]+)$", index, re.MULTILINE)) == sorted(PAGES)


def test_all_but_the_one_that_needs_hardware_are_run():
    """Without its header a page is shown, not run."""
    run = {name for name, text in PAGES.items() if re.match(r"---\njupytext:\n", text)}
    assert run == RUN
    assert run == {name for name, text in PAGES.items() if "{code-cell}" in text}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "first-fit" else pytest.mark.long)
        for name in sorted(RUN)
    ],
)
def test_it_runs_as_a_notebook(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    notebook = jupytext.reads(PAGES[name], fmt="md:myst")
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown), "no figure"
