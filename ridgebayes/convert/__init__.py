"""Ways to get a ScW table: convert a rate table of another format, join ScW tables, screen one.

>>> from ridgebayes.convert import convert
>>> convert(["mission.fits"]).scws.band_names  # add load_mapping("map.toml") if the guess fails
('A01', 'A02')

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
