"""Cores and workers."""
