"""A few broken files for every reader; `benchmarks/fuzz_readers.py` tries them by the ten thousand."""

import pytest

from ridgebayes.errors import LONGEST, InputError, nearest
from tests.helpers.mutations import KINDS, mutate
from tests.helpers.readers import MAKERS, encoded, make
from tests.helpers.trying import attempt

SLOW = {"run": 9, "checkpoint": 9}
"""Readers that take longer, and how many inputs they get."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in MAKERS]
)
def test_a_broken_file_is_refused_in_one_line_or_read(name, tmp_path):
    reader = make(name, tmp_path)
    right = encoded(reader.answer(reader.read(reader.folder)))
    found = [attempt(reader, seed, right, limit_s=60.0) for seed in range(SLOW.get(name, 16))]
    bad = [outcome for outcome in found if not outcome.good or outcome.grown > 1024]
    assert not bad
    # The files are as before, and most changes were noticed.
    assert encoded(reader.answer(reader.read(reader.folder))) == right
    assert name == "events.parts" or any(outcome.kind == "refused" for outcome in found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_breaks_a_file_in_the_same_way(kind):
    content = b"SIMPLE  =                    T" + b" " * 50 + b"a = 1\nb = 2.5\n" * 30
    broken = [mutate(content, kind, seed) for seed in range(60)]
    assert broken == [mutate(content, kind, seed) for seed in range(60)]
    assert len({how for how, _ in broken}) > 6
    assert sum(new != content for _, new in broken) > 50


@pytest.mark.parametrize("name", ["NAXIS   ", "TFIELDS "])
def test_a_header_of_more_columns_than_memory_is_refused(name, tmp_path):
    """astropy makes a list of as many as the header says."""
    reader = make("template.healpix", tmp_path)
    path = reader.folder / "t.fits"
    good = path.read_bytes()
    card = f"{name}= {'9' * 40}".ljust(80).encode()
    at = good.index(f"{name}=".encode())
    path.write_bytes(good[:at] + card + good[at + 80 :])
    with pytest.raises(InputError, match=f"{name.strip()} in its header is above 999"):
        reader.read(reader.folder)


def test_a_message_is_one_printable_line_whatever_it_holds():
    text = str(InputError("a.fits: row 1 (SCW_ID \x00\x1b[2J\n\u202e): " + "9" * 5000 + ": mend the column"))
    assert text.isprintable()
    assert len(text) <= LONGEST
    assert text.startswith("a.fits: row 1 (SCW_ID \\x00\\x1b[2J")
    assert text.endswith(": mend the column")
    assert str(InputError("ScW é ± 3°: mend it")) == "ScW é ± 3°: mend it"


def test_a_long_list_of_names_is_cut():
    assert nearest("zzz", [f"name{k}" for k in range(100)]).endswith("name29, … 70 more)")


# --- prior files run no code


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch PROOF')",
        "Normal(0, __import__('os').system('touch PROOF'))",
        "Normal(0, (lambda: open('PROOF', 'w'))())",
        "[open('PROOF', 'w') for _ in [1]]",
        "Normal.__init__.__globals__['os'].system('touch PROOF')",
        'exec(\'open("PROOF", "w")\')',
        "(x := open('PROOF', 'w'))",
        "f\"{open('PROOF', 'w')}\"",
        "TransformedDistribution(Normal(0, 1), open('PROOF', 'w'))",
    ],
)
def test_a_prior_can_run_no_code(text, tmp_path, monkeypatch):
    import json

    from ridgebayes.priors import read_priors
    from ridgebayes.priors.text import parse_prior

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        parse_prior(text)
    (tmp_path / "p.toml").write_text(f'"sky.intensity" = {json.dumps(text)}\n')
    with pytest.raises(InputError, match=r"p\.toml: sky\.intensity: prior"):
        read_priors("p.toml")
    assert [p.name for p in tmp_path.iterdir()] == ["p.toml"]


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "a = 1\na = 2", "a = \x00", "\ufffe"]
)
def test_toml_without_end_is_refused(text, tmp_path):
    from ridgebayes import sky
    from ridgebayes.convert import load_mapping
    from ridgebayes.priors import read_priors

    (tmp_path / "a.toml").write_text(text)
    for read in (read_priors, load_mapping, sky.load):
        with pytest.raises(InputError, match=r"a\.toml"):
            read(tmp_path / "a.toml")


# --- many rows, one row, other orders


@pytest.mark.slow
def test_a_million_rows(tmp_path):
    import numpy as np

    from ridgebayes import read_scws
    from ridgebayes.table.formats import write_scws
    from ridgebayes.table.scw import Band, ScWTable

    n = 10**6
    number = np.arange(n)
    revolution = 70 + number // 400
    pointing = np.char.zfill((number % 400 + 1).astype(str), 4)
    ids = np.char.add(np.char.add(np.char.zfill(revolution.astype(str), 4), pointing), "0010")
    scws = ScWTable(
        scw_id=ids, revolution=revolution, phase=np.full(n, 0.5), mjd=52800.0 + number / 400 * 2.9,
        exposure=np.full(n, 2000.0), ra=np.full(n, 83.0), dec=np.full(n, 22.0),
        rate=np.full((n, 1), 70.0), stat_err=np.full((n, 1), 0.2), bands=(Band("A01", 25.0, 60.0),),
    )  # fmt: skip
    write_scws(scws, tmp_path / "a.fits")
    assert len(read_scws(tmp_path / "a.fits")) == n


def test_the_order_of_rows_changes_no_answer(tmp_path):
    import numpy as np
    from astropy.table import Table

    from ridgebayes.convert import screen
    from ridgebayes.convert.times import read_revolutions
    from ridgebayes.events import read_pointings
    from ridgebayes.products.monitor import read_monitor
    from ridgebayes.simulate import read_programme
    from tests.helpers.readers import few

    def shuffled(table, name):
        table.write(tmp_path / name, overwrite=True)
        order = np.random.default_rng(3).permutation(len(table))
        table[order].write(tmp_path / f"other-{name}", overwrite=True)
        return tmp_path / name, tmp_path / f"other-{name}"

    def same(one, other):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))

    scws = few()
    monitor = shuffled(Table({"mjd": scws.mjd, "value": scws.rate[:, 0]}), "m.csv")
    one, other = map(read_monitor, monitor)
    same(one.mjd, other.mjd), same(one.value, other.value)
    numbers = np.arange(70, 90)
    start = 52769.0 + 2.99 * np.arange(20)
    revolutions = shuffled(Table({"REVOL": numbers, "START": start, "PERIOD": 0 * start + 2.99}), "r.csv")
    one, other = map(read_revolutions, revolutions)
    same(one.start, other.start), same(one.end, other.end)
    pointings = shuffled(Table({"SCW_ID": scws.scw_id, "RA": scws.ra, "DEC": scws.dec}), "p.ecsv")
    one, other = map(read_pointings, pointings)
    same(one.scw_id, other.scw_id), same(one.ra, other.ra)
    # Dithers, lengths and phases are drawn or spread: by the id, not by the row.
    programme = shuffled(Table({"scw": scws.scw_id, "l_est": scws.lon, "b_est": scws.lat}), "q.ecsv")
    one, other = (read_programme(path, seed=4) for path in programme)
    back = np.argsort(other.scw_id)[np.argsort(np.argsort(one.scw_id))]
    for name in ("scw_id", "ra", "dec", "mjd", "phase", "exposure"):
        same(getattr(one, name), getattr(other, name)[back])
    order = np.random.default_rng(3).permutation(len(scws))
    same(screen(scws).screen[order], screen(scws.select(order)).screen)
