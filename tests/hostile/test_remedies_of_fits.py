"""Remedies of errors about a fit and its run directory: provoked, followed, and they work."""

import shutil
import tomllib

import numpy as np
import pytest
import tomlkit

from ridgebayes import write_scws
from tests.helpers.cli import call
from tests.helpers.remedies import both, follow, run, the_command

pytestmark = pytest.mark.slow

QUICK = "--sky three.toml --chains 2 --warmup 50 --draws 70 --sampler nuts --seed 5 --quiet"
REGIONS = "".join(
    f'[[region]]\nname = "{name}"\nlon = [{low}, {low + 20}]\nshape = {{kind = "uniform", lat_max = 10}}\n'
    for name, low in (("L-20", -30), ("GB", -10), ("L+20", 10))
)


@pytest.fixture(scope="module")
def made(small_mission, tmp_path_factory):
    """Return a folder with a table of four revolutions, regions, and a fit of them."""
    folder = tmp_path_factory.mktemp("fits")
    some = np.isin(small_mission.revolution, np.unique(small_mission.revolution)[::7])
    write_scws(small_mission.take_bands(["A01"]).select(some), folder / "scws.fits")
    (folder / "three.toml").write_text(REGIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = call("fit", "scws.fits", "--out", "run", *QUICK.split())
    assert done.exit_code in (0, 3), done.output  # 3: so few draws do not converge
    return folder


def fit(more):
    """Return a step that fits as the fixture did; chains that have not converged are no error here."""
    return run(f"fit scws.fits {QUICK} {more}", also=(3,))


def recorded(change):
    """Return a step that changes what the record of the run says."""

    def step(folder, **_):
        record = tomllib.loads((folder / "run" / "run.toml").read_text())
        change(record)
        (folder / "run" / "run.toml").write_text(tomlkit.dumps(record))

    return step


def broken_checks(folder, **_):
    (folder / "run" / "checks").mkdir(exist_ok=True)
    (folder / "run" / "checks" / "checks.json").write_text("x")


CASES = {
    "a fit over a run": (
        "choose another place, or --overwrite",
        fit("--out run"),
        fit("--out run --overwrite"),
    ),
    "no time at all": (
        "--max-time.*not in the range x>0",
        fit("--out r --max-time 0"),
        fit("--out r --max-time 9"),
    ),
    "the table of a run elsewhere": (
        r"is not there: say where it is \(--scws\)",
        both(recorded(lambda r: r["data"].update(path="gone.fits")), run("loo run")),
        run("loo run --scws scws.fits"),
    ),
    "folds of one": ("give from 2 to 4", run("loo run --folds 1"), run("loo run --folds 2")),
    "a check of two draws": (
        "--replicates 2: a check needs at least",
        run("check run --replicates 2 --no-trials"),
        run("check run --replicates 30 --no-trials"),
    ),
    "a check of more draws than there are": (
        "--replicates 9999: .*ask for fewer",
        run("check run --replicates 9999 --no-trials"),
        run("check run --replicates 30 --no-trials"),
    ),
    "checks that cannot be read": (
        r"checks\.json: cannot be read .*: ridgebayes check run$",
        both(broken_checks, run("report run")),
        both(the_command("--replicates 30 --no-trials --overwrite"), run("report run")),
    ),
    "prior draws of none": (
        "--prior-draws 1, .*at least 2 draws",
        run("prior scws.fits --sky three.toml --prior-draws 1 --out p"),
        run("prior scws.fits --sky three.toml --prior-draws 5 --out p"),
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""


@pytest.mark.filterwarnings("ignore:not converged")
@pytest.mark.parametrize("name", CASES)
def test_the_remedy_works(name, made, tmp_path, monkeypatch):
    for path in made.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    follow(CASES[name], tmp_path, monkeypatch)
