"""Opening untrusted files: bounded decompression, verified checksums, errors of one line."""

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
"""Maximum size of the content of a compressed file, bytes."""

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
"""Patterns for the numbers of axes and columns in a header, for which astropy allocates lists. Separate
patterns, each with a fixed beginning, are six times faster than one."""


def unpacked(path: Path) -> bytes:
    """Read a file, and undo gzip.

    Raises
    ------
    InputError
        If the content is larger than `UNPACKED_LIMIT` (detected before it is in memory), truncated,
        compressed twice, or compressed by anything but gzip.
    """
    content = path.read_bytes()
    if content.startswith(_GZIP):
        if len(content) * 1032 > UNPACKED_LIMIT:  # largest ratio of deflate
            _count_unpacked(path, content)
        content = gzip.decompress(content)  # astropy does not detect truncated gzip files
        if content.startswith(_GZIP):
            raise InputError(f"{path}: compressed twice: unpack it first")
    if content.startswith(_PACKED):  # astropy would unpack these without a limit
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
    """Read a text file with `unpacked`, because astropy would decompress it without a limit."""
    return io.BytesIO(unpacked(path).removeprefix(b"\xef\xbb\xbf"))


@contextmanager
def open_fits(path: Path) -> Iterator[fits.HDUList]:
    """Open a FITS file, gzipped or not; to be used inside `one_line`.

    Checksums (CHECKSUM, DATASUM) are verified if present.
    """
    content = unpacked(Path(path))
    for name, count in _COUNTS.items():
        for card in count.finditer(content):
            if card.start() % _CARD == 0 and int(card[1][:5]) > _MOST:
                raise InputError(f"{path}: {name} in its header is above {_MOST}, the most that FITS allows")
    with fits.open(io.BytesIO(content), memmap=False, character_as_bytes=False, checksum=True) as hdus:
        len(hdus)  # read all extensions, so that damage in any of them is found
        yield hdus


def write_fits(hdus: fits.HDUList, path: Path) -> None:
    """Write a FITS file with checksums, gzipped if its name ends so.

    The dates that astropy and gzip add are left out, so the same data give the same file. The file is
    composed in memory, because astropy silently leaves a partial file on a full disk.
    """
    content = io.BytesIO()
    hdus.writeto(content)
    # Open it again: the checksum must be that of the bytes in the file.
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
    """Convert all errors of a reader on a broken file to an InputError of one line.

    Parameters
    ----------
    path
        The file, for the message.
    what
        Expected kind of file, with its article.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about units and headers, which are checked later
            # With these two warnings astropy ignores part of a truncated file.
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
