"""Writing products: whole files, and FITS headers that say where a product is from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from astropy.io import fits

from ridgebayes.errors import InputError
from ridgebayes.products.intensity import CXB_NOTE, provenance
from ridgebayes.run import Run


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there at the end takes the place of `path`.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
            yield Path(folder) / path.name
            (Path(folder) / path.name).replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}): choose another folder (--out)"
        ) from error


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
