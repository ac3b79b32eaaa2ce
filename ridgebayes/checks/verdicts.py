"""Messages about findings, and their remedies."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ridgebayes.model.extensions import EXTRAS
from ridgebayes.model.extensions.base import FindingMessages

SUBJECTS = {
    **{extra.subject: extra.messages for extra in EXTRAS.values() if extra.messages},
    "crab_scatter": FindingMessages(
        "the ScWs of the Crab scatter more than the others",
        "the ScWs of the Crab scatter no more than fitted",
        "widen the prior crab.scatter",
    ),
    "longitude": FindingMessages(
        "the sky has another profile in longitude",
        "the profile in longitude is as fitted",
        "use the model regions, or finer regions (--sky)",
    ),
    "tracer": FindingMessages(
        "the background follows the tracer otherwise than by one slope",
        "the background follows the tracer by one slope",
        "no extra describes it; a noisy tracer (a flatter slope where TRACER_ERR is larger) hardly moves "
        "fluxes: compare with a fit without the tracer (--prior background.tracer=0)",
    ),
    "phase": FindingMessages(
        "the background depends on the orbital phase otherwise than by the terms of each revolution",
        "the orbital phase leaves no trace",
        "leave out ScWs near perigee (ridgebayes screen --phase) or widen background.revolution_sd (--prior)",
    ),
    "level": FindingMessages(
        "the background's level changes otherwise than its drift allows",
        "the slow level of the background is followed",
        "shorten background.drift_length or raise background.drift_sd (--prior)",
    ),
    "terms": FindingMessages(
        "some revolutions are further off than a normal distribution of their terms allows",
        "the terms of the revolutions are normal",
        "look for solar flares and odd revolutions (ridgebayes background-history, ridgebayes screen)",
    ),
    "scatter": FindingMessages(
        "the scatter is larger in some years, revolutions or at some levels than in others",
        "the scatter is the same everywhere",
        "no extra describes it: fit these years apart, or check the errors of the rates (STAT_ERR)",
    ),
    "shape": FindingMessages(
        "the residuals are not normal",
        "the residuals are normal",
        "where neighbours, tails or scatter were found too, begin there; else see distribution.png",
    ),
    "bands": FindingMessages(
        "the bands scatter together",
        "the bands scatter independently",
        "no extra describes it: errors of a spectrum are correlated between bands more than the run says",
    ),
}
"""Subject → messages; subjects with a known remedy come first."""

EXTRA_FOR = {extra.subject: extra.name for extra in reversed(EXTRAS.values()) if extra.subject}
"""Subject → name of the extra that describes it, the first one if there are several."""


def remedy(subject: str, extras: Collection[str], tried: Mapping[str, bool] | None = None) -> str:
    """Return advice about a finding.

    Parameters
    ----------
    subject
        Subject of the finding.
    extras
        Extras of the model.
    tried
        Tried extras → True if it helped.
    """
    words, extra = SUBJECTS[subject], EXTRA_FOR.get(subject)
    if extra is None:
        return words.remedy
    if extra in extras:
        return f"the model has {extra} already: {words.remedy}"
    if tried and extra in tried and not tried[extra]:
        helpful = [name for name, helps in tried.items() if helps]
        instead = f"begin with {helpful[0]}" if helpful else words.remedy
        return f"{extra} was tried and does not help: {instead}"
    return f"add {extra} (--extra {extra})"


def p_words(p: float) -> str:
    """Format a p-value for reading: ``p = 0.03``, ``p < 1e-5``."""
    if p >= 0.001:
        return f"p = {p:.2g}"
    power = next((k for k in range(10, 3, -1) if p < 10.0**-k), 3)
    return f"p < 1e-{power}"
