"""The simulated demo, written in many dialects and converted back, is the demo."""

from itertools import product

import numpy as np
import pytest

from ridgebayes.convert import convert, dump_mapping, load_mapping
from tests.helpers.convert_dialects import (
    CASES,
    FORMATS,
    IDS,
    RATES,
    SKIES,
    TIMES,
    Dialect,
    assert_same,
    write,
    write_revolutions,
)

ALL = [Dialect(*choice) for choice in product(FORMATS, RATES, SKIES, TIMES, (False, True), CASES, IDS)]
CHOSEN = [ALL[k] for k in np.random.default_rng(7).choice(len(ALL), 80, replace=False)]


def test_the_chosen_dialects_hold_every_choice():
    for name, values in {"format": FORMATS, "rates": RATES, "sky": SKIES, "time": TIMES, "ids": IDS}.items():
        assert {getattr(d, name) for d in CHOSEN} == set(values)


def back_and_forth(dialect, mission, folder):
    path, mapping = write(mission, folder, dialect)
    calendar = None
    if dialect.time in ("phase only", "time only"):
        calendar = write_revolutions(mission, folder / "revolutions.ecsv")
    done = convert([path], mapping, revolutions=calendar)
    # A Julian date in float64 resolves 40 µs; the revolution table is a fit.
    assert_same(done.scws, mission, time_d=1e-7 if calendar else 6e-10 if dialect.time == "jd" else 2e-10)
    return path, done, calendar


@pytest.mark.parametrize("dialect", CHOSEN, ids=lambda d: "-".join(map(str, vars(d).values())))
@pytest.mark.slow
def test_a_dialect_converted_back_is_the_demo(dialect, mission, tmp_path):
    path, done, calendar = back_and_forth(dialect, mission, tmp_path)
    # The mapping as inferred is complete: it converts the same, and nothing is left to guess.
    (tmp_path / "map.toml").write_text(dump_mapping(done.mapping, done.notes))
    mapping = load_mapping(tmp_path / "map.toml")
    assert mapping == done.mapping
    again = convert([path], mapping, revolutions=calendar)
    assert again.mapping == mapping
    assert again.notes == []
    assert again.scws.fingerprint() == done.scws.fingerprint()


@pytest.mark.slow
def test_hundreds_of_dialects(mission, tmp_path):
    for k in np.random.default_rng(8).choice(len(ALL), 300, replace=False):
        folder = tmp_path / str(k)
        folder.mkdir()
        back_and_forth(ALL[k], mission, folder)
