"""Screening: flag ScWs that a fit should leave out. No row is removed, so every cut can be undone.

The cuts use medians and robust scatter of the measured rates, no model.

Bits of SCREEN: FLARE 0, BELT 1, OUTLIER 2, SHORT 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import median_filter

from ridgebayes.errors import InputError, nearest
from ridgebayes.robust import sd_about_zero
from ridgebayes.table.outlying import FEWEST, distance
from ridgebayes.table.scw import ScWTable
from ridgebayes.typing import Bools

BITS = {"FLARE": 0, "BELT": 1, "OUTLIER": 2, "SHORT": 3}

_NEIGHBOURS = 101  # ScWs in the running median: about two days
_GAP_D = 3.0  # largest distance of neighbours in time


@dataclass(frozen=True)
class Cuts:
    """Thresholds; None (or 0) switches a cut off.

    Parameters
    ----------
    flare
        FLARE: robust sigma of the tracer (without one: of the band of highest energy) above its running
        median over 101 ScWs.
    phase
        BELT: first and last orbital phase outside the radiation belts.
    outlier
        OUTLIER: robust sigma, in any band, from the median of the ScWs of the same revolution that point
        within 6°.
    short
        SHORT: smallest exposure, seconds.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.convert import Cuts, screen
    >>> scws = rb.read_scws("mission.fits", screened=False)
    >>> screened = screen(scws, Cuts(flare=None, phase=None, outlier=None, short=1600.0))
    >>> bool((scws.exposure[screened.screen > 0] < 1600.0).all())
    True
    """

    flare: float | None = 6.0
    phase: tuple[float, float] | None = (0.04, 0.96)
    outlier: float | None = 6.0
    short: float | None = 300.0


def screen(scws: ScWTable, cuts: Cuts | None = None) -> ScWTable:
    """Flag ScWs.

    Parameters
    ----------
    scws
        All rows (``read_scws(path, screened=False)``). Earlier flags of the same cuts are replaced, those of
        other programs kept.
    cuts
        The thresholds.

    Returns
    -------
    ScWTable
        The same rows with ``screen``, and with the ``bit`` and ``log`` of every cut in ``meta["screening"]``.

    Raises
    ------
    InputError
        If a threshold is invalid, or the table uses the bit of a cut for another one.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.convert import Cuts, screen
    >>> scws = screen(rb.read_scws("mission.fits", screened=False), Cuts(outlier=None))
    >>> list(scws.meta["screening"])
    ['FLARE', 'BELT', 'SHORT']
    >>> scws.meta["screening"]["BELT"]["log"]
    'phase outside 0.04 to 0.96: 0 of 1511 ScWs'
    """
    cuts = cuts or Cuts()
    _check(cuts)
    found: dict[str, tuple[Bools, str]] = {}
    if cuts.flare:
        found["FLARE"] = flares(scws, cuts.flare)
    if cuts.phase:
        low, high = cuts.phase
        found["BELT"] = (scws.phase < low) | (scws.phase > high), f"phase outside {low:g} to {high:g}"
    if cuts.outlier:
        found["OUTLIER"] = outliers(scws, cuts.outlier)
    if cuts.short:
        found["SHORT"] = scws.exposure < cuts.short, f"exposure below {cuts.short:g} s"
    bare = clear(scws, [name for name in BITS if name in scws.meta.get("screening", {})])
    flags = np.zeros(len(scws), dtype=np.int64) if bare.screen is None else bare.screen.copy()
    screening = dict(bare.meta.get("screening", {}))
    for name, (bad, log) in found.items():
        other = next((n for n, cut in screening.items() if cut["bit"] == BITS[name]), name)
        if other != name or np.any(flags >> BITS[name] & 1):
            what = other if other != name else "without a name"
            raise InputError(
                f"{_name(scws)}: bit {BITS[name]} of SCREEN, for {name}, is taken ({what}): "
                "clear the flags first (ridgebayes screen FILE --undo)"
            )
        flags |= bad.astype(np.int64) << BITS[name]
        screening[name] = {"bit": BITS[name], "log": f"{log}: {int(bad.sum())} of {len(scws)} ScWs"}
    return dataclasses.replace(bare, screen=flags, meta=bare.meta | {"screening": screening})


def clear(scws: ScWTable, names: Sequence[str] | None = None) -> ScWTable:
    """Remove flags.

    Parameters
    ----------
    scws
        All rows of a screened table.
    names
        Cuts; None: all cuts, and the column SCREEN.

    Raises
    ------
    InputError
        If the table has no such cut.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.convert import Cuts, clear, screen
    >>> flagged = screen(rb.read_scws("mission.fits", screened=False), Cuts(outlier=None))
    >>> sorted(clear(flagged, ["FLARE"]).meta["screening"]), clear(flagged).screen
    (['BELT', 'SHORT'], None)
    """
    screening = dict(scws.meta.get("screening", {}))
    if names is None:
        meta = {key: value for key, value in scws.meta.items() if key != "screening"}
        return dataclasses.replace(scws, screen=None, meta=meta)
    if scws.screen is None:
        if names:
            raise InputError(f"{_name(scws)}: has no column SCREEN: nothing to clear")
        return scws
    flags = scws.screen.copy()
    for name in names:
        if name not in screening:
            raise InputError(f"{_name(scws)}: no cut '{name}'{nearest(name, screening)}: nothing to clear")
        flags &= ~np.int64(1 << screening.pop(name)["bit"])
    return dataclasses.replace(scws, screen=flags, meta=scws.meta | {"screening": screening})


def flares(scws: ScWTable, sigma: float) -> tuple[Bools, str]:
    """Find ScWs whose tracer (or highest band) is far above that of their neighbours: mask (N,) and log."""
    if scws.tracer is not None:
        values, errors, of = scws.tracer, scws.tracer_err, "tracer"
        usable = np.ones(len(scws), dtype=np.bool_)
    else:
        k = int(np.argmax([band.e_max for band in scws.bands]))
        values, errors, of = scws.rate[:, k], scws.stat_err[:, k], f"rate of {scws.bands[k].name}"
        usable = ~scws.crab
    ratio = np.full(len(scws), np.nan)
    order = np.argsort(scws.mjd, kind="stable")
    order = order[usable[order]]
    starts = [0, *(np.flatnonzero(np.diff(scws.mjd[order]) > _GAP_D) + 1), order.size]
    for a, b in pairwise(starts):
        rows = order[a:b]
        if rows.size >= FEWEST:
            around = median_filter(values[rows], size=_NEIGHBOURS, mode="reflect")
            with np.errstate(
                divide="ignore", invalid="ignore"
            ):  # a tracer that is switched off cannot test anything
                ratio[rows] = values[rows] / around - 1
    tested = np.isfinite(ratio)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = 0.0 if errors is None else errors / np.abs(values)
    scatter = sd_about_zero(ratio[tested]) if tested.any() else np.inf
    bad = tested & (np.nan_to_num(ratio) > sigma * np.maximum(scatter, error))
    return bad, f"{of} above {sigma:g} sigma of its running median ({tested.sum()} tested)"


def outliers(scws: ScWTable, sigma: float) -> tuple[Bools, str]:
    """Find ScWs whose rate is far from others of the same revolution and direction: mask (N,) and log.

    ScWs that contain the Crab, or have fewer than four others near them, are not tested.
    """
    far = distance(scws)
    tested = np.isfinite(far[:, 0])
    bad = tested & np.any(np.nan_to_num(far) > sigma, axis=1)
    return (
        bad,
        f"a rate {sigma:g} sigma from the median of its revolution within 6 deg ({tested.sum()} tested)",
    )


def _name(scws: ScWTable) -> str:
    return str(scws.meta["path"] or "ScW table")


def _check(cuts: Cuts) -> None:
    for name in ("flare", "outlier", "short"):
        value = getattr(cuts, name)
        if value is not None and not 0 <= value < np.inf:
            raise InputError(f"{name} {value:g}: give a threshold above 0, or 0 for no such cut")
    if cuts.phase is not None and not 0 <= cuts.phase[0] < cuts.phase[1] <= 1:
        raise InputError(
            f"phase {cuts.phase[0]:g} {cuts.phase[1]:g}: give two phases between 0 and 1, rising"
        )
