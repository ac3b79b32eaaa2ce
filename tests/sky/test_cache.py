"""The cache may cost time, never a result."""

import logging

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ridgebayes.sky.cache import cache_dir, cached_array, content_key


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RIDGEBAYES_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


class Work:
    """Counts how often it is done."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return np.arange(6.0).reshape(2, 3)


def test_second_time_comes_from_disk(folder):
    work = Work()
    first = cached_array("thing", "a" * 64, (2, 3), work)
    second = cached_array("thing", "a" * 64, (2, 3), work)
    assert work.times == 1
    assert_allclose(first, second)
    assert [path.suffix for path in folder.iterdir()] == [".npy"]  # nothing half-written left
    cached_array("thing", "b" * 64, (2, 3), work)
    assert work.times == 2


@pytest.mark.parametrize("how", ["truncated", "text", "empty", "shape", "type", "nan", "pickle"])
def test_corrupt_file_is_computed_again(folder, caplog, how):
    work = Work()
    cached_array("thing", "a" * 64, (2, 3), work)
    (path,) = folder.iterdir()
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-5])
    elif how in ("text", "empty"):
        path.write_bytes(b"not an array" if how == "text" else b"")
    else:
        wrong = {
            "shape": np.zeros((3, 2)),
            "type": np.zeros((2, 3), int),
            "nan": np.full((2, 3), np.nan),
            "pickle": np.array([[{}] * 3] * 2),
        }
        np.save(path, wrong[how], allow_pickle=True)
    with caplog.at_level(logging.WARNING):
        assert_allclose(cached_array("thing", "a" * 64, (2, 3), work), np.arange(6.0).reshape(2, 3))
    assert work.times == 2
    assert "again" in caplog.text
    cached_array("thing", "a" * 64, (2, 3), work)
    assert work.times == 2  # the good one was kept


def test_unwritable_folder_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RIDGEBAYES_CACHE", str(tmp_path / "file" / "cache"))
    work = Work()
    for _ in range(2):
        assert_allclose(cached_array("thing", "a" * 64, (2, 3), work)[1, 2], 5)
    assert work.times == 2


def test_folder_without_the_variable(monkeypatch):
    monkeypatch.delenv("RIDGEBAYES_CACHE")
    assert "ridgebayes" in str(cache_dir())


def test_key_depends_on_every_bit():
    a = np.arange(4.0)
    keys = [
        content_key("x", a),
        content_key("x", np.nextafter(a, 9)),
        content_key("x", a.reshape(2, 2)),
        content_key("x", a.astype(np.float32)),
        content_key("y", a),
        content_key("x", a, None),
        content_key("x", a, "None"),
    ]
    assert len(set(keys)) == len(keys)
    assert content_key("x", a) == content_key("x", a.copy())
