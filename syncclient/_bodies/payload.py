"""Outgoing bodies: checked, and turned into payloads that the engine can send.

Bytes cross with the request. Everything else is a source, which the request takes from while it
is sent: by itself on the loop, or with the help of the caller's thread.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlencode

from aiohttp import FormData, MultipartWriter, hdrs
from aiohttp.payload import BytesPayload, IOBasePayload, Payload, StringPayload

from .._async.engine.payloads import contents_of, file_of, with_headers, with_parts
from .._async.exchange.body import Body, SourcePayload
from .._async.exchange.source import AsyncSource, BytesSource, Source
from .._async.exchange.upload_meter import Meter
from .._caller import in_caller
from .._content_type import content_type
from .._file_names import name_of
from .body_reader import BodyReader
from .file_reader import FileReader, Readable, check_readable, reads_text, small_text
from .forms import FORM_TYPES, disposition, form_of, rewritten
from .progress_hooks import Reporting, UploadReport
from .read_ahead import BufferReader, CallerSource, IterableReader, Reader
from .response_source import ContentSource
from .streamer import AsyncStreamerPayload, StreamerSource, streamer_body
from .writer import BodyWriter

#: Larger data, in bytes, is sent piece by piece, so that the loop can do other work and notices
#: an early reply.
_LARGE = 2**16

#: A body as aiohttp's client takes it: bytes that are sent as they are, or a payload.
EngineBody: TypeAlias = "bytes | Payload"

#: Makes the source for an asynchronous iterable.
AsyncSourceOf: TypeAlias = Callable[[AsyncIterable[object]], Source]


class Lent(Protocol):
    """Something of the caller's that a request sends."""

    def begin(self) -> None:
        """Get ready: the request is about to be made."""

    def close(self, error: BaseException | None) -> None:
        """Clean up: the call has returned, or failed with ``error``. In the thread that reads."""


