"""The ScW table from rates of ScWs and from the user's tables of pointings and revolutions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.events.rates import ScWRates
from ridgebayes.events.reading import position_angle
from ridgebayes.instrument.response import Trapezoid, detector_offsets
from ridgebayes.io.bounded import one_line
from ridgebayes.table.columns import Columns
from ridgebayes.table.scw import CRAB_DEC, CRAB_RA, Band, ScWTable
from ridgebayes.table.validation import check_rows, revolution_of
from ridgebayes.typing import Bools, Floats

if TYPE_CHECKING:
    from ridgebayes.convert.times import Revolutions

_log = logging.getLogger(__name__)
_RATE = u.ct / u.s


@dataclass(frozen=True, eq=False)
class Pointings:
    """Columns of a pointing table: degrees, and the live fraction; NaN where missing.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from ridgebayes.events import read_pointings
    >>> Table({"SCW_ID": ["010000010010"], "RA": [83.6], "DEC": [22.0]}).write("aim.csv", overwrite=True)
    >>> pointings = read_pointings("aim.csv")
    >>> pointings.row("010000010010"), pointings.row("010000020010")
    (0, None)
    """

    scw_id: NDArray[np.str_]
    ra: Floats
    dec: Floats
    roll: Floats
    live: Floats

    def row(self, scw_id: str) -> int | None:
        """Row of a ScW, or None if it is not in the table."""
        place = int(np.searchsorted(self.scw_id, scw_id))
        return place if place < self.scw_id.size and self.scw_id[place] == scw_id else None


def read_pointings(path: str | PathLike[str]) -> Pointings:
    """Read a pointing table: SCW_ID, RA, DEC (ICRS), optional ROLL and DEADC (live fraction), FITS or text.

    An ISDC index of science windows also works: SWID, RA_SCX, DEC_SCX, RA_SCZ, DEC_SCZ, SW_TYPE.

    Raises
    ------
    InputError
        If a column is missing, a ScW occurs twice or a value is impossible.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from ridgebayes.events import read_pointings
    >>> Table({"SCW_ID": ["010000010010"], "RA": [83.6], "DEC": [22.0]}).write("aim.csv", overwrite=True)
    >>> read_pointings("aim.csv").ra
    array([83.6])
    """
    from ridgebayes.convert.ids import pointings_only, scw_ids
    from ridgebayes.convert.sources import open_source

    source = open_source(path)
    with one_line(source.path, "a pointing table"):
        columns = Columns(str(path), pointings_only(str(path), source.table))
        ids = columns.ids = scw_ids(columns, _usual(columns, "SCW_ID", "SWID"))
        ra = columns.scalars(_usual(columns, "RA", "RA_SCX"), u.deg)
        dec = columns.scalars(_usual(columns, "DEC", "DEC_SCX"), u.deg)
        nothing = np.full(ids.size, np.nan)
        roll = columns.scalars("ROLL", u.deg) if "ROLL" in columns else nothing
        if "ROLL" not in columns and "RA_SCZ" in columns and "DEC_SCZ" in columns:
            towards = (columns.scalars(name, u.deg) for name in ("RA_SCZ", "DEC_SCZ"))
            roll = position_angle(ra, dec, *towards)
        live = columns.scalars("DEADC", u.dimensionless_unscaled) if "DEADC" in columns else nothing
        check_rows(str(path), ids, "RA", ra, np.isfinite(ra), "must be finite", "mend the table")
        check_rows(
            str(path), ids, "DEC", dec, np.abs(dec) <= 90, "must lie between -90 and 90", "mend the table"
        )
        known = np.isnan(live) | ((live > 0) & (live <= 1))
        check_rows(
            str(path), ids, "DEADC", live, known, "must be a live fraction in (0, 1]", "mend the table"
        )
    order = np.argsort(ids)
    repeated = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if repeated.size:
        raise InputError(f"{path}: ScW {ids[order][repeated[0]]} occurs twice: keep one row a ScW")
    return Pointings(ids[order], ra[order], dec[order], roll[order], live[order])


def _usual(columns: Columns, *names: str) -> str:
    """Return the first of the names that the table has."""
    return next((name for name in names if name in columns), names[0])


def assemble(
    rates: Sequence[ScWRates],
    bands: Sequence[Band],
    revolutions: Revolutions | None,
    *,
    pointings: Pointings | None = None,
    live: float | None = None,
    osa_version: str | None = None,
) -> ScWTable:
    """Make the ScW table.

    Parameters
    ----------
    rates
        Rates, one for each ScW.
    bands
        The K bands they were measured in.
    revolutions
        Start and end of revolutions, for orbital phases (`ridgebayes.convert.times.read_revolutions`).
    pointings
        Pointings and live fractions; they take precedence over the header of the event list.
    live
        Live fraction where neither the table nor the header gives one.
    osa_version
        Version of OSA that computed the energies; event lists do not contain it.

    Raises
    ------
    InputError
        If a phase or a pointing is unknown, or live fractions are known for some ScWs only.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.convert.times import Revolutions
    >>> from ridgebayes.events import assemble, measure, parse_bands, read_events
    >>> bands = parse_bands("25-60,60-80")
    >>> rates = [measure(read_events("isgri_events.fits"), bands)]
    >>> revolutions = Revolutions(np.array([2559]), np.array([59863.0]), np.array([59865.7]))
    >>> assemble(rates, bands, revolutions, live=0.8).phase.round(2)
    array([0.46])
    """
    if revolutions is None:
        raise InputError(
            "PHASE cannot be known from an event list: give revolutions=..., a table with columns REVOL, "
            "START (MJD, TT) and PERIOD (d) or END (MJD, TT)"
        )
    if not rates:
        raise InputError("no ScW gave a rate: nothing to write")
    ids = np.array([r.scw_id for r in rates])
    ra, dec, roll = _pointing(rates, pointings)
    fraction = _live(rates, pointings, live)
    mjd = np.array([r.mjd for r in rates])
    source = "event lists"
    if np.isnan(roll).any():
        _log.warning("roll is not known of %d of %d ScWs: left out", np.isnan(roll).sum(), len(rates))
    crab = np.array([r.crab == "kept" for r in rates])
    crab |= _sees_crab(ra, dec, roll) & np.array([r.crab != "removed" for r in rates])
    return ScWTable(
        scw_id=ids,
        revolution=revolution_of(ids),
        phase=revolutions.phase(source, ids, revolution_of(ids), mjd),
        mjd=mjd,
        exposure=np.array([r.exposure for r in rates]) * fraction,
        ra=ra,
        dec=dec,
        roll=None if np.isnan(roll).any() else roll,
        rate=np.array([r.rate for r in rates]) / fraction[:, np.newaxis],
        stat_err=np.array([r.stat_err for r in rates]) / fraction[:, np.newaxis],
        tracer=np.array([r.tracer for r in rates]) / fraction,
        tracer_err=np.array([r.tracer_err for r in rates]) / fraction,
        crab=crab,
        bands=tuple(bands),
        meta={
            "origin": "ridgebayes rates, from ISGRI event lists",
            "simulated": any(r.simulated for r in rates),
            "osa_version": osa_version,
        },
    )


def _pointing(rates: Sequence[ScWRates], pointings: Pointings | None) -> tuple[Floats, Floats, Floats]:
    where = np.array([[r.ra, r.dec, r.roll] for r in rates])
    if pointings is not None:
        for number, r in enumerate(rates):
            row = pointings.row(r.scw_id)
            if row is not None:
                where[number] = pointings.ra[row], pointings.dec[row], pointings.roll[row]
    unknown = np.flatnonzero(np.isnan(where[:, :2]).any(axis=1))
    if unknown.size:
        more = f" (and of {unknown.size - 1} more)" if unknown.size > 1 else ""
        raise InputError(
            f"{rates[unknown[0]].source}: the pointing of ScW {rates[unknown[0]].scw_id}{more} is not known: "
            "its header lacks RA_SCX and DEC_SCX: give pointings=..., a table of SCW_ID, RA, DEC, ROLL"
        )
    return where[:, 0], where[:, 1], where[:, 2]


def _live(rates: Sequence[ScWRates], pointings: Pointings | None, default: float | None) -> Floats:
    if default is not None and not 0 < default <= 1:
        raise InputError(f"live fraction {default:g}: give live=... above 0 and up to 1")
    live = np.array([np.nan if r.live is None else r.live for r in rates])
    if pointings is not None:
        for number, r in enumerate(rates):
            row = pointings.row(r.scw_id)
            if row is not None and not np.isnan(pointings.live[row]):
                live[number] = pointings.live[row]
    unknown = np.isnan(live)
    if default is None and unknown.all():
        _log.warning("no dead time is known: rates are per second of good time (no file says it)")
        return np.ones(live.size)
    if default is None and unknown.any():
        first = rates[int(np.argmax(unknown))]
        raise InputError(
            f"{first.source}: dead time is known of some ScWs and not of {unknown.sum()}, such as "
            f"{first.scw_id}: give it to all, by DEADC in the table of pointings=... or by live=..."
        )
    return np.where(unknown, 1.0 if default is None else default, live)


def _sees_crab(ra: Floats, dec: Floats, roll: Floats) -> Bools:
    """Return True for pointings with the Crab in the field of view."""
    response = Trapezoid()
    turned = np.isfinite(roll)
    x, y = detector_offsets(CRAB_RA, CRAB_DEC, ra, dec, np.where(turned, roll, 0.0))
    distance = np.rad2deg(np.arctan(np.deg2rad(np.hypot(x, y))))
    return np.asarray(np.where(turned, response(x, y) > 0, distance < response.radius_deg))


def report(rates: Sequence[ScWRates], bands: Sequence[Band]) -> QTable:
    """Tabulate the measurement, one row per ScW: times, pixels, scatter within the ScW, sources.

    Examples
    --------
    >>> from ridgebayes.events import measure, parse_bands, read_events, report
    >>> bands = parse_bands("25-60,60-80")
    >>> report([measure(read_events("isgri_events.fits"), bands)], bands).colnames[:4]
    ['SCW_ID', 'FILE', 'GOOD_TIME', 'BURST_TIME']
    """
    names = [band.name for band in bands]
    table = QTable({"SCW_ID": [r.scw_id for r in rates], "FILE": [r.source for r in rates]})
    table["GOOD_TIME"] = [r.good_s for r in rates] * u.s
    table["BURST_TIME"] = [r.burst_s for r in rates] * u.s
    table["PIXELS"] = [r.pixels for r in rates]
    table["NOISY"] = [r.noisy for r in rates]
    scatter = np.array([r.scatter for r in rates])
    for k, name in enumerate([*names, "TRACER"]):
        table[f"SCATTER_{name}"] = scatter[:, k] * u.dimensionless_unscaled
    table["REMOVED"] = [_names(r, True) for r in rates]
    table["KEPT"] = [_names(r, False) for r in rates]
    table.meta = {
        "SIMUL": any(r.simulated for r in rates),
        "about": "SCATTER: standard deviation of time bins beyond counting, as a fraction of the rate",
    }
    return table


def source_report(rates: Sequence[ScWRates], bands: Sequence[Band]) -> QTable:
    """Tabulate rates of fitted sources, one row each per ScW; not corrected for dead time; may be empty.

    Examples
    --------
    >>> from ridgebayes.events import measure, parse_bands, read_events, source_report
    >>> bands = parse_bands("25-60,60-80")
    >>> table = source_report([measure(read_events("isgri_events.fits"), bands)], bands)
    >>> len(table), table.colnames[:3]
    (0, ['SCW_ID', 'NAME', 'REMOVED'])
    """
    rows = [(r, s, name) for r in rates for s, name in enumerate(r.sources)]
    table = QTable({"SCW_ID": [r.scw_id for r, _, _ in rows], "NAME": [name for _, _, name in rows]})
    table["REMOVED"] = [r.removed[s] for r, s, _ in rows]
    for k, band in enumerate(bands):
        table[f"RATE_{band.name}"] = [r.flux[s][k] for r, s, _ in rows] * _RATE
        table[f"STAT_ERR_{band.name}"] = [r.flux_err[s][k] for r, s, _ in rows] * _RATE
    table.meta = {"SIMUL": any(r.simulated for r in rates)}
    return table


def _names(rates: ScWRates, removed: bool) -> str:
    return ", ".join(n for n, gone in zip(rates.sources, rates.removed, strict=True) if gone is removed)
