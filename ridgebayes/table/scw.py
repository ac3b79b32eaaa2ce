"""The ScW rate table: one row per science window (ScW), as plain arrays in fixed units."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table
from numpy.typing import ArrayLike, NDArray

from ridgebayes import markup
from ridgebayes.errors import InputError, counted, nearest
from ridgebayes.table.arrays import floats, integers, texts, truths
from ridgebayes.typing import Bools, Floats, Ints

# Position of the Crab pulsar, ICRS degrees. Defined only here.
CRAB_RA = 83.63287
CRAB_DEC = 22.01447
CRAB = SkyCoord(CRAB_RA, CRAB_DEC, unit="deg", frame="icrs")

_META: dict[str, Any] = {"origin": None, "simulated": False, "osa_version": None, "path": None}
# Fields with one element (or one row) per ScW, in the order of the fingerprint.
_FLOATS = (
    "phase", "mjd", "exposure", "ra", "dec", "roll", "rate", "stat_err", "tracer", "tracer_err",
    "aside", "aside_err",
)  # fmt: skip
_OPTIONAL = ("roll", "tracer", "tracer_err", "aside", "aside_err")
_ROWS = ("scw_id", "revolution", *_FLOATS, "crab", "screen")


@dataclass(frozen=True)
class Band:
    """An energy band: its name and its edges in keV."""

    name: str
    e_min: float
    e_max: float

    def __str__(self) -> str:
        return f"{self.name} ({self.e_min:g}–{self.e_max:g} keV)"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ScWTable:
    """Detector rates of N ScWs in K bands.

    On construction arrays are converted to native float64, int64, bool and str and made read-only; use
    :func:`dataclasses.replace` for changed copies. Masked values become NaN, or raise for types without NaN;
    quantities are converted. Only shapes are checked here.
    :func:`ridgebayes.table.validation.validate`, which reading and writing call, checks values. All arguments
    are by keyword.

    Parameters
    ----------
    scw_id
        (N,) 12 digits, the first four the revolution.
    revolution
        (N,) revolution number.
    phase
        (N,) orbital phase, 0 (perigee) to 1.
    mjd
        (N,) middle of the ScW, MJD (TT).
    exposure
        (N,) live time, s.
    ra, dec
        (N,) pointing, ICRS degrees.
    rate, stat_err
        (N, K) source-cleaned rate of the whole detector and its 1σ error, cts/s; (N,) is one band.
    bands
        The K bands.
    roll
        (N,) position angle, degrees, or None, for which the response is averaged over roll.
    tracer, tracer_err
        (N,) 600–1000 keV rate and its error, cts/s, or None.
    crab
        (N,) True where the Crab was *not* removed. None means removed in all ScWs.
    screen
        (N,) bits of the cuts that exclude the ScW (see :mod:`ridgebayes.convert.screening`), else 0; None
        without screening. It is not part of the fingerprint.
    aside, aside_err
        (N, T) rate and error of the tracer bands, cts/s, or None (see :meth:`with_tracer_bands`).
    tracer_bands
        The T tracer bands.
    meta
        ``origin`` (str or None), ``simulated`` (bool), ``osa_version`` (str or None), ``path`` (str or None);
        of a screened table also ``screening`` (cut → ``bit`` and ``log``), and after excluding flagged rows
        ``left_out`` (numbers for ``ScWs`` and each cut).
    truth
        Truth of a simulated mission as a dict that JSON can represent; None for real data. It describes the
        whole mission; selections do not change it.

    Raises
    ------
    InputError
        If shapes are inconsistent, a value of `revolution`, `crab` or `screen` is missing, or a unit is
        incompatible.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.table.scw import Band
    >>> one = ScWTable(
    ...     scw_id=["010000010010"], revolution=[100], phase=[0.5], mjd=[52860.0], exposure=[1800.0],
    ...     ra=[266.4], dec=[-28.9], rate=[[76.0]], stat_err=[[0.2]], bands=[Band("A01", 25.0, 60.0)],
    ... )
    >>> one
    <ScWTable: 1 ScW of 1 revolution, bands A01>
    >>> bool(np.hypot(one.lon, one.lat)[0] < 0.1)  # towards the Galactic centre
    True
    """

    scw_id: NDArray[np.str_]
    revolution: Ints
    phase: Floats
    mjd: Floats
    exposure: Floats
    ra: Floats
    dec: Floats
    rate: Floats
    stat_err: Floats
    bands: tuple[Band, ...]
    roll: Floats | None = None
    tracer: Floats | None = None
    tracer_err: Floats | None = None
    crab: Bools = None  # type: ignore[assignment]  # filled below, so that every reader sees an array
    screen: Ints | None = None
    aside: Floats | None = None
    aside_err: Floats | None = None
    tracer_bands: tuple[Band, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)
    truth: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        ids = texts(self.scw_id)
        n, bands = ids.size, tuple(self.bands)
        self._set("bands", bands)
        self._set("tracer_bands", tuple(self.tracer_bands))
        self._set("meta", _META | dict(self.meta))
        self._set("scw_id", _frozen(ids))
        self._set("revolution", _frozen(integers("revolution", self.revolution)))
        crab = np.zeros(n, dtype=np.bool_) if self.crab is None else truths("crab", self.crab)
        self._set("crab", _frozen(crab))
        if self.screen is not None:
            self._set("screen", _frozen(integers("screen", self.screen)))
        for name in _FLOATS:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            array = floats(name, value)
            if name in ("rate", "stat_err") and array.ndim == 1 and len(bands) == 1:
                array = array[:, np.newaxis]
            self._set(name, _frozen(array))
        for name in _ROWS:
            value = getattr(self, name)
            want: tuple[int, ...] = (n,)
            if name in ("rate", "stat_err"):
                want = n, len(bands)
            elif name in ("aside", "aside_err"):
                want = n, len(self.tracer_bands)
            if value is not None and value.shape != want:
                raise InputError(
                    f"ScW table: {name} has shape {value.shape}, expected {want} "
                    f"({n} ScWs, {len(bands)} bands): give one element a ScW (and a band)"
                )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.scw_id.size

    def __repr__(self) -> str:
        return f"<ScWTable: {self._size}, bands {', '.join(self.band_names)}>"

    def _repr_html_(self) -> str:
        title = f"ScWTable: {self._size}"
        about: dict[str, object] = {"file": self.meta["path"] or "in memory"}
        if len(self):
            about["revolutions"] = f"{self.revolution.min()} to {self.revolution.max()}"
            about["MJD (TT)"] = f"{self.mjd.min():.1f} to {self.mjd.max():.1f}"
            about["exposure"] = f"{self.exposure.sum() / 1e6:.3g} Ms"
        about["with the Crab"] = int(self.crab.sum())
        about["columns besides"] = ", ".join(n for n in _OPTIONAL if getattr(self, n) is not None) or "none"
        rows = [
            (
                band.name,
                f"{band.e_min:g}–{band.e_max:g}",
                *(float(np.median(x[:, k])) if len(self) else "" for x in (self.rate, self.stat_err)),
            )
            for k, band in enumerate(self.bands)
        ]
        head = ("band", "keV", "median rate, cts/s", "median error, cts/s")
        return markup.page(title, markup.facts(about), markup.table(head, rows))

    @property
    def _size(self) -> str:
        scws = counted(len(self), "simulated ScW" if self.meta["simulated"] else "ScW")
        return f"{scws} of {counted(np.unique(self.revolution).size, 'revolution')}"

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands."""
        return tuple(band.name for band in self.bands)

    @cached_property
    def position(self) -> SkyCoord:
        """Pointings, (N,) ICRS."""
        return SkyCoord(self.ra, self.dec, unit="deg", frame="icrs")

    @cached_property
    def _galactic(self) -> tuple[Floats, Floats]:
        galactic = self.position.galactic
        return _frozen(galactic.l.wrap_at("180d").deg), _frozen(galactic.b.deg)

    @property
    def lon(self) -> Floats:
        """Galactic longitude of the pointings, (N,) degrees in [-180, 180)."""
        return self._galactic[0]

    @property
    def lat(self) -> Floats:
        """Galactic latitude of the pointings, (N,) degrees."""
        return self._galactic[1]

    def at_high_latitude(self, min_lat: float = 20.0) -> Bools:
        """Return the mask (N,) of ScWs pointed more than `min_lat` degrees from the Galactic plane.

        Examples
        --------
        >>> import ridgebayes as rb
        >>> scws = rb.read_scws("mission.fits")
        >>> bool(abs(scws.lat[scws.at_high_latitude(30.0)]).min() > 30.0)
        True
        """
        return np.abs(self.lat) > min_lat

    def near(self, target: SkyCoord, radius_deg: float) -> Bools:
        """Return the mask (N,) of ScWs pointed within `radius_deg` degrees of `target`, such as ``CRAB``.

        Examples
        --------
        >>> import ridgebayes as rb
        >>> from ridgebayes.table.scw import CRAB
        >>> scws = rb.read_scws("mission.fits")
        >>> bool(scws.crab[~scws.near(CRAB, 12.0)].any())  # no other ScW contains it
        False
        """
        return np.asarray(self.position.separation(target).deg < radius_deg)

    def select(self, rows: ArrayLike) -> ScWTable:
        """Return a table with the selected rows.

        Parameters
        ----------
        rows
            Boolean mask (N,) or array of row indices; the order of indices is kept.

        Raises
        ------
        InputError
            If a mask has another length, or an index is out of range.

        Examples
        --------
        >>> import ridgebayes as rb
        >>> scws = rb.read_scws("mission.fits")
        >>> bulge = scws.select(abs(scws.lon) < 10)
        >>> bool(abs(bulge.lon).max() < 10), len(scws.select([0, 1]))
        (True, 2)
        """
        index = np.asarray(rows)
        if index.size == 0 and index.dtype != np.bool_:
            index = index.astype(np.int64)  # NumPy makes an empty list float
        if index.dtype == np.bool_:
            if index.shape != (len(self),):
                raise InputError(
                    f"selection: mask of shape {index.shape} for {len(self)} ScWs: give one element a ScW"
                )
            index = np.flatnonzero(index)
        elif index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
            raise InputError("selection: give a boolean mask or a one-dimensional array of row indices")
        elif index.size and (index.min() < -len(self) or index.max() >= len(self)):
            raise InputError(
                f"selection: row index outside the table of {len(self)} ScWs: use 0 to {len(self) - 1}"
            )
        columns = {name: getattr(self, name) for name in _ROWS}
        chosen: dict[str, Any] = {name: v if v is None else v[index] for name, v in columns.items()}
        return dataclasses.replace(self, **chosen)

    def take_bands(self, names: str | Sequence[str]) -> ScWTable:
        """Return a table with the selected bands, in the given order.

        Parameters
        ----------
        names
            One band name or several.

        Raises
        ------
        InputError
            If a name is unknown (the message gives the nearest one), repeated, or none is given.

        Examples
        --------
        >>> import ridgebayes as rb
        >>> rb.read_scws("mission.fits").take_bands("A02").band_names
        ('A02',)
        """
        wanted = (names,) if isinstance(names, str) else tuple(names)
        for name in wanted:
            if name not in self.band_names:
                raise InputError(
                    f"band '{name}' is not in the ScW table{nearest(str(name), self.band_names)}"
                )
        if not wanted or len(set(wanted)) < len(wanted):
            raise InputError(f"bands {list(wanted)}: name at least one band, and each only once")
        index = [self.band_names.index(name) for name in wanted]
        return dataclasses.replace(
            self,
            bands=tuple(self.bands[k] for k in index),
            rate=self.rate[:, index],
            stat_err=self.stat_err[:, index],
        )

    def with_tracer_bands(self, names: str | Sequence[str]) -> ScWTable:
        """Use bands without sky emission as tracers of the background instead of fitting them.

        The part of the background that is common to these and the other bands is removed from the others,
        which reduces their errors.

        Parameters
        ----------
        names
            Bands in which the sky, except the Crab, is too faint to be detected; none returns the table
            itself.

        Raises
        ------
        InputError
            If a name is unknown or repeated, or no band is left.
        """
        wanted = (names,) if isinstance(names, str) else tuple(names)
        if not wanted:
            return self
        few = self.take_bands(wanted)
        left = [name for name in self.band_names if name not in wanted]
        if not left:
            raise InputError(f"tracer bands {', '.join(wanted)}: no band is left to fit: name fewer")
        before = [x for x in (self.aside, self.aside_err) if x is not None] or [np.empty((len(self), 0))] * 2
        return dataclasses.replace(
            self.take_bands(left),
            aside=np.concatenate([before[0], few.rate], axis=1),
            aside_err=np.concatenate([before[1], few.stat_err], axis=1),
            tracer_bands=(*self.tracer_bands, *few.bands),
        )

    def without_tracer_bands(self) -> ScWTable:
        """Return the table with its tracer bands appended to the other bands."""
        if self.aside is None or self.aside_err is None:
            return self
        return dataclasses.replace(
            self,
            bands=(*self.bands, *self.tracer_bands),
            rate=np.concatenate([self.rate, self.aside], axis=1),
            stat_err=np.concatenate([self.stat_err, self.aside_err], axis=1),
            aside=None,
            aside_err=None,
            tracer_bands=(),
        )

    def to_table(self, *, vectors: bool = True) -> Table:
        """Return the columns of the file contract as an astropy table with units.

        Parameters
        ----------
        vectors
            Vector columns RATE and STAT_ERR; otherwise one column per band, ``RATE_<BAND>``.

        Examples
        --------
        >>> import ridgebayes as rb
        >>> table = rb.read_scws("mission.fits").to_table(vectors=False)
        >>> [name for name in table.colnames if name.startswith("RATE")], table["EXPOSURE"].unit
        (['RATE_A01', 'RATE_A02'], Unit("s"))
        """
        table = Table({"SCW_ID": self.scw_id, "REVOL": self.revolution, "PHASE": self.phase})
        columns: dict[str, tuple[Any, u.UnitBase]] = {
            "MJD": (self.mjd, u.d),
            "EXPOSURE": (self.exposure, u.s),
            "RA": (self.ra, u.deg),
            "DEC": (self.dec, u.deg),
            "ROLL": (self.roll, u.deg),
        }
        for name, rates in (("RATE", self.rate), ("STAT_ERR", self.stat_err)):
            if vectors:
                columns[name] = (rates, u.ct / u.s)
            else:
                columns |= {f"{name}_{b}": (rates[:, k], u.ct / u.s) for k, b in enumerate(self.band_names)}
        columns |= {"TRACER": (self.tracer, u.ct / u.s), "TRACER_ERR": (self.tracer_err, u.ct / u.s)}
        for name, (values, unit) in columns.items():
            if values is not None:
                table[name] = Column(values, unit=unit)
        table["SOURCE"] = np.where(self.crab, "Crab", "").astype("U4")  # width four even if all are empty
        if self.screen is not None:
            table["SCREEN"] = self.screen
        return table

    def fingerprint(self) -> str:
        """Return the SHA-256 of the content, in hexadecimal digits.

        It depends on all inputs of a fit (rows, bands, OSA version, flag for simulated data), but not on the
        order of rows, the path, the origin, the truth or the screening flags.

        Examples
        --------
        >>> import numpy as np
        >>> import ridgebayes as rb
        >>> scws = rb.read_scws("mission.fits")
        >>> backwards = scws.select(np.arange(len(scws))[::-1])
        >>> backwards.fingerprint() == scws.fingerprint()  # the order does not matter
        True
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        head = {
            "bands": [(b.name, float(b.e_min), float(b.e_max)) for b in self.bands],
            "osa_version": self.meta["osa_version"],
            "simulated": bool(self.meta["simulated"]),
            "columns": [name for name in _ROWS if name != "screen" and getattr(self, name) is not None],
            "rows": len(self),
        }
        if self.tracer_bands:
            head["tracer_bands"] = [(b.name, float(b.e_min), float(b.e_max)) for b in self.tracer_bands]
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        # Rows with the same SCW_ID (selections may repeat rows) are equal, so their order does not matter.
        order = np.argsort(self.scw_id, kind="stable")
        for name in head["columns"]:
            column = getattr(self, name)[order]
            if name == "scw_id":
                digest.update("\n".join(column).encode())
            elif name in _FLOATS:
                digest.update((column + 0.0).astype("<f8").tobytes())  # + 0.0 turns -0.0 into 0.0
            else:
                digest.update(column.astype("<i8").tobytes())
        return digest.hexdigest()


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view; the array of the caller stays writeable."""
    view = array.view()
    view.flags.writeable = False
    return view
