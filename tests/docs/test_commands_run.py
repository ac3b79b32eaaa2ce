"""Every command that the README and the pages show is run, on one small simulated mission and one fit of it.

Only that fit samples. All others come as far as the data and the density of their model, and take its draws.
The commands of the tutorials are run as notebooks (test_tutorials.py).
"""

import gzip
import re
import shlex
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy_healpix import HEALPix

from ridgebayes import Run, read_scws, simulate, write_scws
from ridgebayes.cli.commands import fit as fitting
from ridgebayes.cli.main import main
from ridgebayes.inference.log_density import Posterior
from ridgebayes.instrument.redistribution import Gaussian
from ridgebayes.runs.sampling import meet
from ridgebayes.spectra import fitting as spectral
from tests.docs.test_commands import LINE, ROOT
from tests.events.test_command import REVOLUTIONS
from tests.helpers.cli import call
from tests.helpers.event_maker import make_events, mask_shadow, write_events, write_pif
from tests.instrument.test_redistribution import write_matrix

PAGES = {p.name: p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

NOT_RUN = {
    r"campaign ": "hundreds of fits; tests/campaign",
    r"bench$": "minutes of fits in processes of their own; tests/bench",
    r"fit .*--scheduler tcp:": "needs a cluster; tests/parallel",
    r"fitspec .*--joint": "needs a fit of all bands together; tests/products/test_jointspec.py",
    r"update ": "fits what is new; the tutorial on updates runs it",
}
"""Commands that are not run, by how they begin, and why, or where what they do is tested."""

NAMES = {"RUN": "runs/first", "FILE": "mission.fits", "NAME": "template",
         "MODEL": "template", "N": "24", "K": "3", "scw/": "scw", "pif/": "pif"}  # fmt: skip
FEWER = {"--revolutions": "24", "--simulations": "1", "--replicates": "20"}
"""So many rather than those of a page."""

SMALLER = {
    "simulate": ["--revolutions", "24"],
    "check": ["--replicates", "20"],
    "sbc": ["--revolutions", "12", "--rank-draws", "20"],
    "fitspec": ["--draws", "20"],
    "paper": ["--draws", "20"],
    "prior": ["--prior-draws", "20"],
}
"""Added to a command that says nothing of it."""

CODES = {"fit": (0, 3), "resume": (2,)}
"""Exit codes other than 0: chains so short do not converge, and there is nothing left to resume."""


def shown(page):
    """Commands of a page: words, and the file that takes what is printed."""
    found = {}
    for match in LINE.finditer(page.read_text(encoding="utf-8").replace("\\\n", " ")):
        text = re.sub(r" \[[^\]]*\]", "", match[1] or match[2])  # what may be left out
        text = re.sub(r"\s(#|\||2>|&&).*$|;.*$", "", text)
        name, *rest = shlex.split(text)
        if name in main.commands and (rest or match[1]):  # else the name in a sentence
            found[text] = [name, *rest]
        elif text in ("models", "--version", "--help"):
            found[text] = [name]
    return list(found.values())


def why_not(words):
    text = " ".join(words)
    return next((why for begin, why in NOT_RUN.items() if re.match(begin, text)), None)


def made_small(words):
    """Return the words of a command that is run, smaller, with files that exist, and where it prints to."""
    names = NAMES | ({"FILE": "no_crab.fits"} if "--crab-rate" in words else {})
    words = [names.get(word, word) for word in words]
    if words[0] == "compare" and words[1] == words[2]:
        words[2] = "runs/second"
    printed = None
    if ">" in words:
        at = words.index(">")
        printed, words = words[at + 1], words[:at]
    for option, count in FEWER.items():
        if option in words:
            words[words.index(option) + 1] = count
    more = SMALLER.get(words[0], [])
    if more and more[0] not in words and "--programme" not in words:
        words += more
    flags = {flag for parameter in main.commands[words[0]].params for flag in parameter.opts}
    return words + [flag for flag in ("--overwrite", "--quiet") if flag in flags - set(words)], printed


def write_map(path):
    """Write a map of the whole sky, bright in the plane."""
    grid = HEALPix(32, order="ring", frame="galactic")
    b = grid.healpix_to_skycoord(np.arange(grid.npix)).b.deg
    table = fits.BinTableHDU.from_columns([fits.Column("T", "D", array=np.exp(-0.5 * (b / 4) ** 2))])
    table.header.update({"PIXTYPE": "HEALPIX", "ORDERING": "RING", "COORDSYS": "G"})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def write_inputs(place):
    """Write the files that the pages name, from the mission that is there."""
    mission = read_scws(place / "mission.fits")
    write_scws(mission, place / "scws.fits")
    write_scws(mission.select(~mission.crab).take_bands(["A01", "A02"]), place / "no_crab.fits")
    programme = simulate.programme(60, seed=9)
    later = programme.select(~np.isin(programme.revolution, mission.revolution))
    drawn = simulate.mission(later.select(later.revolution > np.median(later.revolution)), seed=9)
    write_scws(drawn, place / "new.fits")
    table = Table({"SCW_ID": mission.scw_id, "PHASE": mission.phase, "MJD": mission.mjd})
    table["EXPOSURE"], table["RA"], table["DEC"] = mission.exposure, mission.ra, mission.dec
    for k, name in enumerate(("25_60", "60_80")):
        one = table[table.colnames[:6]]
        one["RATE"], one["ERR"] = mission.rate[:, k], mission.stat_err[:, k]
        one.write(place / f"isgri_{name}.csv")
        table[f"RATE_{name}"], table[f"ERR_{name}"] = mission.rate[:, k], mission.stat_err[:, k]
    for name, unit in {"MJD": "d", "EXPOSURE": "s", "RA": "deg", "DEC": "deg"}.items():
        table[name].unit = unit
    for name in table.colnames[6:]:
        table[name].unit = "ct/s"
    table.write(place / "rates.fits")
    with gzip.open(place / "pointings.csv.gz", "wt") as file:
        file.write("scw,rev,ra,dec\n")
        rows = zip(mission.scw_id, mission.revolution, mission.ra, mission.dec, strict=True)
        file.writelines(f"{','.join(map(str, row))}\n" for row in rows)
    for name in ("starlight_3.5um.fits", "starlight_4.9um.fits"):
        write_map(place / name)
    (place / "my.toml").write_text('[[region]]\nname = "mine"\nlon = [-5, 5]\nshape = {kind = "starlight"}\n')
    cookbook = PAGES["cookbook.md"].read_text(encoding="utf-8")
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", cookbook, re.DOTALL):
        (place / name).write_text(code)
    write_matrix(place / "isgri.rmf", Gaussian(0.08, 60.0, -0.5), channels=np.geomspace(15.0, 300.0, 80))
    with fits.open(place / "isgri.rmf") as opened:
        energies = opened["MATRIX"].data
        columns = [fits.Column(n, "D", array=energies[n]) for n in ("ENERG_LO", "ENERG_HI")]
        columns.append(fits.Column("SPECRESP", "D", unit="cm2", array=np.full(len(energies), 100.0)))
    fits.BinTableHDU.from_columns(columns, name="SPECRESP").writeto(place / "isgri.arf")
    (place / "revolutions.csv").write_text(REVOLUTIONS)
    for folder in ("scw", "pif"):
        (place / folder).mkdir()
    scw = "255900000010"
    write_events(place / "scw" / "isgri_events.fits", make_events(np.random.default_rng(0), 80.0), scw_id=scw)
    write_pif(place / "pif" / "pif.fits", mask_shadow(), scw_id=scw)
    (place / "data").symlink_to(ROOT / "data")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with the mission and the run of the README, and the files that the pages name."""
    place = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert call("simulate", "--revolutions", "24", "--seed", "2", "--out", "mission.fits").exit_code == 0
        fit = ["fit", "mission.fits", "--out", "runs/first", "--chains", "2", "--draws", "60", "--quiet"]
        assert call(*fit).exit_code in CODES["fit"]
    write_inputs(place)
    for name in ("second", "near", "far"):
        shutil.copytree(place / "runs" / "first", place / "runs" / name)
    return place


def prepared(start, model, scws, out, *, quiet, auto=False, response=None, crab_rate=None, **options):
    """In place of a fit: come as far as the density, and take the draws of the one fit."""
    model, ready = meet(model, scws, response=response, crab_rate=crab_rate)
    assert Posterior(model, ready.data).size
    shutil.copytree(start / "runs" / "first", out, dirs_exist_ok=True)
    return Run.open(out)


def test_reasons_are_needed():
    commands = [words for page in PAGES.values() for words in shown(page)]
    for begin in NOT_RUN:
        assert any(re.match(begin, " ".join(words)) for words in commands), begin
    assert len(commands) > 70


@pytest.mark.parametrize(
    "page",
    [
        # Simulations in processes of their own, each of which compiles.
        pytest.param(name, marks=pytest.mark.long if name == "sbc.md" else pytest.mark.slow)
        for name, page in PAGES.items()
        if shown(page)
    ],
)
def test_commands_of_a_page(page, start, tmp_path, monkeypatch):
    shutil.copytree(start, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fitting, "_sample", partial(prepared, start))
    for name, few in {"WARMUP": 20, "_TREE_DEPTH": 3}.items():
        monkeypatch.setattr(spectral, name, few)
    failed = []
    for words in shown(PAGES[page]):
        if words[0].startswith("--"):
            assert call(*words).exit_code == 0
            continue
        if why_not(words):
            continue
        shutil.copy(start / "scws.fits", "scws.fits")  # some commands of a page write it
        arguments, printed = made_small(words)
        done = call(*arguments)
        if done.exit_code not in CODES.get(words[0], (0,)):
            failed.append(f"{shlex.join(words)}\n  {shlex.join(arguments)}\n  {done.output[-600:]}")
        elif "next:" not in done.output and done.exit_code != 2 and "--help" not in words:
            failed.append(f"{shlex.join(words)}: says nothing to do next")
        if printed:
            Path(printed).write_text(done.stdout)
    assert not failed, "\n".join(failed)
