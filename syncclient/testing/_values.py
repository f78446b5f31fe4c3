"""Requests and responses of a mocked server: MockRequest, MockReply, Gate."""

from __future__ import annotations

import json as jsonlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict
from urllib.parse import parse_qsl

from multidict import CIMultiDict, CIMultiDictProxy, MultiDict
from yarl import URL

from .._boundary.loop_run import Waiter
from .._checks import UNSET, Unset
from .._client.headers import header_items
from .._content_type import content_type
from .._types import LooseHeaders

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class MockRequest:
    """A request as the server received it, with its whole body.

    Attributes:
        method: In upper case.
        url: The requested URL, without a fragment.
        headers: As sent, including those that the engine adds.
        body: Decompressed, if the client compressed it.
    """

    method: str
    url: URL
    headers: CIMultiDictProxy[str]
    body: bytes

    def text(self) -> str:
        """Return the body as text, decoded as its Content-Type says or as UTF-8."""
        kind = content_type(self.headers.get("Content-Type"))
        return self.body.decode(kind.encoding or "utf-8")

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        return jsonlib.loads(self.body)

    def form(self) -> MultiDict[str]:
        """Return the fields of a URL-encoded form."""
        return MultiDict(parse_qsl(self.text(), keep_blank_values=True))

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class Gate:
    """Holds replies back until a test opens it. Any thread may use it.

    Give one to ``MockReply(gate=...)``, or put it among the parts of a body.
    """

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = False
        self._waiters: set[Waiter] = set()

    def open(self) -> None:
        """Release every waiting request, and all later ones. Never blocks."""
        self._opened = True
        for waiter in list(self._waiters):
            waiter.wake()

    @property
    def opened(self) -> bool:
        """Whether the gate is open."""
        return self._opened

    def wait_reached(self, timeout: float = 10.0) -> None:
        """Block until a reply has reached this gate.

        Args:
            timeout: Maximum number of seconds to wait.

        Raises:
            AssertionError: No reply reached the gate in time.
        """
        if not self._reached.wait(timeout):
            raise AssertionError(f"no reply came to the gate within {timeout:g} s")

    async def _pass(self) -> None:
        # Published before the check: see Waiter.
        waiter = Waiter()
        self._waiters.add(waiter)
        try:
            self._reached.set()
            if not self._opened:
                await waiter.wait()
        finally:
            self._waiters.discard(waiter)

    def __repr__(self) -> str:
        return f"<Gate {'open' if self._opened else 'closed'}>"


#: A body: all of it, or parts with gates between them.
MockBody: TypeAlias = bytes | Iterable[bytes | Gate]


class ReplyOptions(TypedDict, total=False):
    """The keywords of MockReply, except the status."""

    json: object
    text: str
    body: MockBody
    headers: LooseHeaders
    reason: str | None
    gate: Gate | None
    cut_off: bool


class MockReply:
    """The response of a mocked server. Immutable by convention; may be used many times.

    Args:
        status: The status code.
        json: A value sent as JSON.
        text: A body of text, in UTF-8.
        body: Bytes, or an iterable of bytes that is sent piece by piece (chunked). A Gate in it
            holds back the following parts. An iterator serves one request only, and runs on one
            of the server's threads.
        headers: Headers to add to, or to replace, those that follow from the body.
        reason: The reason phrase; None uses the standard one.
        gate: Holds back the whole reply, including its headers, until it is opened.
        cut_off: Break the connection before the end of the body: reading it raises
            ClientPayloadError.

    Raises:
        TypeError, ValueError: An argument is wrong; the message names it.
    """

    def __init__(self, status: int = 200, **options: Unpack[ReplyOptions]) -> None:
        unknown = set(options) - set(ReplyOptions.__annotations__)
        if unknown:
            raise TypeError(f"MockReply takes no {', '.join(sorted(unknown))}")
        if isinstance(status, bool) or not isinstance(status, int):
            raise TypeError(f"status must be a whole number, not {status!r}")
        if not 200 <= status <= 999:
            raise ValueError(f"status must be 200 to 999, not {status}")
        if len({"json", "text", "body"} & set(options)) > 1:
            raise TypeError("give one of json, text and body")
        gate = options.get("gate")
        if gate is not None and not isinstance(gate, Gate):
            raise TypeError(f"gate must be a Gate, not {type(gate).__name__}")
        self.status: int = status
        self.reason: str | None = options.get("reason")
        self.gate: Gate | None = gate
        self.cut_off: bool = bool(options.get("cut_off", False))
        self.body: MockBody
        kind, self.body = _encoded(options)
        self.headers: CIMultiDict[str] = CIMultiDict()
        if kind is not None:
            self.headers["Content-Type"] = kind
        if isinstance(self.body, bytes) and not self.cut_off and status not in (204, 304):
            self.headers["Content-Length"] = str(len(self.body))
        own = CIMultiDict(header_items(options.get("headers", ())))
        for name in own:
            self.headers.pop(name, None)
        self.headers.extend(own)

    def __repr__(self) -> str:
        return f"<MockReply {self.status}>"


