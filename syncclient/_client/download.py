"""Downloads into files: the inside of ``Session.download``."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import attr
from aiohttp import ClientPayloadError, hdrs
from yarl import URL

from .._async.download import AsyncDownload, DownloadFeed, open_download
from .._async.download_versions import Known
from .._async.exchange.body_buffer import BodyBuffer
from .._async.exchange.loan import MOST
from .._async.headers.content_disposition import content_disposition
from .._bodies.progress_hooks import ProgressHook, reporting
from .._caller import ReturningCaller
from .._checks import UNSET, count
from .._deadline import overdue
from .._file_names import numbered, safe_name
from .._models import Head, redacted_url
from .arguments import DEFAULT_TIMEOUT
from .partial_file import PartialFile
from .request import prepare

if TYPE_CHECKING:
    from .._types import StrOrURL
    from .place import Place
    from .request import RequestOptions

#: Seconds without data after which a connection counts as lost.
_STALLED = 60.0


def download(
    place: Place,
    url: StrOrURL,
    path: str | os.PathLike[str],
    options: RequestOptions,
    *,
    resume: bool = True,
    progress: ProgressHook | bool | None = None,
    digest: str | None = None,
    retries: int = 5,
    connections: int = 1,
    number: bool = False,
) -> Path:
    """Download into a file, and return its path; ``Session.download`` explains the arguments.

    Args:
        number: whether a file in a directory gets a number after its name, as with wget,
            if the name is taken. No file is replaced then.
    """
    verifier = None if digest is None else Verifier(digest)
    count("retries", retries)
    count("connections", connections, least=1)
    target, is_folder = _target(path)
    for name in ("data", "json", "upload_progress"):
        if name in options:
            raise TypeError(f"download sends a GET, and does not accept {name}=")
    prepared = prepare(place, "GET", url, options)
    method, asked, timeout, engine = prepared.crossing
    for name in (hdrs.RANGE, hdrs.IF_RANGE):
        if name in engine.get("headers", ()):
            raise ValueError(f"headers must not contain {name}: download sets it itself")
    if options.get("timeout", UNSET) is UNSET:
        timeout = attr.evolve(
            timeout,
            total=None if timeout == DEFAULT_TIMEOUT else timeout.total,
            sock_read=timeout.sock_read or _STALLED,
        )
    with ExitStack() as stack:
        partial = None
        known = Known()
        targets: Iterator[Path] = iter(())
        if not is_folder:
            partial = PartialFile(target, asked.raw_path)
            stack.callback(partial.close)
            known = partial.known() if resume else Known()
        request = (method, asked, timeout, engine)
        _, remote = place.portal.open(
            place.here(open_download), request, known, retries, connections, ReturningCaller()
        )
        assert remote is not None
        stack.callback(remote.post, AsyncDownload.abandon)
        report = stack.enter_context(reporting(progress, target.name))
        feed = DownloadFeed()
        total: int | None = None
        while not feed.ended or feed.parts:
            if not feed.parts:
                if feed.lent is not None:
                    assert partial is not None
                    for _ in _received(feed.lent, partial):
                        report(partial.offset, total)
                remote.call(AsyncDownload.take, feed)
                continue
            part = feed.parts.popleft()
            if isinstance(part, bytes):
                assert partial is not None
                partial.append(part)
            else:
                if partial is None:
                    partial, targets = _claim(target, part.head, asked, number)
                    stack.callback(partial.close)
                    known = partial.known() if resume else Known()
                    if known.offset and known[1:] == part.known[1:]:
                        feed.clear()
                        remote.call(AsyncDownload.continue_from, known)
                        continue
                total = part.known.total
                if not part.known.offset:
                    partial.restart(part.known)
                assert part.known.offset == partial.offset
            report(partial.offset, total)
        assert partial is not None
        if verifier is not None and (found := verifier.other_than_expected(partial)):
            partial.discard()
            raise ClientPayloadError(
                f"the file from {redacted_url(asked)} is not what {digest} says: it has {found}"
            )
        while True:
            try:
                partial.finish()
            except FileExistsError:
                if (following := next(targets, None)) is None:
                    raise
                partial.target = following
            else:
                return partial.target


def _received(buffer: BodyBuffer, partial: PartialFile) -> Iterator[None]:
    """Receive the rest of a body on its loan, and append it to the file; yield with each piece.

    Ends early if the server is slow, the connection or the session is closed, or a timeout or
    deadline is over; the loop then finds the reason. After an interrupt, or an error of the file,
    the download is over: the file contains exactly the bytes that it has counted.
    """
    loan, buffer.loan = buffer.loan, None
    if loan is None:  # the download has ended in the meantime
        return
    space = memoryview(bytearray(MOST))
    while not buffer.late() and overdue() is None and (n := loan.receive_into(space, buffer)):
        buffer.pass_by(n)
        partial.append(space[:n])
        yield


def _target(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    """Return ``path``, and whether it is a directory; raise OSError if it cannot be used."""
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"path must be a str or a path of str, not {type(text).__name__}")
    if not text:
        raise ValueError("path must not be empty: '.' is the current directory")
    target = Path(text)
    if not target.is_dir():
        if text.endswith(tuple(filter(None, ("/", os.sep, os.altsep)))):
            number = errno.ENOTDIR if target.exists() else errno.ENOENT
            raise OSError(number, os.strerror(number), text)
        return target, False
    if not os.access(target, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), text)
    return target, True


def _claim(
    folder: Path, head: Head, asked: URL, number: bool
) -> tuple[PartialFile, Iterator[Path]]:
    """Return the part of the file that ``head`` or, if it has no name, the URL names.

    Also return further paths to try if the file exists: none, unless ``number`` is set.
    Only a file with the name in the URL, which the caller has chosen, may be replaced.
    """
    found = content_disposition(head.headers.getall(hdrs.CONTENT_DISPOSITION, ()))
    own = asked.name
    name = safe_name((None if found is None else found.filename, own))
    if not number:
        chosen = name == safe_name((own,), default="")
        return PartialFile(folder / name, asked.raw_path, replaces=chosen), iter(())
    targets = (folder / each for each in numbered(name))
    for target in targets:
        try:
            return PartialFile(target, asked.raw_path, replaces=False), targets
        except (FileExistsError, BlockingIOError):
            continue
    raise AssertionError("there are always further numbers")


class Verifier:
    """A digest to compare with, ``"sha256:0123..."``; raises ValueError if it is not valid."""

    def __init__(self, digest: str) -> None:
        if not isinstance(digest, str):
            raise TypeError(
                f"digest must be a str like 'sha256:0123...', not {type(digest).__name__}"
            )
        algorithm, _, value = digest.partition(":")
        self._algorithm, self._value = algorithm.strip().lower(), value.strip().lower()
        try:
            size = hashlib.new(self._algorithm, usedforsecurity=False).digest_size
        except (ValueError, TypeError):
            raise ValueError(
                f"digest must be like 'sha256:0123...', with an algorithm of hashlib's, "
                f"not {digest!r}"
            ) from None
        if not size:
            raise ValueError(f"digest must use an algorithm with a fixed length, not {algorithm!r}")
        if not re.fullmatch("[0-9a-f]*", self._value) or len(self._value) != 2 * size:
            raise ValueError(
                f"digest must be {algorithm}: and {2 * size} hexadecimal digits, not {digest!r}"
            )

    def other_than_expected(self, partial: PartialFile) -> str:
        """Return the digest of ``partial``, or an empty string if it is the expected one."""
        found = hashlib.new(self._algorithm, usedforsecurity=False)
        partial.update(found)
        value = found.hexdigest()
        return "" if value == self._value else f"{self._algorithm}:{value}"
