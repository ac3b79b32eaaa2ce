"""Writing products: whole files, and FITS headers that say where a product is from."""

from __future__ import annotations

from astropy.io import fits

from ridgebayes.files import whole_file
from ridgebayes.products.intensity import CXB_NOTE, provenance
from ridgebayes.run import Run

__all__ = ["ascii_only", "fits_provenance", "whole_file"]


def fits_provenance(run: Run) -> fits.Header:
    """Say where a product comes from, for the header of every extension."""
    meta = provenance(run.record, run.diagnosis)
    header = fits.Header()
    header["SIMUL"] = (meta["simulated"], "T where the data are simulated")
    # Without comments: long texts leave no room for one.
    header["ORIGIN"] = ascii_only(meta["origin"])
    header["RUN"] = ascii_only(str(run.path or ""))
    header["DATAFILE"] = ascii_only(meta["data"])
    header["DATAHASH"] = meta["data_fingerprint"]
    header["GITHASH"] = meta["git_commit"]
    hidden = run.record["data"].get("unseen_regions", [])
    notes = [CXB_NOTE, *(f"no ScW sees region {name}" for name in hidden)]
    for note in notes + [f"WARNING: {warning}" for warning in meta["warnings"]]:
        header["COMMENT"] = ascii_only(note)
    return header


def ascii_only(text: str) -> str:
    """Replace what a FITS header cannot hold."""
    return text.encode("ascii", "replace").decode()
