"""Full disks, damaged files, no network: nothing is half written, nothing damaged is taken for good.

`benchmarks/fault_injection.py` kills, fills and locks at many more moments.
"""

import contextlib
import os
import resource
import socket
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ridgebayes import read_scws, write_scws
from ridgebayes.errors import InputError
from ridgebayes.io.atomic import whole_file, whole_files
from ridgebayes.runs.run import Run
from tests.helpers.readers import few, make

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def files_no_longer_than(size):
    """Every write beyond so many bytes of a file fails, in compiled code too, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_whole_file_or_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    message = r"a\.txt: cannot be written .*: choose another folder"
    with pytest.raises(InputError, match=message), files_no_longer_than(100), whole_file(path) as scratch:
        scratch.write_bytes(bytes(1000))
    assert contents(tmp_path) == {"a.txt": b"old"}
    with whole_file(path) as scratch:
        scratch.write_text("new")
    assert contents(tmp_path) == {"a.txt": b"new"}


def test_files_that_belong_together(tmp_path):
    paths = [tmp_path / name for name in ("side", "gone", "main")]
    for path in paths:
        path.write_text("old")
    with whole_files(*paths) as (side, _, main):
        side.write_text("new")
        main.write_text("new")
    assert contents(tmp_path) == {"side": b"new", "main": b"new"}
    with pytest.raises(InputError), whole_files(*paths) as (side, *_):
        side.write_text("newer")  # and the last one, which must be there, is not
    assert contents(tmp_path)["main"] == b"new"


def test_a_disk_that_fills_at_any_file_operation(tmp_path, monkeypatch):
    """The n-th call to the system fails as on a full disk, for every n until none is left."""
    old, new = few(), few().select(np.arange(5))
    for name in ("a.fits", "a.csv"):
        write_scws(old, tmp_path / name)
    before, failed = contents(tmp_path), 0
    calls = {name: getattr(os, name) for name in ("open", "fsync", "replace", "mkdir")}
    for n in range(100):
        left = iter(range(n))

        def full(name, left=left):
            def call(*given, **options):
                reads = name == "open" and not given[1] & (os.O_WRONLY | os.O_RDWR)  # to remove a folder
                if not reads and next(left, None) is None:
                    raise OSError(28, "No space left on device")
                return calls[name](*given, **options)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(os, name, full(name))
            try:
                write_scws(new, tmp_path / "a.fits", overwrite=True)
            except InputError as error:
                failed += "No space left on device" in str(error)
            else:
                break
        assert contents(tmp_path) == before
    assert failed >= 3
    assert len(read_scws(tmp_path / "a.fits")) == 5


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "a.ecsv", "a.csv", "a.parquet"])
def test_tables_on_a_full_disk(name, tmp_path):
    write_scws(few(), tmp_path / name)
    before = contents(tmp_path)
    size = len(before[name])
    for share in (0.0, 0.1, 0.5, 0.9):
        with files_no_longer_than(int(share * size)), pytest.raises(InputError, match="cannot be written"):
            write_scws(few(), tmp_path / name, overwrite=True)
        assert contents(tmp_path) == before


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make("run", tmp_path_factory.mktemp("readers")).folder / "run"


def test_a_run_on_a_full_disk(run, tmp_path):
    opened = Run.open(run)
    opened.scws  # noqa: B018  so that it is written too
    saved = Run(opened.tree, opened.record, None, opened.scws).save(tmp_path / "saved")
    before = contents(tmp_path)
    for size in (0, 1000, 20_000, 60_000):
        with files_no_longer_than(size), pytest.raises(InputError, match="cannot be written"):
            saved.save(tmp_path / "saved", overwrite=True)
        assert contents(tmp_path) == before
    assert not [p for p in tmp_path.iterdir() if p.name != "saved"]


def test_figures_on_a_full_disk(tmp_path):
    from matplotlib.figure import Figure

    from ridgebayes.plots.style import write_figure

    with files_no_longer_than(500), pytest.raises(InputError, match="cannot be written"):
        write_figure(Figure, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["posterior.nc", "scws.fits"])
def test_a_changed_byte_in_a_run_is_found(run, name):
    path = run / name
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    try:
        for where in rng.integers(0, len(good), 10):
            broken = bytearray(good)
            broken[where] ^= 1
            path.write_bytes(bytes(broken))
            with pytest.raises(InputError, match=rf"{name}: is not the file that the fit wrote"):
                Run.open(run).scws  # noqa: B018
    finally:
        path.write_bytes(good)
    assert len(Run.open(run).scws)


def test_a_record_that_lacks_something_is_named(run):
    path = run / "run.toml"
    good = path.read_text()
    try:
        for old, new, words in (
            ('ridgebayes = "', 'other = "', "ridgebayes is missing"),
            ("[model]", "[modl]", r"model\.name is missing"),
            ("chains = 2", 'chains = "2"', "sampling.chains is '2', not a whole number"),
            ("simulated = true", "simulated = 1", "data.simulated is 1, not true or false"),
        ):
            assert good.count(old) >= 1
            path.write_text(good.replace(old, new, 1))
            with pytest.raises(InputError, match=r"run\.toml: " + words):
                Run.open(run)
    finally:
        path.write_text(good)


def test_fits_files_have_checksums_that_are_checked(tmp_path):
    write_scws(few(), tmp_path / "a.fits")
    write_scws(few(), tmp_path / "b.fits")
    content = (tmp_path / "a.fits").read_bytes()
    assert content == (tmp_path / "b.fits").read_bytes(), "the same data make the same file"
    with fits.open(tmp_path / "a.fits") as hdus:  # astropy's own check
        assert all(hdu.verify_datasum() == 1 == hdu.verify_checksum() for hdu in hdus)
        where = hdus["SCW"].fileinfo()["datLoc"] + 50
    (tmp_path / "a.fits").write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    with pytest.raises(InputError, match=r"a\.fits: its checksum does not fit: .*fitscheck"):
        read_scws(tmp_path / "a.fits")
    # The remedy in the message is one.
    fitscheck = [sys.executable, "-c", "from astropy.io.fits.scripts.fitscheck import main; main()"]
    subprocess.run([*fitscheck, "--write", "--force", tmp_path / "a.fits"], check=True)
    assert len(read_scws(tmp_path / "a.fits")) == len(few())


def test_a_table_that_astropy_changed_says_how_to_change_it(tmp_path):
    write_scws(few(), tmp_path / "a.fits")
    table = Table.read(tmp_path / "a.fits", hdu="SCW")
    table["EXPOSURE"] *= 2
    table.write(tmp_path / "b.fits")
    with pytest.raises(InputError, match=r"checksum does not fit: .*rb.write_scws\(scws.select\(…\), …\)"):
        read_scws(tmp_path / "b.fits")
    for key in ("CHECKSUM", "DATASUM"):  # as docs/scw-table.md says
        table.meta.pop(key)
    table.write(tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits", checksum=True) as hdus:
        assert hdus[1].data["EXPOSURE"] == pytest.approx(2 * few().exposure)


def test_a_damaged_part_of_the_event_lists_is_measured_again(tmp_path):
    reader = make("events.parts", tmp_path)
    want = reader.read(reader.folder)
    part = reader.folder / reader.sealed[0]
    text = part.read_text()
    digit = text.index('"rate": [') + len('"rate": [')
    part.write_text(text[:digit] + ("8" if text[digit] != "8" else "7") + text[digit + 1 :])
    assert reader.read(reader.folder) == want


def test_nothing_asks_the_network(tmp_path, monkeypatch):
    from ridgebayes import simulate, sky

    def refused(*_):
        pytest.fail("something asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    for name in ("convert.fits", "convert.csv", "events", "monitor", "programme", "regions"):
        reader = make(name, tmp_path)
        reader.read(reader.folder)
    truth = simulate.Truth(bands=simulate.BANDS[:1])
    simulate.mission(simulate.programme(1, seed=1), truth, sky=sky.load("coarse"), cache=False)


def test_the_help_says_that_a_model_file_is_run():
    from tests.helpers.cli import call

    said = " ".join(call("fit", "--help").output.split())
    assert "a Python file of your own, which is executed" in said
