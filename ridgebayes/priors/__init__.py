"""Priors: parameters of models, priors as text, files of priors."""

from ridgebayes.priors.files import priors_toml, read_priors
from ridgebayes.priors.parameters import (
    Parameter,
    Parameters,
    Shared,
    format_parameters,
    parameter_rows,
    with_priors,
)
from ridgebayes.priors.text import describe, parse_prior, spell

__all__ = [
    "Parameter",
    "Parameters",
    "Shared",
    "describe",
    "format_parameters",
    "parameter_rows",
    "parse_prior",
    "priors_toml",
    "read_priors",
    "spell",
    "with_priors",
]
