"""Posterior predictive checks: comparison of the data with data simulated from the posterior.

>>> import ridgebayes as rb
>>> rb.check(rb.open_run("runs/first"), draws=20).found
()

`noise`, `background`, `galaxy`, `crab` and `bands` contain the statistics, `refit` the fit that is applied to
observed and replicated rates, `pvalues` the significance of a statistic, and `verdicts` the messages.
`automatic` fits with the extras that help.
"""

from ridgebayes.checks.automatic import sample_auto
from ridgebayes.checks.checking import check, compare
from ridgebayes.checks.results import Checks, Result, Verdict

__all__ = ["Checks", "Result", "Verdict", "check", "compare", "sample_auto"]
