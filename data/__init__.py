"""Bundled data: all rates are simulated."""