class Outgoing:
    """A body that can cross, and the objects in it that are lent by the caller."""

    __slots__ = ("_lent", "value")

    def __init__(self, value: EngineBody, lent: Sequence[Lent] = ()) -> None:
        #: The body for the engine.
        self.value: EngineBody = value
        self._lent = lent

    def kept(self) -> EngineBody | None:
        """Return the value if it is bytes, and few enough to be kept with the response."""
        value = self.value
        if isinstance(value, bytes) or (
            isinstance(value, BytesPayload) and (value.size or 0) <= _LARGE
        ):
            return value
        return None

    @property
    def lends(self) -> bool:
        """Whether ``begin`` and ``end`` have anything to do."""
        return bool(self._lent)

    def lent(self) -> AbstractContextManager[None]:
        """Return the ``with`` block in which a blocking caller makes the request.

        Leaving it closes generators, and sets files after the bytes sent.
        """
        return self._lending() if self._lent else _NOTHING_LENT

    @contextmanager
    def _lending(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        except BaseException as exc:
            self.end(exc)
            raise
        self.end(None)

    def begin(self) -> None:
        """Begin to lend: the request is about to be made."""
        for each in self._lent:
            each.begin()

    def end(self, error: BaseException | None) -> None:
        """Give everything back: the request has its response, or failed with ``error``."""
        with ExitStack() as stack:
            for each in self._lent:
                stack.callback(each.close, error)


_NOTHING_LENT: AbstractContextManager[None] = nullcontext()

#: For a request without a body.
NO_BODY = Outgoing(b"")


def outgoing(
    data: object, reporting: Reporting | None = None, asynchronous: AsyncSourceOf = AsyncSource
) -> Outgoing:
    """Return ``data=`` of a request, ready to be sent.

    Args:
        data: the body as the user gave it.
        reporting: reports the progress; None does not.
        asynchronous: makes the source for an asynchronous iterable; by default one that the
            loop itself reads.

    Raises:
        TypeError, ValueError: ``data`` cannot be sent; the message says what to pass instead.
    """
    if reporting is None and isinstance(data, bytes) and len(data) <= _LARGE:
        return Outgoing(data)
    maker = _Maker(asynchronous)
    if reporting is not None:
        report = UploadReport(reporting)
        maker.lent.append(report)
        maker.meter = Meter(lambda sent, total: in_caller(report, sent, total))
    payload = maker.whole(data)
    if not maker.sources and maker.meter is None and not maker.runs_on_loop:
        return Outgoing(payload)
    return Outgoing(Body(payload, maker.sources, maker.meter), maker.lent)


class _Maker:
    """Makes payloads, and collects the sources in them."""

    def __init__(self, asynchronous: AsyncSourceOf = AsyncSource) -> None:
        self._asynchronous = asynchronous
        self.sources: list[Source] = []
        self.lent: list[Lent] = []
        self.meter: Meter | None = None
        #: Whether the loop runs code of the user's for the body.
        self.runs_on_loop = False

    def whole(self, data: object) -> Payload:
        """Return the payload for a whole body."""
        if isinstance(data, FormData):
            return self._form(data)
        if isinstance(data, FORM_TYPES):
            return self._form(form_of(data))
        payload = self._payload(data, {})
        if payload is None:
            raise TypeError(_refusal(data))
        return payload

    def _payload(self, data: object, options: dict[str, Any]) -> Payload | None:
        """Return the payload for a body or a part of one; None if it cannot be sent."""
        if isinstance(data, Payload):
            return self._adopted(data)
        if isinstance(data, str):
            return self._text(data, options)
        if isinstance(data, BodyWriter):
            pipe = data._for_request()
            self.lent.append(pipe)
            return self._pulled(pipe, options)
        if isinstance(data, BodyReader):
            content = ContentSource(data)
            self.lent.append(content)
            return self._pulled(content, options, content.size)
        if (body := streamer_body(data)) is not None:
            if body.is_async:
                self.runs_on_loop = True
                return AsyncStreamerPayload(body, **options)
            written = StreamerSource(body)
            self.lent.append(written)
            return self._pulled(written, options)
        read = getattr(data, "read", None)
        if inspect.iscoroutinefunction(read):
            options.setdefault("filename", name_of(data))
            return self._pulled(self._asynchronous(_blocks(read)), options)
        if isinstance(data, AsyncIterable) and not isinstance(data, Iterable):
            return self._pulled(self._asynchronous(data), options)
        if callable(read):
            return self._file(cast(Readable, data), options)
        if isinstance(data, bytes):
            return self._bytes(data, options)
        if (view := _buffer(data)) is not None:
            if view.nbytes <= _LARGE or not view.contiguous:
                return self._bytes(bytes(view), options)
            return self._read(BufferReader(view.cast("B")), options)
        if isinstance(data, Iterable) and not isinstance(data, (Mapping, list, tuple)):
            return self._read(IterableReader(data), options)
        return None

    def _bytes(self, data: bytes, options: dict[str, Any]) -> Payload:
        if len(data) <= _LARGE:
            return BytesPayload(data, **options)
        return self._pulled(BytesSource(data), options, len(data))

    def _text(self, data: str, options: dict[str, Any]) -> Payload:
        if len(data) <= _LARGE // 4:  # a character has at most four bytes
            return StringPayload(data, **options)
        like = StringPayload("", **options)
        return self._bytes(data.encode(like.encoding or "utf-8"), {"headers": like.headers})

    def _file(self, file: Readable, options: dict[str, Any]) -> Payload:
        if not reads_text(file):
            options.setdefault("filename", name_of(file))
            return self._read(FileReader(file), options)
        check_readable(file)
        if (text := small_text(file, _LARGE // 4)) is not None:
            return self._text(text, options)
        # As in the engine: the text that the file reads, in UTF-8, whatever it is stored in.
        kind = options.get("content_type") or options.get("headers", {}).get(hdrs.CONTENT_TYPE)
        charset = options.get("encoding") or "utf-8"
        if kind is None:
            options["content_type"] = f"text/plain; charset={charset}"
        elif not options.get("encoding"):
            charset = content_type(kind).parameters.get("charset", charset)
        return self._read(FileReader(file, charset), options)

    def _read(self, reader: Reader, options: dict[str, Any]) -> Payload:
        source = CallerSource(reader)
        self.lent.append(source)
        return self._pulled(source, options, reader.size)

    def _pulled(self, source: Source, options: dict[str, Any], size: int | None = None) -> Payload:
        self.sources.append(source)
        return SourcePayload(source, size=size, meter=self.meter, **options)

    def _adopted(self, payload: Payload) -> Payload:
        """Return an aiohttp payload with its files replaced by sources that read them."""
        if isinstance(payload, MultipartWriter):
            parts = [(self._adopted(part), encoding, te) for part, encoding, te in payload]
            return with_parts(payload, rewritten(payload.headers).copy(), parts)
        if isinstance(payload, IOBasePayload) and (file := file_of(payload)) is not None:
            options = {"headers": rewritten(payload.headers), "encoding": payload.encoding}
            mine = self._file(cast(Readable, file), options)
            if mine.headers.pop(hdrs.CONTENT_LENGTH, None) and mine.size is not None:
                mine.headers[hdrs.CONTENT_LENGTH] = str(mine.size)
            return mine
        headers = rewritten(payload.headers)
        return payload if headers is payload.headers else with_headers(payload, headers)

    def _form(self, form: FormData) -> Payload:
        """Return what ``form()`` would, but leave the form usable for another request."""
        contents = contents_of(form)
        if contents is None:
            return form()
        charset = contents.charset or "utf-8"
        if not form.is_multipart:
            pairs = [(field["name"], value) for field, _, value in contents.fields]
            for name, value in pairs:
                _check_field(name, value)
            kind = "application/x-www-form-urlencoded"
            if charset != "utf-8":
                kind += f"; charset={charset}"
            encoded = urlencode(pairs, doseq=True, encoding=charset).encode()
            return self._bytes(encoded, {"content_type": kind})
        writer = cast(MultipartWriter, self._adopted(contents.writer))
        for field, headers, value in contents.fields:
            options: dict[str, Any] = {"headers": headers, "encoding": contents.charset}
            if hdrs.CONTENT_TYPE in headers:
                options["content_type"] = headers[hdrs.CONTENT_TYPE]
            if isinstance(value, Iterator):
                options["filename"] = field.get("filename")
            part = self._payload(value, options)
            if part is None:
                raise TypeError(_refusal(value, f"the field {field['name']!r} of data"))
            if contents.quotes_names:
                part.headers[hdrs.CONTENT_DISPOSITION] = disposition("form-data", field)
            else:
                part.set_content_disposition("form-data", quote_fields=False, **field)
            part.headers.popall(hdrs.CONTENT_LENGTH, None)
            if isinstance(value, bytes) and "filename" not in field and not headers:
                part.headers.popall(hdrs.CONTENT_TYPE)  # a plain field: some servers want none
            writer.append_payload(part)
        return writer


def _check_field(name: str, value: object) -> None:
    if (
        isinstance(value, (Iterator, AsyncIterable, Payload, FormData))
        or callable(getattr(value, "read", None))
        or streamer_body(value) is not None
    ):
        raise TypeError(
            f"data: the field {name!r} is a {type(value).__name__}, for which a form needs a "
            f"file name: FormData().add_field({name!r}, value, filename=...)"
        )


def _refusal(data: object, what: str = "data") -> str:
    """Return the message that says why ``data`` cannot be sent, and what to write."""
    if isinstance(data, os.PathLike):
        return f"{what} is a path: write open(path, 'rb')"
    if callable(getattr(data, "json", None)) and hasattr(data, "content"):
        return f"{what} is a response: write response.content"
    return (
        f"{what} must be bytes, str, a form (dict, list of pairs, FormData), a file, an "
        f"iterator of bytes or a BodyWriter, not {type(data).__name__}; for JSON write json="
    )


async def _blocks(read: Callable[[int], Awaitable[bytes | str]]) -> AsyncIterator[bytes]:
    """Yield the blocks of an asynchronous file."""
    while block := await read(_LARGE):
        yield block.encode() if isinstance(block, str) else block


def _buffer(data: object) -> memoryview | None:
    try:
        return memoryview(data)  # type: ignore[arg-type]  # the TypeError is the answer
    except TypeError:
        return None
