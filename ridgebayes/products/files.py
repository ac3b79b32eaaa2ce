"""Writing products: whole files, and FITS headers with the provenance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from astropy.io import fits

from ridgebayes.io.atomic import whole_file
from ridgebayes.runs.convergence import KEY, words
from ridgebayes.runs.intensity import CXB_NOTE, provenance
from ridgebayes.runs.run import Run

__all__ = ["ascii_only", "file_stems", "fits_provenance", "provenance_keywords", "whole_file"]

_KEYWORDS = {
    "ORIGIN": "origin",
    "RUN": "run",
    "RUNDATE": "run_created",
    "DATAFILE": "data",
    "DATAHASH": "data_fingerprint",
    "GITHASH": "git_commit",
}
_CARD = 68  # characters of a string in one card


def provenance_keywords(meta: Mapping[str, Any], *, short: bool = False) -> dict[str, Any]:
    """Convert the metadata of `provenance` to FITS keywords.

    Parameters
    ----------
    meta
        Metadata of `ridgebayes.products.provenance`.
    short
        Name files without their folders, and cut strings longer than one card: some readers do not support
        continued strings.
    """
    found: dict[str, Any] = {"SIMUL": bool(meta["simulated"]), "CONVERGD": not meta[KEY]}
    for key, name in _KEYWORDS.items():
        text = ascii_only(str(meta[name]))
        found[key] = (Path(text).name if name in ("run", "data") else text)[:_CARD] if short else text
    return found


def fits_provenance(run: Run, band: str | None = None) -> fits.Header:
    """Return the provenance for the header of an extension, with convergence of its band if it has one."""
    meta = provenance(run)
    header = fits.Header()
    header.update(provenance_keywords(meta))  # without comments: long texts leave no room
    failed = [one for one in meta[KEY] if band in (None, one)]
    header["CONVERGD"] = (not failed, "F: the chains disagree, do not use")
    header.comments["SIMUL"] = "T where the data are simulated"
    hidden = run.record["data"].get("unseen_regions", [])
    notes = [*filter(None, [words(failed)]), CXB_NOTE, *(f"no ScW sees region {name}" for name in hidden)]
    for note in notes + [f"WARNING: {warning}" for warning in meta["warnings"]]:
        header["COMMENT"] = ascii_only(note)
    return header


def file_stems(names: Iterable[str]) -> list[str]:
    """Return a unique file name for each region, without characters that a file system may reject."""
    stems: list[str] = []
    for name in names:
        stem = re.sub(r"[^\w+.-]+", "_", name)
        while stem in stems:
            stem += "_"
        stems.append(stem)
    return stems


def ascii_only(text: str) -> str:
    """Replace characters that a FITS header cannot hold."""
    return text.encode("ascii", "replace").decode()
