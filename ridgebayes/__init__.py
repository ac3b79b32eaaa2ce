"""Hierarchical Bayesian measurement of the Galactic diffuse hard X-ray emission with ISGRI.

>>> import ridgebayes as rb
>>> scws = rb.read_scws("mission.fits")
>>> model = rb.models.regions(rb.sky.load("milkyway"))
>>> run = rb.open_run("runs/first")  # or sample it: rb.sample(model, scws, out="runs/first")
>>> run.intensity().dims
('chain', 'draw', 'band', 'region')
"""

from typing import TYPE_CHECKING, Any

from ridgebayes.environment import import_problem, settle

settle()  # before JAX, which nothing here waits for, reads its variables

from ridgebayes import units as _units  # noqa: E402, F401  # makes mCrab known to astropy, which then reads it

if TYPE_CHECKING:
    from ridgebayes import models, sbc, simulate, sky
    from ridgebayes.checks import check, sample_auto
    from ridgebayes.comparison import compare, kfold, loo, sensitivity
    from ridgebayes.errors import InputError, RidgeBayesWarning
    from ridgebayes.io.product_tables import read_table
    from ridgebayes.priors import Shared
    from ridgebayes.products.prior_predictive import prior_predictive
    from ridgebayes.runs.run import Run, open_run
    from ridgebayes.runs.sampling import resume, sample
    from ridgebayes.runs.update import update
    from ridgebayes.table.formats import read_scws, write_scws
    from ridgebayes.table.scw import ScWTable

    __version__: str

_WHERE = {
    "InputError": "ridgebayes.errors",
    "RidgeBayesWarning": "ridgebayes.errors",
    "Run": "ridgebayes.runs.run",
    "ScWTable": "ridgebayes.table.scw",
    "Shared": "ridgebayes.priors",
    "check": "ridgebayes.checks",
    "compare": "ridgebayes.comparison",
    "kfold": "ridgebayes.comparison",
    "loo": "ridgebayes.comparison",
    "open_run": "ridgebayes.runs.run",
    "prior_predictive": "ridgebayes.products.prior_predictive",
    "read_scws": "ridgebayes.table.formats",
    "read_table": "ridgebayes.io.product_tables",
    "resume": "ridgebayes.runs.sampling",
    "sample": "ridgebayes.runs.sampling",
    "sample_auto": "ridgebayes.checks",
    "sensitivity": "ridgebayes.comparison",
    "update": "ridgebayes.runs.update",
    "write_scws": "ridgebayes.table.formats",
}
_MODULES = ("models", "sbc", "simulate", "sky")

__all__ = [
    "InputError",
    "RidgeBayesWarning",
    "Run",
    "ScWTable",
    "Shared",
    "check",
    "compare",
    "kfold",
    "loo",
    "models",
    "open_run",
    "prior_predictive",
    "read_scws",
    "read_table",
    "resume",
    "sample",
    "sample_auto",
    "sbc",
    "sensitivity",
    "simulate",
    "sky",
    "update",
    "write_scws",
]


def __getattr__(name: str) -> Any:
    # Lazily: `ridgebayes inspect` and `--help` should not wait for NumPyro and Matplotlib.
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("ridgebayes")
    try:
        if name in _MODULES:
            return import_module(f"ridgebayes.{name}")
        if name in _WHERE:
            return getattr(import_module(_WHERE[name]), name)
    except ValueError as error:
        problem = import_problem(error)
        if problem is None:
            raise
        raise ValueError(problem) from error
    raise AttributeError(f"module 'ridgebayes' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)  # those that are loaded only when they are asked for, too
