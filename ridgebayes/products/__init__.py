"""Numbers that leave a run, one product a file."""

from ridgebayes.runs.intensity import (
    CI_KIND,
    CI_PROB,
    CXB_NOTE,
    MCRAB,
    format_table,
    fov_flux,
    intensity_table,
    provenance,
    summarise,
)

__all__ = [
    "CI_KIND",
    "CI_PROB",
    "CXB_NOTE",
    "MCRAB",
    "format_table",
    "fov_flux",
    "intensity_table",
    "provenance",
    "summarise",
]
