"""Remedies of errors of fits that were stopped or cannot be taken up: provoked, followed, and they work."""

import shutil

import numpy as np
import pytest

from ridgebayes import InputError, check, loo, models, open_run, read_scws, sample, write_scws
from ridgebayes.inference.kernels import Nuts
from ridgebayes.runs.run import CHECKPOINT
from ridgebayes.runs.sampling import resume
from ridgebayes.runs.update import update
from tests.helpers.cli import call
from tests.helpers.records import change
from tests.helpers.remedies import both, follow, run, the_command

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:not converged")]

QUICK = "--chains 2 --warmup 50 --draws 70 --sampler nuts --seed 5 --quiet"
SETTINGS = {"chains": 2, "warmup": 50, "draws": 70, "sampler": "nuts", "seed": 5, "progress": False}
OUT = "'my run'"
REGIONS = "".join(
    f'[[region]]\nname = "{name}"\nlon = [{low}, {low + 20}]\nshape = {{kind = "uniform", lat_max = 10}}\n'
    for name, low in (("L-20", -30), ("GB", -10), ("L+20", 10))
)
BADLY = (3,)
"""So few draws do not converge, which the exit code says."""


def fit(more):
    """Return a step that fits the table."""
    return run(f"fit scws.fits --sky three.toml {QUICK} {more}", also=BADLY)


