"""Choice of extras: each is tried by the prediction of left-out revolutions with it.

One fault affects many statistics, so the first that a check finds may have another cause. Here a model is
fitted with each extra in turn. Nonlinear parameters are fixed at their mode; groups of revolutions are left
out one at a time and predicted from the others, with linear parameters (sky, level, drift, tracer) integrated
out. The gain of an extra is the increase of the sum of these log densities, minus the number of its nonlinear
parameters (Akaike 1974, IEEE Transactions on Automatic Control 19, 716). For a long mission a subset of
revolutions is enough.
"""

from __future__ import annotations

import logging
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

logger = logging.getLogger(__name__)

MOST_SCWS = 8_000
"""For longer tables trials use equally spaced revolutions with about this number of ScWs."""
_LEAST_GAIN, _STANDARD_ERRORS = 4.0, 2.0
"""An extra helps if its gain exceeds the first number and the second times its standard error."""
FEWEST_REVOLUTIONS = 4
_GROUPS = 30
"""Number of groups of left-out revolutions; their scatter gives the standard error."""


@dataclass(frozen=True)
class Trial:
    """Effect of an extra on the prediction of left-out revolutions.

    Attributes
    ----------
    extra
        Name of the extra.
    beside
        Extras of the model in both fits.
    gain, se
        Gain in log density, summed over bands, and its standard error.
    revolutions
        Number of predicted revolutions.
    """

    extra: str
    beside: tuple[str, ...]
    gain: float
    se: float
    revolutions: int

    @property
    def helps(self) -> bool:
        """True if the gain is significant."""
        return self.gain > max(_LEAST_GAIN, _STANDARD_ERRORS * self.se)

    def recorded(self) -> dict[str, Any]:
        """Return plain numbers and texts for a record."""
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
        The model, which may have extras.
    scws
        The ScW rate table.
    response, crab_rate
        As in `ridgebayes.sample`.
    scales
        Reference scales of a run; by default estimated from the data.
    most_scws
        Maximum number of ScWs; longer tables are reduced to equally spaced revolutions.

    Raises
    ------
    InputError
        If there are fewer than four revolutions.
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
        """Extras that can be added to the model."""
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
            Further extras in both fits.
        """
        opened = (*self.model.extras, *beside)
        gain = self._density({*opened, name}) - self._density(opened)
        return Trial(name, tuple(opened), float(gain.sum()), standard_error(gain), self.revolutions)

    def ranked(self, *, progress: bool = False) -> list[Trial]:
        """Try all extras separately; sort by decreasing gain."""
        return self._tried(self.candidates(), (), progress)

    def steps(self, *, progress: bool = False) -> Iterator[list[Trial]]:
        """Add the extra with the largest gain, try the others with it, and repeat until none helps.

        Yields
        ------
        list of Trial
            Trials of each step, by decreasing gain. If the first one helps, the next step includes it. Extras
            without a positive gain are not tried again.
        """
        names = self.candidates()
        beside: list[str] = []
        while names:
            tried = self._tried(names, beside, progress)
            yield tried
            if not tried or not tried[0].helps:
                return
            beside.append(tried[0].extra)
            names = [trial.extra for trial in tried[1:] if trial.gain > 0]

    def _tried(self, names: Collection[str], beside: Collection[str], progress: bool) -> list[Trial]:
        """Try extras one by one, without those that do not go with the others; sort by decreasing gain."""
        self._density((*self.model.extras, *beside))  # a model that cannot be tried at all is refused here
        found = []
        for name in tqdm(names, disable=not progress, desc="extras tried", unit=""):
            try:
                found.append(self.of(name, beside))
            except InputError as reason:
                logger.info("%s is not tried: %s", name, reason)
        return sorted(found, key=lambda trial: -trial.gain)

    def _density(self, extras: Collection[str]) -> NDArray:
        """Log density of each left-out group of revolutions, (group,)."""
        opened = frozenset(extras)
        if opened not in self._densities:
            names = [name for name in EXTRAS if name in opened and name not in self.model.extras]
            self._densities[opened] = _left_out(self.model.with_extras(*names), self.scws, **self._how)
        return self._densities[opened]


@one_blas_thread()
def _left_out(model: Model, scws: ScWTable, **how: Any) -> NDArray[np.float64]:
    """Log density of each group of revolutions given the others, minus its share of the parameters."""
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
        around, given = sampler.search.mode(posterior.start(jax.random.key(0), part), part, precise=True)
        cells = [part.filled, *(_without(part, group) for group in groups)]
        shown = [given._replace(data=replace(given.data, filled=some)) for some in cells]
        every, *others = (marginal.log_densities(around.mode[None], some)[0] for some in shown)
        narrowed = (around.root**2).sum(1) / posterior.scale[marginal.nonlinear] ** 2
        gains += every - np.array(others) - np.clip(1.0 - narrowed, 0.0, 1.0).sum() / len(groups)
    return gains


def _without(data: FitData, revolutions: NDArray[np.int64]) -> jax.Array:
    """Mask of cells of the other revolutions, (block, width)."""
    return data.filled & ~jnp.isin(data.block_revolution, revolutions)[:, None]
