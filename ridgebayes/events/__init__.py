"""From ISGRI event lists to rows of the ScW rate table.

>>> from ridgebayes.events import measure, parse_bands, read_events
>>> rates = measure(read_events("isgri_events.fits"), parse_bands("25-60,60-80,80-200"))
>>> len(rates.rate), len(rates.stat_err)
(3, 3)

`reading` opens an event list, `cuts` finds good time, noisy pixels and bursts, `pif` removes sources, `rates`
joins them into one ScW, `many` runs this on thousands of files, `table` makes a ScWTable of the results.
"""

from ridgebayes.events.many import Outcome, measure_files
from ridgebayes.events.pif import Illumination, read_pifs
from ridgebayes.events.rates import Cuts, ScWRates, measure, parse_bands
from ridgebayes.events.reading import EventList, read_events
from ridgebayes.events.table import Pointings, assemble, read_pointings, report, source_report

__all__ = [
    "Cuts",
    "EventList",
    "Illumination",
    "Outcome",
    "Pointings",
    "ScWRates",
    "assemble",
    "measure",
    "measure_files",
    "parse_bands",
    "read_events",
    "read_pifs",
    "read_pointings",
    "report",
    "source_report",
]
