"""Which known unknowns the data ask for: each is tried by how well revolutions are predicted with it.

One fault shows in many statistics, so that the first that a check names may be the wrong one. Here a model is
fitted with each extra in turn. Its nonlinear parameters are held at their mode, and groups of revolutions are
left out one at a time and predicted from the others, the linear parameters (sky, level, drift, tracer)
integrated out. What an extra adds to the sum of these log densities, less the number of nonlinear parameters
that it takes (Akaike 1974, IEEE Transactions on Automatic Control 19, 716), is its gain. Of a long mission
some revolutions are enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ridgebayes.comparison.leaveout import standard_error
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.progress import tqdm
from ridgebayes.inference.sampler import Sampler
from ridgebayes.instrument.response import Response
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.reference import Scales
from ridgebayes.model import Model
from ridgebayes.model.extensions import EXTRAS
from ridgebayes.parallel.cores import one_blas_thread
from ridgebayes.runs.sampling import independent, meet
from ridgebayes.table.scw import ScWTable

MOST_SCWS = 8_000
"""Of a longer table every so-many-th revolution is tried."""
_LEAST_GAIN, _STANDARD_ERRORS = 4.0, 2.0
"""An extra helps where its gain is larger than this, and than so many of its standard errors."""
FEWEST_REVOLUTIONS = 4
_GROUPS = 30
"""Groups of revolutions that are left out: their scatter gives the standard error."""


@dataclass(frozen=True)
class Trial:
    """What an extra adds to the prediction of revolutions left out.

    Attributes
    ----------
    extra
        Its name.
    beside
        The extras that the model had already.
    gain, se
        Gain in log density, all bands together, and its standard error.
    revolutions
        How many were predicted, in groups.
    """

    extra: str
    beside: tuple[str, ...]
    gain: float
    se: float
    revolutions: int

    @property
    def helps(self) -> bool:
        """Whether the data ask for it."""
        return self.gain > max(_LEAST_GAIN, _STANDARD_ERRORS * self.se)

    def recorded(self) -> dict[str, Any]:
        """Return it as plain numbers and texts, for a record."""
        numbers = {"gain": round(self.gain, 2), "se": round(self.se, 2), "revolutions": self.revolutions}
        return {"extra": self.extra, "beside": list(self.beside), **numbers}

    def __str__(self) -> str:
        return (
            f"{self.extra}: {'helps' if self.helps else 'does not help'} ({self.gain:+.1f} ± {self.se:.1f})"
        )


class Trials:
    """Tries extras of a model on a table.

    Parameters
    ----------
    model
        The model, with the extras that it has already.
    scws
        The ScW rate table.
    response, crab_rate
        As those of `ridgebayes.sample`.
    scales
        Reference scales of a run; by default read off the data.
    most_scws
        Of a table with more ScWs every so-many-th revolution is taken.

    Raises
    ------
    InputError
        Fewer than four revolutions.
    """

    def __init__(
        self,
        model: Model,
        scws: ScWTable,
        *,
        response: Response | None = None,
        crab_rate: Mapping[str, float] | None = None,
        scales: Scales | None = None,
        most_scws: int = MOST_SCWS,
    ) -> None:
        self.model = model
        if scales is None:
            scales = meet(model, scws, response=response, crab_rate=crab_rate)[1].scales
        numbers = np.unique(scws.revolution)
        every = -(-len(scws) // most_scws)
        self.scws = scws.select(np.isin(scws.revolution, numbers[::every]))
        self.revolutions = len(numbers[::every])
        if self.revolutions < FEWEST_REVOLUTIONS:
            raise InputError(
                f"{self.revolutions} revolutions: to try an extra takes at least {FEWEST_REVOLUTIONS}"
            )
        self._how: dict[str, Any] = {"response": response, "crab_rate": crab_rate, "scales": scales}
        self._densities: dict[frozenset[str], NDArray] = {}

    def candidates(self) -> list[str]:
        """Extras that the model could have and does not have."""
        return [name for name in EXTRAS if name not in self.model.extras and self._possible(name)]

    def _possible(self, name: str) -> bool:
        try:
            self.model.with_extras(name)
        except InputError:
            return False
        return True

    def of(self, name: str, beside: Collection[str] = ()) -> Trial:
        """Try one extra.

        Parameters
        ----------
        name
            The extra.
        beside
            Extras that are opened in both fits.
        """
        opened = (*self.model.extras, *beside)
        gain = self._density({*opened, name}) - self._density(opened)
        return Trial(name, tuple(opened), float(gain.sum()), standard_error(gain), self.revolutions)

    def ranked(self, *, progress: bool = False) -> list[Trial]:
        """Try all, each by itself, and return those with the largest gain first."""
        names = tqdm(self.candidates(), disable=not progress, desc="extras tried", unit="")
        return sorted((self.of(name) for name in names), key=lambda trial: -trial.gain)

    def steps(self, *, progress: bool = False) -> Iterator[list[Trial]]:
        """Open what helps most, try the others beside it, and so on until nothing helps.

        Yields
        ------
        list of Trial
            Of each step, the largest gain first. Where the first helps, it is opened in the next step. What
            made no difference or a worse prediction in one step is not tried in the next.
        """
        names = self.candidates()
        beside: list[str] = []
        while names:
            shown = tqdm(names, disable=not progress, desc="extras tried", unit="")
            tried = sorted((self.of(name, beside) for name in shown), key=lambda trial: -trial.gain)
            yield tried
            if not tried[0].helps:
                return
            beside.append(tried[0].extra)
            names = [trial.extra for trial in tried[1:] if trial.gain > 0]

    def _density(self, extras: Collection[str]) -> NDArray:
        """Log density of each group of revolutions left out, (group,)."""
        opened = frozenset(extras)
        if opened not in self._densities:
            names = [name for name in EXTRAS if name in opened and name not in self.model.extras]
            self._densities[opened] = _left_out(self.model.with_extras(*names), self.scws, **self._how)
        return self._densities[opened]


@one_blas_thread()
def _left_out(model: Model, scws: ScWTable, **how: Any) -> NDArray[np.float64]:
    """Log density of each group of revolutions given the others, less its share of the parameters."""
    model, prepared = meet(model, scws, **how)
    parts = independent(model, prepared.data)
    posterior = Posterior(model, parts[0])
    sampler = Sampler(posterior, parts[0], warmup=0)
    marginal = sampler.marginal
    if marginal is None:
        raise InputError(f"model '{model.name}': has no parameters that can be integrated out")
    order = np.random.default_rng(0).permutation(prepared.layout.revolutions.size)
    groups = np.array_split(order, min(_GROUPS, order.size))
    gains = np.zeros(len(groups))
    for part in parts:
        around, given = sampler.mode(marginal, posterior.start(jax.random.key(0), part), part, precise=True)
        cells = [part.filled, *(_without(part, group) for group in groups)]
        shown = [given._replace(data=replace(given.data, filled=some)) for some in cells]
        every, *others = (marginal.log_densities(around.mode[None], some)[0] for some in shown)
        narrowed = (around.root**2).sum(1) / posterior.scale[marginal.nonlinear] ** 2
        gains += every - np.array(others) - np.clip(1.0 - narrowed, 0.0, 1.0).sum() / len(groups)
    return gains


def _without(data: FitData, revolutions: NDArray[np.int64]) -> jax.Array:
    """Cells of the other revolutions, (block, width)."""
    return data.filled & ~jnp.isin(data.block_revolution, revolutions)[:, None]
