"""Downloads into files: the inside of ``Session.download``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import (
    ClientPayloadError,
    ClientTimeout,
    content_disposition_filename,
    hdrs,
    parse_content_disposition,
)

from ._async.download import AsyncDownload, Feed, Known, open_download
from ._checks import count
from ._future import Relay
from ._models import Head, redacted_url
from ._partial import Partial, safe_name
from ._progress import ProgressHook, reporting

if TYPE_CHECKING:
    from ._async.session import AsyncSession
    from ._portal import Portal
    from ._request import Defaults, RequestOptions
    from ._types import StrOrURL

#: Seconds without a byte after which a connection is taken for lost.
_STALLED = 60.0


def download(
    portal: Portal[AsyncSession],
    defaults: Defaults,
    url: StrOrURL,
    path: str | os.PathLike[str],
    options: RequestOptions,
    *,
    resume: bool = True,
    progress: ProgressHook | bool | None = None,
    digest: str | None = None,
    retries: int = 5,
    connections: int = 1,
) -> Path:
    """Download into a file, and return its path. Blocks until it is complete.

    The bytes go to ``NAME.part`` beside the target, with a note of their version in
    ``NAME.part.json``. Only what is complete and verified appears under its name, in one
    step and in place of what was there. An error, an interrupt, or the end of the process
    leaves the part; the next download to the same path goes on from there if the server
    can do that and still has the version, and starts over if not. On a full disk the part
    is kept as well.

    Args:
        path: of the file; or a directory, for a name by the Content-Disposition or the
            URL, which never leads out of the directory.
        resume: False starts over, whatever is there.
        progress: called with the number of bytes there, and the number of all or None,
            in this thread; True draws a bar on stderr, by rich.
        digest: ``"sha256:0123..."``, or another algorithm of hashlib's: what the file
            must have. A part that turns out to be something else is removed.
        retries: how many attempts in a row to make once a connection was lost; one that
            brings bytes begins the count anew.
        connections: how many ranges to fetch at a time, by as many requests; each holds up
            to 4 MiB in memory. One connection serves where the server gives no ranges.
        options: the keywords of ``Session.request``. Without ``timeout=`` there is no limit
            to the whole, and a connection counts as lost after 60 s without a byte.

    Raises:
        ClientResponseError: the server has no such file.
        ClientError: the connection failed, finally; the length or the digest is wrong.
        OSError: the file cannot be written.
        BlockingIOError: another download to the path is under way.
    """
    verifier = None if digest is None else _Verifier(digest)
    count("retries", retries)
    count("connections", connections, least=1)
    for name in ("data", "json", "upload_progress"):
        if name in options:
            raise TypeError(f"download makes a GET, and takes no {name}=")
    prepared = defaults.prepare("GET", url, options)
    method, target_url, timeout, engine = prepared.crossing
    if "timeout" not in options:
        timeout = ClientTimeout(
            total=None,
            connect=timeout.connect,
            sock_connect=timeout.sock_connect,
            sock_read=timeout.sock_read or _STALLED,
        )
    target = Path(path)
    with ExitStack() as stack:
        partial = None
        known = Known()
        if not (target.is_dir() or os.fspath(path).endswith(("/", os.sep))):
            partial = Partial(target)
            stack.callback(partial.close)
            known = partial.known() if resume else Known()
        request = (method, target_url, timeout, engine)
        _, remote = portal.open(open_download, request, known, retries, connections, Relay())
        assert remote is not None
        stack.callback(remote.post, AsyncDownload.abandon)
        report = stack.enter_context(reporting(progress, target.name))
        feed = Feed()
        total: int | None = None
        while not feed.ended or feed.parts:
            if not feed.parts:
                remote.call(AsyncDownload.take, feed)
                continue
            part = feed.parts.popleft()
            if isinstance(part, bytes):
                assert partial is not None
                partial.append(part)
            else:
                if partial is None:
                    partial = Partial(target / _name(part.head))
                    stack.callback(partial.close)
                    known = partial.known() if resume else Known()
                    if known.offset and known[1:] == part.known[1:]:
                        feed.parts.clear()
                        remote.call(AsyncDownload.go_on_from, known)
                        continue
                total = part.known.total
                if not part.known.offset:
                    partial.restart(part.known)
                assert part.known.offset == partial.offset
            report(partial.offset, total)
        assert partial is not None
        if verifier is not None and not verifier.approves(partial):
            partial.discard()
            raise ClientPayloadError(
                f"the file from {redacted_url(target_url)} is not what {digest} says"
            )
        partial.finish()
        return partial.target


def _name(head: Head) -> str:
    def candidates() -> Iterator[str | None]:
        _, parameters = parse_content_disposition(head.headers.get(hdrs.CONTENT_DISPOSITION))
        yield content_disposition_filename(parameters)
        yield head.url.name

    return safe_name(candidates())


class _Verifier:
    """A digest to compare with, ``"sha256:0123..."``."""

    def __init__(self, digest: str) -> None:
        algorithm, _, value = digest.partition(":")
        if algorithm not in hashlib.algorithms_available or not value:
            raise ValueError(f"digest must be like 'sha256:0123...', not {digest!r}")
        self._algorithm = algorithm
        self._value = value.strip().lower()

    def approves(self, partial: Partial) -> bool:
        found = hashlib.new(self._algorithm)
        partial.update(found)
        return found.hexdigest() == self._value
