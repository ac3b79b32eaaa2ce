"""Cores, and tasks in processes or on a Dask cluster."""
