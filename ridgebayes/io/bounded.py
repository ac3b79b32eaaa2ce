"""Opening files of others: what is unpacked is bounded, checksums are checked, every error is one line."""

from __future__ import annotations

import gzip
import io
import re
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astropy.io import fits

from ridgebayes.errors import InputError

UNPACKED_LIMIT = 8 * 2**30
"""Bytes that the content of a compressed file may have."""

_GZIP = b"\x1f\x8b"
_PACKED = (
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"\x1f\x9d",
    b"PK\x03\x04",
)  # bz2, xz, zstd, compress, zip

_CARD = 80
_MOST = 999
_COUNTS = {name: re.compile(rf"{name:<8}= +\+?0*([1-9][0-9]*)".encode()) for name in ("NAXIS", "TFIELDS")}
"""What a header says of how many axes or columns there are: astropy makes a list of so many. A pattern each:
a fixed beginning is searched for six times faster."""


def unpacked(path: Path) -> bytes:
    """Read a file, and undo gzip.

    Raises
    ------
    InputError
        When the content is larger than `UNPACKED_LIMIT` (found before it is held), was cut off, or is packed
        twice or by anything but gzip.
    """
    content = path.read_bytes()
    if content.startswith(_GZIP):
        if len(content) * 1032 > UNPACKED_LIMIT:  # deflate packs no tighter
            _count_unpacked(path, content)
        content = gzip.decompress(content)  # astropy takes a gzip file that was cut off for a shorter one
        if content.startswith(_GZIP):
            raise InputError(f"{path}: compressed twice: unpack it first")
    if content.startswith(_PACKED):  # which astropy would unpack without a limit
        raise InputError(f"{path}: compressed, and not by gzip: unpack it first")
    return content


def _count_unpacked(path: Path, content: bytes) -> None:
    total, source, piece = 0, io.BytesIO(content), 1 << 22
    with gzip.GzipFile(fileobj=source) as stream:
        while got := len(stream.read(piece)):
            total += got
            if total > UNPACKED_LIMIT:
                limit = f"{UNPACKED_LIMIT / 2**30:g} GiB"
                raise InputError(f"{path}: holds more than {limit} when unpacked: unpack and split it")


def text_of(path: Path) -> io.BytesIO:
    """Read a text file as `unpacked` does, for astropy, which would unpack it without a limit."""
    return io.BytesIO(unpacked(path).removeprefix(b"\xef\xbb\xbf"))


@contextmanager
def open_fits(path: Path) -> Iterator[fits.HDUList]:
    """Open a FITS file, gzipped or not; to be used inside `one_line`.

    Checksums (CHECKSUM, DATASUM), where there are any, are checked. That finds a changed byte.
    """
    content = unpacked(Path(path))
    for name, count in _COUNTS.items():
        for card in count.finditer(content):
            if card.start() % _CARD == 0 and int(card[1][:5]) > _MOST:
                raise InputError(f"{path}: {name} in its header is above {_MOST}, the most that FITS allows")
    with fits.open(io.BytesIO(content), memmap=False, character_as_bytes=False, checksum=True) as hdus:
        len(hdus)  # reads all, so that a later part which was damaged is found too
        yield hdus


def write_fits(hdus: fits.HDUList, path: Path) -> None:
    """Write a FITS file (gzipped where its name says so) with checksums.

    Without the dates that astropy and gzip add: the same data make the same file. It is made in memory, as
    astropy, on a disk that is full, leaves a part of a file and says nothing.
    """
    content = io.BytesIO()
    hdus.writeto(content)
    # Opened again, as only the bytes that are in the file have the checksum that a reader will find.
    content.seek(0)
    with fits.open(content, memmap=False) as written:
        for hdu in written:
            hdu.add_checksum(when="of this part")
        sealed = io.BytesIO()
        written.writeto(sealed)
    whole = sealed.getvalue()
    path.write_bytes(gzip.compress(whole, mtime=0) if path.suffix == ".gz" else whole)


@contextmanager
def one_line(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a reader throws at a broken file into one line.

    Parameters
    ----------
    path
        The file, for the message.
    what
        What it should have been, with its article.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units and headers: what matters is checked later
            # With these two, astropy would pass over a part of a file that was cut off.
            warnings.filterwarnings("error", message=".*truncated|Error validating header")
            warnings.filterwarnings("error", message="(Checksum|Datasum) verification failed")
            yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        if "verification failed" in reason:
            raise InputError(
                f"{path}: its checksum does not fit: the file was damaged, or changed by a program that left "
                f"the checksum as it was: write it again (a ScW table in Python: "
                f"rb.write_scws(scws.select(…), …)), or accept it: "
                f"fitscheck --write --force {shlex.quote(str(path))}"
            ) from error
        raise InputError(f"{path}: not {what} ({reason[:160]}): check the file, or write it again") from error
