"""The script that fills docs/timings.md: what it lays out, and that the page has the places for it."""

import shutil
from pathlib import Path

import pytest
from timings import HEADS, fill, machine, rows, table, wall

PAGE = Path(__file__).parents[2] / "docs" / "timings.md"
ROW = {"ScWs": 5033, "revolutions": 76, "bands": 3, "machine": "2 cores", "model": "regions",
       "extras": "none", "seconds": 63.4, "gib": 0.93}  # fmt: skip


@pytest.mark.parametrize(("seconds", "words"), [(8.4, "8 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_wall_time(seconds, words):
    assert wall(seconds) == words


def test_each_fit_has_files_of_its_own():
    names = [fit.name for fit in rows(quick=False)]
    assert len(set(names)) == len(names) > 10
    assert {fit.table for fit in rows(quick=True)} == set(HEADS)


def test_the_machine_is_named():
    assert "cores" in machine({"sampling": {"device": "cpu, chains in threads (2 at a time)"}})
    assert machine({"sampling": {"device": "NVIDIA H100, chains one after the other"}}) == "NVIDIA H100"


def test_tables_go_between_their_marks(tmp_path):
    page = Path(shutil.copy(PAGE, tmp_path))
    found = [ROW | {"table": name} for name in HEADS]
    fill(page, found)
    text = page.read_text(encoding="utf-8")
    assert "| 5033 | 76 | 3 | 63 s | 0.9 GiB |" in text
    assert "| regions | none | 63 s | 0.9 GiB |\n\nMachine: 2 cores." in text
    fill(page, found)  # again: nothing is doubled
    assert page.read_text(encoding="utf-8") == text
    assert len(table("size", found).splitlines()) == 4 + len(found)
