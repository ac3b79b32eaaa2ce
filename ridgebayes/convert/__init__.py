"""The doors in: other people's rate tables, tables joined, tables screened.

>>> from ridgebayes.convert import convert, load_mapping
>>> scws = convert(["rates.fits"], load_mapping("map.toml")).scws     # doctest: +SKIP

`convert` reads any rate table (`sources`, `mapping`, `guess`, `columns`, `times`, `angles`), `append` joins
tables of different revolutions, `screen` flags ScWs that a fit should leave out.
"""

from ridgebayes.convert.build import Converted, convert
from ridgebayes.convert.guessing import Guess, guess
from ridgebayes.convert.joining import append
from ridgebayes.convert.mapping import BandColumns, Mapping, dump_mapping, load_mapping
from ridgebayes.convert.screening import Cuts, clear, screen

__all__ = [
    "BandColumns",
    "Converted",
    "Cuts",
    "Guess",
    "Mapping",
    "append",
    "clear",
    "convert",
    "dump_mapping",
    "guess",
    "load_mapping",
    "screen",
]
