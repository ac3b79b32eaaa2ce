"""Headers of OGIP files: keywords that all have, and files that are written whole or not at all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from astropy.io import fits

from ridgebayes.errors import InputError
from ridgebayes.io.atomic import whole_files
from ridgebayes.io.bounded import write_fits
from ridgebayes.markup import SIMULATED

INSTRUMENT = {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "FILTER": "NONE"}


def primary(content: str, simulated: bool) -> fits.PrimaryHDU:
    """Return the first HDU, which says what the file holds and whether the data are simulated."""
    hdu = fits.PrimaryHDU()
    hdu.header["CONTENT"] = content
    hdu.header["SIMUL"] = (bool(simulated), "simulated data")
    return hdu


def stamped(
    path: Path, hdu: fits.hdu.base.ExtensionHDU, keys: dict, simulated: bool, notes: Iterable[str]
) -> fits.hdu.base.ExtensionHDU:
    """Give an extension its keywords, who wrote it, whether it is simulated, and comments."""
    stamp = {
        "CREATOR": f"ridgebayes {metadata.version('ridgebayes')}",
        "SIMUL": (bool(simulated), "simulated data"),
    }
    for key, value in {**keys, **stamp}.items():
        set_keyword(path, hdu.header, key, value)
    if simulated:
        set_keyword(path, hdu.header, "COMMENT", SIMULATED)
    for note in notes:
        for line in textwrap.wrap(note, 72) if note.isprintable() else [note]:
            set_keyword(path, hdu.header, "COMMENT", line)
    return hdu


def set_keyword(path: Path, header: fits.Header, key: str, value: object) -> None:
    """Set a keyword, or add a comment.

    Raises
    ------
    InputError
        For text that is not plain ASCII, or longer than its card.
    """
    text = value[0] if isinstance(value, tuple) else value
    plain = not isinstance(text, str) or (text.isascii() and text.isprintable())
    # A string that does not fit its card would be continued on the next, which not every reader follows.
    if not plain or (key != "COMMENT" and isinstance(text, str) and len(text.replace("'", "''")) > 68):
        raise InputError(f"{path}: {key} {text!r} in FITS must be plain ASCII, a keyword of up to 68 letters")
    header[key] = value


def write_all(files: dict[Path, fits.HDUList], overwrite: bool) -> None:
    """Write files of one folder, whole or not at all."""
    for path in files:
        if path.is_dir():
            raise InputError(f"{path}: is a directory: name a file to write")
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists already: choose another name, or overwrite=True")
        if not path.parent.is_dir():
            raise InputError(f"{path}: folder {path.parent} does not exist: create it first")
    with whole_files(*files) as scratch:
        for new, hdus in zip(scratch, files.values(), strict=True):
            write_fits(hdus, new)
