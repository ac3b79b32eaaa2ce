"""A campaign on disk: what is kept, what is refused, and how that reads."""

import copy

import numpy as np
import pytest

from ridgebayes.errors import InputError
from ridgebayes.sbc.folder import RECORD, TABLE, Folder, read_ranks
from ridgebayes.sbc.one import Result

RECORD_OF = {
    "ridgebayes": "0.1.0",
    "versions": {"jax": "0.5", "jaxlib": "0.5", "numpyro": "0.18", "numpy": "2.0", "scipy": "1.13"},
    "model": {
        "name": "regions",
        "options": {},
        "extras": [],
        "priors": {"sky.norm": "Normal(0, 1)"},
        "source": "",
    },
    "sky": {"name": "coarse"},
    "response": "trapezoid 4.2 14.6",
    "data": {"fingerprint": "abc", "crab_rate": {}, "path": ""},
    "sbc": {"draws": 9, "warmup": 100, "seed": 0, "target_accept": 0.8, "max_tree_depth": 10},
}


def result(number, **changes):
    told = {"ranks": {"a": number, "b[A01]": 9 - number}, "ess": 120.5, "length": 250, "steps": 7.0}
    return Result(number, **{**told, "seconds": 1.5, **changes})


def changed(*keys, value):
    record = copy.deepcopy(RECORD_OF)
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return record


@pytest.fixture
def folder(tmp_path):
    """A campaign of two simulations, in any order."""
    folder = Folder(tmp_path / "out", RECORD_OF)
    for number in (3, 1):
        folder.add(result(number))
    folder.close()
    return tmp_path / "out"


def test_ranks_come_back_in_order(folder):
    ranks = read_ranks(folder)
    assert ranks.quantities == ("a", "b[A01]")
    assert ranks.parameters == ("a", "b")
    np.testing.assert_array_equal(ranks.values, [[1, 8], [3, 6]])
    np.testing.assert_array_equal(ranks.of("b")["b[A01]"], [8, 6])
    assert ranks.draws == 9
    assert ranks.results == (result(1), result(3))


def test_failures_are_kept_and_have_no_ranks(folder):
    again = Folder(folder, RECORD_OF)
    again.add(Result(0, {}, seconds=0.1, failed="draws are not finite"))
    assert again.done() == {0, 1, 3}
    again.close()
    ranks = read_ranks(folder)
    assert ranks.failures == {0: "draws are not finite"}
    assert len(ranks.values) == 2
    assert np.isnan(ranks.results[0].ess)


def test_line_that_was_being_written_is_dropped(folder):
    with (folder / TABLE).open("ab") as file:
        file.write(b'{"number": 7, "ranks": {"a": 3, ')
    assert len(read_ranks(folder).values) == 2
    again = Folder(folder, RECORD_OF)
    again.add(result(7))
    again.close()
    assert [r.number for r in read_ranks(folder).results] == [1, 3, 7]


def test_unreadable_line_is_named(folder):
    path = folder / TABLE
    path.write_bytes(path.read_bytes().replace(b'"number": 1', b'"number" 1'))
    with pytest.raises(InputError, match=rf"{TABLE}, line 2: cannot be read .*: remove that line"):
        read_ranks(folder)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            changed("model", "name", value="template"),
            "with name regions, and this has template: give another",
        ),
        (changed("model", "extras", value=["outliers"]), r"with extras \[\], and this has \['outliers'\]"),
        (
            changed("model", "priors", "sky.norm", value="Normal(0, 2)"),
            r"with sky.norm Normal\(0, 1\), and this has Normal\(0, 2\)",
        ),
        (changed("model", "source", value="text " * 50), r"with another model \(source\)"),
        (changed("sky", "name", value="milkyway"), "with name coarse, and this has milkyway"),
        (changed("response", value="image"), "with another response"),
        (changed("sbc", "seed", value=1), "with seed 0, and this has 1"),
        (changed("data", "fingerprint", value="def"), "holds a campaign on other ScWs"),
        (changed("data", "crab_rate", value={"A01": float("nan")}), "with another Crab rate"),
        (
            changed("versions", "jax", value="0.6"),
            "was begun with jax 0.5, and this is 0.6: install that one",
        ),
        (changed("ridgebayes", value="0.2.0"), "was begun with ridgebayes 0.1.0, and this is 0.2.0"),
    ],
)
def test_other_campaign_is_refused(folder, record, message):
    before = (folder / TABLE).read_bytes()
    with pytest.raises(InputError, match=message):
        Folder(folder, record)
    assert (folder / TABLE).read_bytes() == before
    Folder(folder, RECORD_OF).close()


def test_what_changes_no_rank_may_differ(folder):
    Folder(folder, changed("data", "path", value="elsewhere.fits")).close()
    Folder(folder, changed("versions", "scipy", value="1.15")).close()


def test_rate_of_a_crab_that_nothing_needs_is_no_difference(tmp_path):
    record = changed("data", "crab_rate", value={"A01": float("nan")})
    for _ in range(2):
        Folder(tmp_path, record).close()


def test_only_one_at_a_time(folder):
    first = Folder(folder, RECORD_OF)
    with pytest.raises(InputError, match="another process is at it: wait"):
        Folder(folder, RECORD_OF)
    first.close()


def test_folders_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match=f"{RECORD} is missing"):
        read_ranks(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*: choose another folder"):
        Folder(tmp_path / "file", RECORD_OF)
    (tmp_path / TABLE).write_text("")
    with pytest.raises(InputError, match=f"says not of what \\({RECORD} is missing\\)"):
        Folder(tmp_path, RECORD_OF)


def test_nothing_succeeded(tmp_path):
    folder = Folder(tmp_path, RECORD_OF)
    with pytest.raises(InputError, match=r"no simulation has succeeded yet$"):
        read_ranks(tmp_path)
    folder.add(Result(4, {}, failed="simulated rates are not finite"))
    folder.close()
    with pytest.raises(InputError, match=r"yet \(the first failed: simulated rates are not finite\)"):
        read_ranks(tmp_path)