def stop_after(patch, blocks):
    """Let chains be stopped, as at Ctrl-C, after so many blocks; all that they did is kept."""
    advance, left = Nuts._run, iter(range(blocks))

    def counted(self, *arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return advance(self, *arguments)

    patch.setattr(Nuts, "_run", counted)


@pytest.fixture(scope="module", autouse=True)
def _always_kept():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ridgebayes.inference.runner.CHECKPOINT_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def stopped(small_mission, tmp_path_factory):
    """Return a folder with a table, regions, and a fit of them that was stopped; and what that said."""
    folder = tmp_path_factory.mktemp("stopped")
    some = np.isin(small_mission.revolution, np.unique(small_mission.revolution)[::7])
    write_scws(small_mission.take_bands(["A01", "A02"]).select(some), folder / "two.fits")
    write_scws(small_mission.take_bands(["A01"]).select(some), folder / "scws.fits")
    (folder / "three.toml").write_text(REGIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stop_after(patch, 2)
        done = call("fit", "scws.fits", "--sky", "three.toml", "--out", "my run", *QUICK.split())
    return folder, done.stderr


@pytest.fixture
def folder(stopped, tmp_path):
    for path in stopped[0].iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    return tmp_path


def recorded(*keys, to):
    """Return a step that changes what is kept of the stopped fit about how it was begun."""
    return lambda folder, **_: change(folder / "my run" / CHECKPOINT / "run.toml", *keys, to=to)


def opened(name="my run"):
    return lambda folder, **_: open_run(name)


def broken_chain(folder, **_):
    for path in (folder / "my run" / CHECKPOINT).glob("chain-*.npz"):
        path.write_bytes(b"x")


RESUME = run(f"resume {OUT}", also=BADLY)
ANEW = both(fit(f"--out {OUT} --overwrite"), opened())

SPECTRUM = (
    "fit two.fits --sky three.toml --model spectrum --chains 1 --warmup 5 --draws 50 --seed 5 --quiet --out r"
)

CASES = {
    "a run that is unfinished": (
        "my run: is unfinished: go on with `ridgebayes resume 'my run'`",
        opened(),
        both(the_command("--quiet", also=BADLY), opened()),
    ),
    "a fit over one that is unfinished: go on": (
        "holds an unfinished run: go on with `ridgebayes resume 'my run'`, or",
        fit(f"--out {OUT}"),
        both(the_command("--quiet", also=BADLY), opened()),
    ),
    "a fit over one that is unfinished: anew": ("or --overwrite$", fit(f"--out {OUT}"), ANEW),
    "what is kept cannot be read": (
        r"chain-\S+\.npz: cannot be read .*: fit again with --overwrite",
        both(broken_chain, RESUME),
        ANEW,
    ),
    "begun with another version": (
        "was begun with numpyro 0.1, .*, or fit again with --overwrite",
        both(recorded("versions", "numpyro", to="0.1"), RESUME),
        ANEW,
    ),
    "begun with another model": (
        "was begun with another model: fit again with --overwrite",
        both(recorded("model", "priors", "background.level", to="Normal(1.0, 0.100000000)"), RESUME),
        ANEW,
    ),
    "too little time": (
        r"too few for a run; all are kept: go on with `ridgebayes resume short`",
        fit("--out short --max-time 0.00001"),
        both(the_command("--quiet", also=BADLY), opened("short")),
    ),
    "a redistribution of no spectrum: another model": (
        "--redistribution: the model 'regions' has no spectrum within its bands: give --model spectrum or",
        fit("--redistribution fwhm=0.1 --out r"),
        run(f"{SPECTRUM} --redistribution fwhm=0.1", also=BADLY),
    ),
    "a redistribution of no spectrum: later": (
        "or leave out --redistribution here and give it to ridgebayes fitspec",
        fit("--redistribution fwhm=0.1 --out r"),
        both(fit("--out r"), run("fitspec r --components powerlaw --redistribution fwhm=0.1 --draws 50")),
    ),
    "a joint fit with bands": (
        "--joint: .*: leave out --band, --prior, --redistribution and --crab-spectrum",
        both(run(SPECTRUM, also=BADLY), run("fitspec r --joint --band A01")),
        run("fitspec r --joint"),
    ),
}
"""Name → message, step that meets it, step that it advises."""


@pytest.mark.parametrize("name", CASES)
def test_the_remedy_works(name, folder, monkeypatch):
    follow(CASES[name], folder, monkeypatch)


def test_a_fit_that_is_stopped(stopped, folder, monkeypatch):
    """What Ctrl-C says last is a command that goes on."""
    monkeypatch.chdir(folder)
    assert "which are kept: go on with `ridgebayes resume 'my run'`" in stopped[1]
    the_command("--quiet", also=BADLY)(folder, message=stopped[1])
    assert open_run("my run").intensity().sizes["draw"] == 70


def test_too_little_time_in_memory(folder, three_regions):
    scws = read_scws(folder / "scws.fits")
    model = models.regions(three_regions)
    with pytest.raises(InputError, match=r"max_time = 0: must be more than 0 minutes"):
        sample(model, scws, max_time=0, **SETTINGS)
    with pytest.raises(InputError, match=r"too few for a run: give more max_time=\.\.\.$"):
        sample(model, scws, max_time=1e-5, **SETTINGS)
    assert sample(model, scws, max_time=9.0, **SETTINGS).intensity().sizes["draw"] == 70
    with pytest.raises(InputError, match=r"all are kept: go on with `ridgebayes resume \S*short`"):
        sample(model, scws, max_time=1e-5, out=folder / "short", **SETTINGS)


def test_another_table_for_what_was_begun(folder, monkeypatch):
    """Draws of another table are none of this fit, which begins again."""
    monkeypatch.chdir(folder)
    scws = read_scws("scws.fits")
    with pytest.raises(InputError, match="begun with other data: fit again with overwrite=True"):
        resume("my run", scws=scws.select(np.arange(len(scws) - 5)))
    ANEW(folder)


@pytest.fixture(scope="module")
def terms(stopped, three_regions):
    """Return tables of all ScWs and of all revolutions but the last, and fits to the latter.

    Terms of revolutions are sampled in the first, which cannot be tested, checked or updated.
    """
    scws = read_scws(stopped[0] / "scws.fits")
    old = scws.select(scws.revolution < scws.revolution.max())
    fits = [
        sample(models.regions(three_regions, marginal=marginal), old, **SETTINGS)
        for marginal in (False, True)
    ]
    return scws, old, *fits


def test_a_revolution_left_out_of_sampled_terms(terms):
    _, old, sampled, integrated = terms
    with pytest.raises(InputError, match=r"fit it with them integrated out \(leave marginal=False away\)"):
        loo(sampled, scws=old)
    assert np.isfinite(loo(integrated, scws=old).elpd)


def test_a_check_of_sampled_terms(terms):
    _, old, sampled, integrated = terms
    with pytest.raises(InputError, match=r"\(marginal=False\): check one that has them integrated out"):
        check(sampled, scws=old, draws=30, trials=False)
    assert check(integrated, scws=old, draws=30, trials=False) is not None


def test_an_update_of_sampled_terms(terms, three_regions, tmp_path):
    scws, old, sampled, _ = terms
    with pytest.raises(InputError, match=r"were sampled \(marginal=False\): fit the whole table again"):
        update(sampled, scws, tmp_path / "new", scws=old)
    whole = sample(models.regions(three_regions, marginal=False), scws, **SETTINGS)
    assert whole.record["data"]["fingerprint"] == scws.fingerprint()
