"""Benchmarks of fits for missions of increasing size, in separate processes.

`cases` defines the cases; `gradient` and `ridgebayes.cli.measured` measure in their own processes; `suite`
starts them and stores results; `report` makes the table and the figure.
"""
