"""Tables, maps and files computed from a run, one product per module."""

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
