"""Products as objects: their options are the arguments of their functions, and their parts are written."""

import inspect

import pytest
from astropy.table import QTable

from ridgebayes.cli.ending import Products
from ridgebayes.cli.main import main
from ridgebayes.cli.products import write
from ridgebayes.errors import InputError
from ridgebayes.outputs import PRODUCTS
from ridgebayes.outputs.product import File, Message, Writes

OF_ALL = {"run", "plain", "out", "overwrite"}


@pytest.mark.parametrize("name", PRODUCTS)
def test_options_are_the_arguments_of_the_function(name):
    """With the same defaults, so that Python and the command line make the same product."""
    values = main.commands[name].make_context(name, ["RUN"]).params
    wanted = {argument: value for argument, value in values.items() if argument not in OF_ALL}
    given = inspect.signature(PRODUCTS[name].make).parameters
    assert set(given) - {"run"} == set(wanted)
    for argument, default in wanted.items():
        here = given[argument].default
        assert here == default or (here is None and default in ((), {})), argument


def test_a_table_says_where_it_is_from(small_run, tmp_path):
    table = QTable({"band": [str(small_run.record["data"]["bands"][0])]})
    write(File("a.ecsv", table), Products(tmp_path, overwrite=False), small_run, "png")
    found = QTable.read(tmp_path / "a.ecsv")
    assert found.meta["simulated"]
    assert found.meta["run_created"] == small_run.record["created"]
    assert found["converged"].dtype == bool


def test_messages_are_marked_once(small_run, tmp_path, capsys):
    files = Products(tmp_path, overwrite=False)
    for part in (Message("in {folder}"), Message("SIMULATED data\nb"), Message("a note", marked=False)):
        write(part, files, small_run, "png")
    assert capsys.readouterr().out == f"SIMULATED data\nin {tmp_path}\nSIMULATED data\nb\na note\n"


def test_a_file_may_be_refused(small_run, tmp_path):
    files, refused = Products(tmp_path, overwrite=False), []

    def fail(path):
        raise InputError("no")

    write(File("a.pha", fail, refused), files, small_run, "png")
    assert (refused, files.written) == (["no"], [])
    with pytest.raises(InputError, match="no"):
        write(File("a.pha", fail), files, small_run, "png")
    (tmp_path / "a.pha").touch()
    with pytest.raises(InputError, match=r"a\.pha: exists already"):
        write(Writes(["a.pha"]), files, small_run, "png")
