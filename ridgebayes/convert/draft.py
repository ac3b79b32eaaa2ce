"""A partly guessed mapping: guesses so far, and problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ridgebayes.convert.mapping import Mapping
from ridgebayes.convert.sources import Source
from ridgebayes.table.columns import Columns


@dataclass
class Draft:
    """A partly guessed mapping."""

    sources: Sequence[Source]
    columns: list[Columns]
    mapping: Mapping
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def put(self, note: str = "", **changes: Any) -> None:
        """Set a part of the mapping and add a note."""
        self.mapping = dataclasses.replace(self.mapping, **changes)
        if note:
            self.notes.append(note)

    def put_column(self, key: str, value: str | tuple[str, str], note: str) -> None:
        """Set a key of [columns]."""
        self.put(note, columns=self.mapping.columns | {key: value})

    def put_unit(self, column: str, unit: str, why: str = "the file states none") -> None:
        """Set a key of [units]."""
        self.put(f"unit of {column}: {unit} ({why})", units=self.mapping.units | {column: unit})

    def problem(self, what: str, line: str, where: str) -> None:
        """Note what could not be guessed, and the line of the mapping that would settle it."""
        self.problems.append(f"{self.columns[0].source}: {what}: put  {line}  {where} in the mapping")
