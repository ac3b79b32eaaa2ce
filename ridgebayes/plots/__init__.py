"""Plots of a fit (`fit`) and of each step of the pipeline, and their common style."""
