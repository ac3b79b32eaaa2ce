"""Models: a NumPyro function, its parameters, and the components of the rate that models share."""

from ridgebayes.model.model import Model, Rates

__all__ = ["Model", "Rates"]
