"""Comparison of models by leave-one-revolution-out and K-fold, and sensitivity to priors.

The package has another name than the functions `loo` and `compare` of `ridgebayes`.
"""

from ridgebayes.comparison.leaveout import Loo, kfold, loo
from ridgebayes.comparison.models import Comparison, compare
from ridgebayes.comparison.powerscaling import sensitivity

__all__ = ["Comparison", "Loo", "compare", "kfold", "loo", "sensitivity"]
