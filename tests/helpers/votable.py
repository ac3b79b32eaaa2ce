"""VOTables in the formats of other programs."""

import warnings

from astropy.io.votable import from_table


def write_votable(table, path, kind="tabledata"):
    """Write a table as VOTable of some kind (tabledata, binary, binary2), in Python.

    The C code of `Table.write` writes one byte beyond its buffer if a row fills it (astropy issue 20419,
    version 8.0), and later tests crash.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = from_table(table)
        file.get_first_table().format = kind
        file.to_xml(str(path), _debug_python_based_parser=True)
