"""VOTables as other programs write them."""

import warnings

from astropy.io.votable import from_table


def write_votable(table, path):
    """Write a table as VOTable, in Python.

    The C code that `Table.write` uses writes a byte behind its buffer where a row fills it (astropy issue
    20419, version 8.0): tests that run much later then crash.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from_table(table).to_xml(str(path), _debug_python_based_parser=True)
