"""Which model predicts better: leave-one-revolution-out, K-fold, and what the priors do to the answer.

Not called `loo` or `compare`, which are functions of `ridgebayes`.
"""

from ridgebayes.comparison.leaveout import Loo, kfold, loo
from ridgebayes.comparison.models import Comparison, compare
from ridgebayes.comparison.powerscaling import sensitivity

__all__ = ["Comparison", "Loo", "compare", "kfold", "loo", "sensitivity"]
