"""What a wheel holds: every folder of the package is listed by hand, so none may be forgotten."""

import tomllib
from pathlib import Path

import ridgebayes

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent for path in (ROOT / "ridgebayes").rglob("*.py")}
    found = {".".join(path.relative_to(ROOT).parts) for path in folders}
    elsewhere = {
        name for name in told["packages"] if name.startswith(("ridgebayes.models", "ridgebayes.data"))
    }
    assert set(told["packages"]) == found | elsewhere
    # What installs from the top level is there.
    for name in elsewhere:
        assert (ROOT / Path(*name.split(".")[1:])).is_dir(), name


def test_files_that_are_no_python_are_listed():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = told["package-data"]
    others = [
        path
        for path in (ROOT / "ridgebayes").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    ]
    for path in others:
        package = ".".join(path.parent.relative_to(ROOT).parts)
        assert any(path.match(pattern) for pattern in patterns.get(package, ())), path


def test_the_version_is_the_project_s():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert ridgebayes.__version__ == told["version"]
