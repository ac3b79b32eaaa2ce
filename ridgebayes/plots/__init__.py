"""Plots: of a fit (`fit`), of each step of the pipeline, and the style that they share."""