def _encoded(options: ReplyOptions) -> tuple[str | None, MockBody]:
    if (value := options.get("json", UNSET)) is not UNSET:
        return "application/json", jsonlib.dumps(value).encode()
    if "text" in options:
        if not isinstance(options["text"], str):
            raise TypeError(f"text must be a str, not {type(options['text']).__name__}")
        return "text/plain; charset=utf-8", options["text"].encode()
    body: object = options.get("body", b"")
    if isinstance(body, (bytearray, memoryview)):
        body = bytes(body)
    if isinstance(body, str):
        raise TypeError("body must be bytes, or an iterable of them: give a str as text=")
    if not isinstance(body, Iterable):
        raise TypeError(f"body must be bytes or an iterable of them, not {type(body).__name__}")
    return None, body


#: Results of a handler: a reply; text, bytes, or a value to send as JSON; a status; an exception
#: to raise in the client.
Answer: TypeAlias = (
    MockReply | str | bytes | dict[str, Any] | list[Any] | int | BaseException | type[BaseException]
)

#: A function that answers requests.
Handler: TypeAlias = Callable[[MockRequest], Answer]

#: Answers of a route: the result of a handler, or a handler.
RouteAnswer: TypeAlias = Answer | Handler


def check_answer(answer: object) -> None:
    """Raise TypeError for values that a handler must not return."""
    if isinstance(answer, type) and issubclass(answer, BaseException):
        return
    if isinstance(answer, bool) or not isinstance(
        answer, (MockReply, str, bytes, dict, list, int, BaseException)
    ):
        raise TypeError(
            "an answer must be a MockReply, str, bytes, dict, list, a status or an exception, "
            f"not {type(answer).__name__}"
        )


def reply_of(answer: Answer) -> MockReply:
    """Return ``answer`` as a reply; raise it if it is an exception."""
    check_answer(answer)
    if isinstance(answer, MockReply):
        return answer
    if isinstance(answer, str):
        return MockReply(text=answer)
    if isinstance(answer, bytes):
        return MockReply(body=answer)
    if isinstance(answer, int):
        return MockReply(answer)
    if isinstance(answer, (dict, list)):
        return MockReply(json=answer)
    raise answer


def reply_from(
    answer: RouteAnswer | Unset, status: int | Unset, options: ReplyOptions
) -> RouteAnswer:
    """Return the answer of a route, from ``answer`` or the keywords of a reply."""
    if isinstance(answer, Unset):
        return MockReply(200 if isinstance(status, Unset) else status, **options)
    if options or not isinstance(status, Unset):
        raise TypeError("pass either an answer or the keywords of a MockReply")
    if not callable(answer):
        check_answer(answer)
    return answer


def table_items(table: Mapping[str, RouteAnswer]) -> Iterable[tuple[str, str, RouteAnswer]]:
    """Return the method, the URL and the answer of each entry of ``{"GET /path": answer}``."""
    for key, answer in table.items():
        method, space, url = key.partition(" ")
        if not space or not url.strip():
            raise ValueError(
                f"a route is written 'GET /path' or 'GET http://host/path', not {key!r}"
            )
        yield method, url.strip(), answer
