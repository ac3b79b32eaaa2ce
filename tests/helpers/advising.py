"""Lists ``raise`` statements whose message gives a remedy, and which of them tests reach.

python -m pytest tests/hostile/test_remedies_of_*.py --cov=ridgebayes --cov-report=json:met.json
python -m tests.helpers.advising met.json
"""

import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SOURCE = re.compile(
    r"""--[a-z] | \w=\.\.\. | \w='?\{ | \w='\w | =True | =False | overwrite  # options and arguments
    | ridgebayes\ [a-z] | ` | \bcommand\( | pip\ install | \bput\b          # commands and lines
    | \bnearest\( | \{_?(?:remedy|REMEDY|undo|go_on|otherwise|hint|line)\}""",
    re.VERBOSE,
)
"""Pattern in the source of a ``raise`` that names an option, an argument, a command, a line or a name."""

TEXT = re.compile(
    r"\b[a-z]+_[a-z_]+\b | \b[a-z]+\.[a-z]{3,}\b | \.with_ | \[\[?[a-z]+\] | that\ line", re.VERBOSE
)
"""Pattern in its text that names an argument, a key of a file, or an existing line."""


def places():
    """Return file, first and last line of every ``raise``, and True if it gives a remedy."""
    found = []
    for path in sorted((ROOT / "ridgebayes").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Raise) and node.exc is not None:
                constants = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
                text = " ".join(value for value in constants if isinstance(value, str))
                advises = SOURCE.search(ast.get_source_segment(source, node) or "") or TEXT.search(text)
                where = path.relative_to(ROOT).as_posix(), node.lineno, node.end_lineno
                found.append((*where, bool(advises)))
    return found


def main(*reports):
    """Print the number of ``raise`` statements, of those with a remedy, and those that no test reaches."""
    met = {}
    for report in reports:
        for name, file in json.loads(Path(report).read_text())["files"].items():
            met.setdefault(name, set()).update(file["executed_lines"])
    every = places()
    advising = [place for place in every if place[3]]
    left = [
        (name, first)
        for name, first, last, _ in advising
        if not met.get(name, set()) & {*range(first, last + 1)}
    ]
    print(f"{len(every)} raise, {len(advising)} advise, {len(advising) - len(left)} met; not met:")
    print(*(f"{name}:{first}" for name, first in left), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
