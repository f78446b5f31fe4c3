"""HarRecorder: requests as a HAR file, which the developer tools of browsers open."""

from __future__ import annotations

import base64
import json
import os
import time
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from aiohttp import ClientResponse, ClientSession, TraceConfig
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from .._checks import count
from .._content_type import content_type
from .._version import __version__
from .cookie_files import make_private
from .redaction import HIDDEN, shown_header, shown_url, text_without_secrets

Headers = CIMultiDict[str] | CIMultiDictProxy[str]

#: Bytes of a body above which it is left out by default.
BODY_LIMIT = 2**20


class HarRecorder(TraceConfig):
    """A TraceConfig that records requests; ``save`` writes them as a HAR 1.2 file::

        har = syncclient.HarRecorder()
        with syncclient.Session(trace_configs=[har]) as session:
            session.get("https://example.org").read()
        har.save("example.har")

    Chrome, Firefox and Safari open the file in their network panel. Each hop of a redirect and
    each attempt of a retry has its entry, and so has a request that failed. Secrets are left out
    by default: passwords, tokens and cookies in headers, URLs, forms and JSON. Bodies of
    responses are recorded if they are read at once; of a stream only the headers are.

    Several sessions may share a recorder. It records on the loop thread; any thread may call
    its methods, which do not wait for requests.

    Args:
        secrets: whether passwords, tokens and cookies are recorded.
        bodies: whether bodies are recorded.
        max_body: bytes of a body above which it is left out.
        max_entries: how many requests are kept; older ones are dropped.
    """

    def __init__(
        self,
        *,
        secrets: bool = False,
        bodies: bool = True,
        max_body: int = BODY_LIMIT,
        max_entries: int = 10_000,
    ) -> None:
        super().__init__()
        self._secrets = secrets
        self._max_body = count("max_body", max_body) if bodies else -1
        # Appended by loop threads, copied by others: both are atomic.
        self._entries: deque[_Entry] = deque(maxlen=count("max_entries", max_entries, least=1))
        self.on_request_start.append(self._start)
        self.on_connection_queued_start.append(self._queued)
        self.on_connection_queued_end.append(self._dequeued)
        self.on_dns_resolvehost_start.append(self._resolving)
        self.on_dns_resolvehost_end.append(self._resolved)
        self.on_connection_create_start.append(self._connecting)
        self.on_connection_create_end.append(self._connected)
        self.on_request_headers_sent.append(self._sent_head)
        self.on_request_chunk_sent.append(self._sent_chunk)
        self.on_request_redirect.append(self._redirected)
        self.on_request_end.append(self._ended)
        self.on_request_exception.append(self._failed)
        self.on_response_chunk_received.append(self._received)

    def __repr__(self) -> str:
        return f"<HarRecorder {len(self._entries)} entries>"

    def clear(self) -> None:
        """Remove all recorded requests."""
        self._entries.clear()

    def as_dict(self) -> dict[str, Any]:
        """Return the recorded requests in the structure of a HAR file."""
        entries = sorted(self._entries.copy(), key=lambda entry: entry.started)
        return {
            "log": {
                "version": "1.2",
                "creator": {"name": "syncclient", "version": __version__},
                "entries": [entry.as_dict(secrets=self._secrets) for entry in entries],
            }
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recorded requests to a file. Blocks.

        An existing file is replaced. A file with secrets is readable by the user only.
        """
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False)
        if self._secrets:
            make_private(os.fspath(path))
        with open(path, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)

    # -- the loop thread: callbacks of aiohttp, with an object for each request --------

    async def _start(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har = _Entry(params.method, params.url, self._max_body)

    async def _queued(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.begin("blocked")

    async def _dequeued(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.begin("")

    async def _resolving(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.begin("dns")

    async def _resolved(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.begin("connect")

    async def _connecting(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.begin("connect")

    async def _connected(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.begin("send")

    async def _sent_head(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.send(params.method, params.url, params.headers)

    async def _sent_chunk(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.sent(bytes(params.chunk))

    async def _redirected(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        self._take(kept.har, params.response)
        kept.har = _Entry(params.method, params.url, self._max_body)

    async def _ended(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        self._take(kept.har, params.response)

    async def _failed(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.fail(params.exception)
        self._entries.append(kept.har)

    async def _received(self, session: ClientSession, kept: SimpleNamespace, params: Any) -> None:
        kept.har.receive(bytes(params.chunk))

    def _take(self, entry: _Entry, response: ClientResponse) -> None:
        entry.answer(response)
        self._entries.append(entry)


class _Entry:
    """One request and its response. Filled by the loop thread, field by field."""

    def __init__(self, method: str, url: URL, max_body: int) -> None:
        self.method = method
        self.url = url
        self.started = datetime.now(timezone.utc)
        self._max_body = max_body
        self._request_headers: list[tuple[str, str]] = []
        self._request_body = b""
        self._request_size = 0
        self._status = 0
        self._reason = ""
        self._version = "HTTP/1.1"
        self._response_headers: list[tuple[str, str]] = []
        self._response_body = b""
        #: None until the body has been read.
        self._response_size: int | None = None
        self._error = ""
        #: Seconds by the phases of HAR.
        self._spent: dict[str, float] = {}
        self._phase, self._since = "", time.monotonic()

    def begin(self, phase: str) -> None:
        """Count the time from now on as spent on ``phase``; "" is not a phase of HAR."""
        now = time.monotonic()
        if self._phase:
            spent = self._spent.get(self._phase, 0.0)
            self._spent[self._phase] = spent + now - self._since
        self._phase, self._since = phase, now

    def send(self, method: str, url: URL, headers: Headers) -> None:
        """Record the headers, which are about to be sent."""
        self.method, self.url = method, url
        self._request_headers = list(headers.items())
        self.begin("send")
        self.begin("wait")

    def sent(self, data: bytes) -> None:
        """Record a piece of the body, which is about to be sent."""
        self.begin("wait")
        self._spent["send"] = self._spent.get("send", 0.0) + self._spent.pop("wait", 0.0)
        self._request_size += len(data)
        if self._request_size <= self._max_body:
            self._request_body += data

    def answer(self, response: ClientResponse) -> None:
        """Record the headers of the response."""
        self.begin("receive")
        self._request_headers = list(response.request_info.headers.items())
        self._status, self._reason = response.status, response.reason or ""
        if response.version is not None:
            self._version = f"HTTP/{response.version.major}.{response.version.minor}"
        self._response_headers = [
            (name.decode("latin-1"), value.decode("utf-8", "replace"))
            for name, value in response.raw_headers
        ]

    def receive(self, data: bytes) -> None:
        """Record the body of the response, which has been read."""
        self.begin("")
        self._response_size = len(data)
        if len(data) <= self._max_body:
            self._response_body = data

    def fail(self, error: BaseException) -> None:
        """Record that there is no response."""
        self.begin("")
        # By its class: the message may contain secrets.
        self._error = type(error).__name__

    def as_dict(self, *, secrets: bool) -> dict[str, Any]:
        """Return the entry in the structure of HAR."""
        url = shown_url(self.url, secrets=secrets).with_fragment(None)
        spent = {name: 1000 * seconds for name, seconds in self._spent.copy().items()}
        timings = {name: spent.get(name, -1.0) for name in ("blocked", "dns", "connect")}
        timings |= {name: spent.get(name, 0.0) for name in ("send", "wait", "receive")}
        return {
            "startedDateTime": self.started.isoformat(timespec="milliseconds"),
            "time": sum(value for value in timings.values() if value > 0),
            "request": self._request(url, secrets=secrets),
            "response": self._response(secrets=secrets),
            "cache": {},
            "timings": {**timings, "ssl": -1.0},
        }

    def _request(self, url: URL, *, secrets: bool) -> dict[str, Any]:
        headers = self._request_headers
        request: dict[str, Any] = {
            "method": self.method,
            "url": str(url),
            "httpVersion": "HTTP/1.1",
            "cookies": _cookies(_values(headers, "cookie"), secrets=secrets),
            "headers": _pairs(headers, secrets=secrets),
            "queryString": [{"name": name, "value": value} for name, value in url.query.items()],
            "headersSize": -1,
            "bodySize": self._request_size,
        }
        if self._request_size:
            kind = next(iter(_values(headers, "content-type")), "")
            text, encoding = _text(self._request_body, kind, secrets=secrets)
            data: dict[str, Any] = {"mimeType": kind, "text": text}
            if self._request_size > self._max_body:
                data = {"mimeType": kind, "text": "", "comment": f"{self._request_size} bytes"}
            elif encoding:
                data["comment"] = encoding
            request["postData"] = data
        return request

    def _response(self, *, secrets: bool) -> dict[str, Any]:
        headers, body, size = self._response_headers, self._response_body, self._response_size
        kind = next(iter(_values(headers, "content-type")), "")
        content: dict[str, Any] = {"size": size or 0, "mimeType": kind or "x-unknown"}
        if size is None and self._status:
            content["comment"] = "not read whole"
        elif body:
            content["text"], encoding = _text(body, kind, secrets=secrets)
            if encoding:
                content["encoding"] = encoding
        lengths = _values(headers, "content-length")
        response: dict[str, Any] = {
            "status": self._status,
            "statusText": self._reason,
            "httpVersion": self._version,
            "cookies": _cookies(
                (value.partition(";")[0] for value in _values(headers, "set-cookie")),
                secrets=secrets,
            ),
            "headers": _pairs(headers, secrets=secrets),
            "content": content,
            "redirectURL": next(
                (each["value"] for each in _pairs(headers, secrets=secrets) if _is_location(each)),
                "",
            ),
            "headersSize": -1,
            "bodySize": int(lengths[0]) if lengths and lengths[0].isdecimal() else -1,
        }
        if self._error:
            response["_error"] = self._error
        return response


def _is_location(header: dict[str, str]) -> bool:
    return header["name"].lower() == "location"


def _values(headers: list[tuple[str, str]], lower: str) -> list[str]:
    return [value for name, value in headers if name.lower() == lower]


def _pairs(headers: list[tuple[str, str]], *, secrets: bool) -> list[dict[str, str]]:
    return [
        {"name": name, "value": shown_header(name, value, secrets=secrets)}
        for name, value in headers
    ]


def _cookies(headers: Iterable[str], *, secrets: bool) -> list[dict[str, str]]:
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return [
        {"name": name, "value": value if secrets else HIDDEN}
        for name, equals, value in pairs
        if equals
    ]


def _text(body: bytes, kind: str, *, secrets: bool) -> tuple[str, str]:
    """Return a body as text, and its encoding: "base64", or "" for none."""
    try:
        text = body.decode(content_type(kind).encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return base64.b64encode(body).decode(), "base64"
    return (text if secrets else text_without_secrets(text, kind)), ""
