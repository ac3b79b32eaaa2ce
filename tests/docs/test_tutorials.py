"""The tutorials run as notebooks, from an empty folder."""

import os
import re
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
nbclient = pytest.importorskip("nbclient")

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
EXECUTED = sorted(p for p in TUTORIALS.glob("*.md") if "{code-cell}" in p.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.stem)
def test_tutorial_runs(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    notebook = jupytext.read(page, fmt="md:myst")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == page.read_text(encoding="utf-8").count("```{code-cell}")
    run = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    run.execute()  # raises CellExecutionError where a cell fails
    pictures = [o for cell in code for o in cell.outputs if "image/png" in o.get("data", {})]
    assert pictures, "no figure was made"


def test_every_tutorial_is_in_the_table_of_contents():
    index = (TUTORIALS.parent / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^tutorials/([\w-]+)$", index, re.MULTILINE)
    assert sorted(listed) == sorted(p.stem for p in TUTORIALS.glob("*.md"))
    assert len(EXECUTED) == len(listed) - 1  # all but the one that needs hardware
