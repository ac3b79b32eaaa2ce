"""Posterior predictive checks: whether the data look like data of the model.

>>> import ridgebayes as rb
>>> rb.check(rb.open_run("runs/first"), draws=20).found
()

One file a subject: `noise`, `background`, `galaxy`, `crab` and `bands` hold the statistics, `refit` the
recipe that observed and replicated rates go through alike, `pvalues` how far out a statistic is, `verdicts`
the words. `automatic` fits with the extras that help.
"""

from ridgebayes.checks.automatic import sample_auto
from ridgebayes.checks.checking import check, compare
from ridgebayes.checks.results import Checks, Result, Verdict

__all__ = ["Checks", "Result", "Verdict", "check", "compare", "sample_auto"]
