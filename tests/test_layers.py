"""Who imports the models, which import-linter cannot see: they install as ridgebayes.models from models/."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
LAYERS = [layer.split(" | ") for layer in CONTRACTS["contracts"][0]["layers"]]
PACKAGES = [name for layer in LAYERS for name in layer if not name.startswith("(")]
BELOW = [name for layer in LAYERS[LAYERS.index(["runs"]) + 1 :] for name in layer if name in PACKAGES]


def imports_models(source: str) -> bool:
    """Tell whether a module imports ridgebayes.models, at its top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        if any(f"{name}.".startswith("ridgebayes.models.") for name in names):
            return True
    return False


@pytest.mark.parametrize("package", BELOW)
def test_nothing_below_the_runs_imports_a_model(package):
    path = ROOT / "ridgebayes" / package
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert files
    assert not [file for file in files if imports_models(file.read_text(encoding="utf-8"))]


def test_every_way_to_import_a_model_is_seen():
    for line in ("from ridgebayes import models", "import ridgebayes.models as m",
                 "def f():\n    from ridgebayes.models.crab import crab"):  # fmt: skip
        assert imports_models(line)
    assert not imports_models("from ridgebayes.model import Model")


def test_the_map_of_the_house_shows_every_package():
    page = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    assert not [name for name in PACKAGES if f"| `{name}` |" not in page]
