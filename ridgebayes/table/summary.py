"""Summary of a ScW table: numbers as a dict, and the page that ``ridgebayes inspect`` prints."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astropy_healpix import HEALPix
from scipy.ndimage import median
from scipy.spatial import cKDTree

from ridgebayes.errors import InputError, counted
from ridgebayes.markup import SIMULATED
from ridgebayes.robust import SD_OVER_MAD, sd_about_zero
from ridgebayes.table.orbit import mjd_at
from ridgebayes.table.outlying import distance
from ridgebayes.table.scw import CRAB, ScWTable
from ridgebayes.typing import Bools, Floats, Ints

HIGH_LAT = 20.0  # degrees; ScWs beyond it calibrate the background
BELTS = (0.04, 0.96)  # phases between which the orbit is outside the radiation belts
COVER_RADIUS = 8.0  # degrees; within it the response is above 0.6
FAR = 8.0  # robust sigma; screening uses 6, which one of some thousand ScWs exceeds by chance
HIGHEST = 1e4  # cts/s: ISGRI sends some thousand a second at most
NAMED = 5  # number of suspicious ScWs to name

_CENTRE = SkyCoord(0, 0, unit="deg", frame="galactic")


def summarise(scws: ScWTable) -> dict[str, Any]:
    """Return a summary of a ScW table as plain numbers and text for JSON.

    Parameters
    ----------
    scws
        The table, N > 0.

    Returns
    -------
    dict
        ``path``, ``origin``, ``osa_version``, ``simulated``, ``truth`` (bool: exists), ``scws`` (count);
        ``revolutions`` (count, first, last, without_high_latitude, one_to_four_high_latitude: more than 20°);
        ``bands`` (list of name, e_min, e_max in keV, and the medians rate, stat_err in cts/s);
        ``time`` (mjd and date of the first and last ScW); ``exposure_ms`` (10⁶ s); ``tracer``, ``roll``;
        ``crab_scws`` (with the Crab not removed); ``left_out`` (numbers of rows excluded by screening,
        for ``ScWs`` and each cut, or None); ``sky`` (shares, 0–1; covered is a share of the sky, the
        others of ScWs); ``suspicious`` (list of what, count, and scw_ids of up to five).

    Raises
    ------
    InputError
        If the table has no rows.
    """
    if len(scws) == 0:
        raise InputError("ScW table: no rows to summarise: select at least one ScW")
    revolutions, group = np.unique(scws.revolution, return_inverse=True)
    high = np.bincount(group, weights=scws.at_high_latitude(HIGH_LAT), minlength=revolutions.size)
    span = Time([scws.mjd.min(), scws.mjd.max()], format="mjd", scale="tt")
    return {
        **{key: scws.meta[key] for key in ("path", "origin", "osa_version")},
        "simulated": bool(scws.meta["simulated"]),
        "truth": scws.truth is not None,
        "scws": len(scws),
        "revolutions": {
            "count": int(revolutions.size),
            "first": int(revolutions[0]),
            "last": int(revolutions[-1]),
            "without_high_latitude": int((high == 0).sum()),
            "one_to_four_high_latitude": int(((high >= 1) & (high <= 4)).sum()),
        },
        "bands": [
            {
                "name": band.name,
                "e_min": float(band.e_min),
                "e_max": float(band.e_max),
                "rate": float(np.median(scws.rate[:, k])),
                "stat_err": float(np.median(scws.stat_err[:, k])),
            }
            for k, band in enumerate(scws.bands)
        ],
        "time": {"mjd": span.mjd.tolist(), "date": [date[:10] for date in span.iso]},
        "exposure_ms": float(scws.exposure.sum() / 1e6),
        "tracer": scws.tracer is not None,
        "roll": scws.roll is not None,
        "crab_scws": int(scws.crab.sum()),
        "left_out": scws.meta.get("left_out"),
        "sky": _sky(scws),
        "suspicious": [
            {"what": what, "count": int(bad.sum()), "scw_ids": np.sort(scws.scw_id[bad])[:NAMED].tolist()}
            for what, bad in _suspicions(scws, group)
            if bad.any()
        ],
    }


def summary(scws: ScWTable) -> str:
    """Return the page that ``ridgebayes inspect FILE`` prints; see :func:`summarise` for the numbers."""
    return page(summarise(scws))


def page(s: dict[str, Any]) -> str:
    """Lay out what `summarise` found."""
    rev, sky, time = s["revolutions"], s["sky"], s["time"]

    def revs(count: int) -> str:
        return f"{count} ({count / rev['count']:.1%})"

    rows = [
        ("file", s["path"]),
        ("origin", s["origin"]),
        ("OSA version", s["osa_version"]),
        ("ScWs", f"{s['scws']} in {counted(rev['count'], 'revolution')} ({rev['first']} to {rev['last']})"),
        (
            "time",
            f"MJD {time['mjd'][0]:.2f} to {time['mjd'][1]:.2f} TT ({time['date'][0]} to {time['date'][1]})",
        ),
        ("screened", _left_out(s["left_out"])),
        ("exposure", f"{s['exposure_ms']:.4g} Ms"),
        *(
            (
                f"band {b['name']}",
                f"{b['e_min']:g}–{b['e_max']:g} keV, median rate {b['rate']:.2f} ± {b['stat_err']:.2f} cts/s",
            )
            for b in s["bands"]
        ),
        ("tracer", "yes" if s["tracer"] else "no (no column TRACER)"),
        ("roll", "yes" if s["roll"] else "no (response averaged over roll)"),
        ("Crab", f"not removed in {s['crab_scws']} ScWs; {sky['near_crab']:.1%} of ScWs within 12° of it"),
        ("", None if s["crab_scws"] else "a fit needs --crab-rate BAND=CTS/S for every band"),
        ("sky", f"{sky['covered']:.1%} of the sky within {COVER_RADIUS:g}° of a pointing"),
        ("ScWs at |b| < 5°", f"{sky['low_latitude']:.1%}; within 10° of the centre {sky['near_centre']:.1%}"),
        ("ScWs at |b| > 20°", f"{sky['high_latitude']:.1%}"),
        ("revolutions", f"without any ScW at |b| > 20°: {revs(rev['without_high_latitude'])}"),
        ("", f"with one to four of them: {revs(rev['one_to_four_high_latitude'])}"),
    ]
    if not s["suspicious"]:
        rows.append(("suspicious", "nothing"))
    for k, item in enumerate(s["suspicious"]):
        more = ", …" if item["count"] > len(item["scw_ids"]) else ""
        rows.append(
            (
                "" if k else "suspicious",
                f"{item['count']} × {item['what']}: {', '.join(item['scw_ids'])}{more}",
            )
        )
    lines = [f"{name:<18} {value}" for name, value in rows if value is not None]
    if s["simulated"]:
        lines.insert(0, f"{SIMULATED} ({'the truth is included' if s['truth'] else 'without the truth'})")
    return "\n".join(lines)


def _left_out(counts: dict[str, int] | None) -> str | None:
    if counts is None:
        return None
    cuts = ", ".join(f"{name} {count}" for name, count in counts.items() if name != "ScWs" and count)
    return f"{counts['ScWs']} flagged ScWs left out of all below" + (f" ({cuts})" if cuts else "")


def _sky(scws: ScWTable) -> dict[str, float]:
    healpix = HEALPix(nside=32, frame="icrs")  # pixels of 1.8°
    pixels = healpix.healpix_to_skycoord(np.arange(healpix.npix)).cartesian.xyz.value.T
    distance, _ = cKDTree(scws.position.cartesian.xyz.value.T).query(pixels)
    chord = 2 * np.sin(np.radians(COVER_RADIUS) / 2)
    return {
        "covered": float(np.mean(distance < chord)),
        "low_latitude": float(np.mean(np.abs(scws.lat) < 5)),
        "high_latitude": float(np.mean(scws.at_high_latitude(HIGH_LAT))),
        "near_centre": float(np.mean(scws.near(_CENTRE, 10))),
        "near_crab": float(np.mean(scws.near(CRAB, 12))),
    }


def _suspicions(scws: ScWTable, group: Ints) -> list[tuple[str, Bools]]:
    """Return suspicious properties that are not errors, each with the mask (N,) of its ScWs."""
    counts = np.clip(scws.rate, 0, None) * scws.exposure[:, np.newaxis]
    expected = np.sqrt(np.maximum(counts, 1)) / scws.exposure[:, np.newaxis]
    far = distance(scws)  # compare nearby ScWs only: others of a revolution may see another part of the sky
    checks = [
        (
            f"{name} rate more than {FAR:g} robust sigma from the median of its revolution within 6°",
            np.nan_to_num(far[:, k]) > FAR,
        )
        for k, name in enumerate(scws.band_names)
    ]
    if scws.tracer is not None:
        error = np.zeros(len(scws)) if scws.tracer_err is None else scws.tracer_err
        outlying = _outliers(scws.tracer, error, group, np.ones(len(scws), dtype=np.bool_))
        checks.append(("tracer more than 6 robust sigma from the median of its revolution", outlying))
    ratio = scws.stat_err / expected
    days = np.abs(scws.mjd - mjd_at(scws.revolution, 0.5))
    return [
        *checks,
        ("rate zero or negative", np.asarray((scws.rate <= 0).any(axis=1))),
        (
            f"rate above {HIGHEST:g} cts/s, more than ISGRI sends (is the unit of the exposure right?)",
            np.asarray((scws.rate > HIGHEST).any(axis=1)),
        ),
        (
            "STAT_ERR not within a factor 2 of sqrt(rate/exposure)",
            np.any((ratio < 0.5) | (ratio > 2), axis=1),
        ),
        ("exposure below 300 s", np.asarray(scws.exposure < 300)),
        (f"phase outside {BELTS[0]}–{BELTS[1]}", (scws.phase < BELTS[0]) | (scws.phase > BELTS[1])),
        ("MJD more than 4 d from the middle of its revolution", days > 4),
    ]


def _outliers(values: Floats, errors: Floats, group: Ints, use: Bools) -> Bools:
    """Return the mask (N,) of values far from the median of their group; values not in `use` are ignored.

    The scale is the largest of the scatter of the group, the scatter of all groups, and the error of the
    value, because the scatter of a few ScWs is often small by chance.
    """
    far = np.zeros(values.size, dtype=np.bool_)
    if not use.any():
        return far
    values, errors = values[use], errors[use]
    _, group = np.unique(group[use], return_inverse=True)
    each = np.arange(group.max() + 1)
    deviation = np.abs(values - median(values, group, each)[group])
    own = SD_OVER_MAD * median(deviation, group, each)[group]
    scatter = np.maximum(own, sd_about_zero(deviation))
    far[use] = deviation > 6 * np.maximum(scatter, errors)
    return far
