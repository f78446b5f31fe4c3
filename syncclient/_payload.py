"""What the caller gave as a body: checked, and made into what the engine can send.

Bytes that are here go along with the request. Everything else is a source that is taken
from while the request is sent: by the loop itself, or with the help of a caller's thread.
"""

from __future__ import annotations

import copy
import io
import os
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlencode

from aiohttp import FormData, MultipartWriter, hdrs
from aiohttp.helpers import guess_filename
from aiohttp.payload import BytesPayload, IOBasePayload, Payload, StringPayload, TextIOPayload
from multidict import MultiDict, MultiDictProxy

from ._async.body import Body, SourcePayload
from ._async.meter import Meter
from ._async.source import AsyncSource, BytesSource, Source
from ._body_reader import BodyReader
from ._body_writer import BodyWriter
from ._call import in_caller
from ._piped import ContentSource
from ._progress import Reporting, UploadReport
from ._pull import BufferReader, CallerSource, FileReader, IterableReader, Readable, Reader

#: Bytes above which data is sent piece by piece, so that the loop can do other things too,
#: and an early reply is heard.
_LARGE = 2**16

#: What aiohttp's client takes as a body: bytes that are sent as they are, or a payload.
EngineBody: TypeAlias = "bytes | Payload"


#: Makes the source for an asynchronous iterable.
AsyncSourceOf: TypeAlias = Callable[[AsyncIterable[object]], Source]


class Lent(Protocol):
    """Something of the caller's that a request sends."""

    def begin(self) -> None:
        """The request is about to be made."""

    def close(self, error: BaseException | None) -> None:
        """Its call has returned, or failed with ``error``. In the thread that reads it."""


class Outgoing:
    """A body as it crosses, and what of it is to be given back to the caller afterwards."""

    __slots__ = ("_lent", "value")

    def __init__(self, value: EngineBody, lent: Sequence[Lent] = ()) -> None:
        #: What the engine gets.
        self.value: EngineBody = value
        self._lent = lent

    @property
    def lends(self) -> bool:
        """Whether ``begin`` and ``end`` have something to do."""
        return bool(self._lent)

    def lent(self) -> AbstractContextManager[None]:
        """Return the block in which the request is made, by a caller that blocks.

        After it generators are closed, and files stand behind the bytes sent.
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
        """Tell what is lent that the request is about to be made."""
        for each in self._lent:
            each.begin()

    def end(self, error: BaseException | None) -> None:
        """Give back what is lent: the request has its response, or failed with ``error``."""
        with ExitStack() as stack:
            for each in self._lent:
                stack.callback(each.close, error)


_NOTHING_LENT: AbstractContextManager[None] = nullcontext()

#: For a request without a body.
NO_BODY = Outgoing(b"")


def outgoing(
    data: object, reporting: Reporting | None = None, asynchronous: AsyncSourceOf = AsyncSource
) -> Outgoing:
    """Return ``data=`` of a request made ready to be sent, its progress told if asked for.

    ``asynchronous`` says what takes from an asynchronous iterable: by default the loop itself.

    Raises:
        TypeError, ValueError: it is nothing that can be sent; the message says what is.
    """
    if reporting is None and isinstance(data, bytes) and len(data) <= _LARGE:
        return Outgoing(data)
    maker = _Maker(asynchronous)
    if reporting is not None:
        report = UploadReport(reporting)
        maker.lent.append(report)
        maker.meter = Meter(lambda sent, total: in_caller(report, sent, total))
    payload = maker.whole(data)
    if not maker.sources and maker.meter is None:
        return Outgoing(payload)
    return Outgoing(Body(payload, maker.sources, maker.meter), maker.lent)


class _Maker:
    """Makes payloads, and notes the sources in them."""

    def __init__(self, asynchronous: AsyncSourceOf = AsyncSource) -> None:
        self._asynchronous = asynchronous
        self.sources: list[Source] = []
        self.lent: list[Lent] = []
        self.meter: Meter | None = None

    def whole(self, data: object) -> Payload:
        """Return the payload for a whole body."""
        if isinstance(data, (FormData, Mapping, MultiDict, MultiDictProxy, list, tuple)):
            return self._form(data if isinstance(data, FormData) else _form_data(data))
        payload = self._payload(data, {})
        if payload is None:
            raise TypeError(_refusal(data))
        return payload

    def _payload(self, data: object, options: dict[str, Any]) -> Payload | None:
        """Return the payload for a body or a part of one; None where there is none."""
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
        if isinstance(data, io.TextIOBase):
            return None
        if isinstance(data, AsyncIterable) and not isinstance(data, Iterable):
            return self._pulled(self._asynchronous(data), options)
        if callable(getattr(data, "read", None)):
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
        if len(data) <= _LARGE // 4:  # bytes a character, at most
            return StringPayload(data, **options)
        like = StringPayload("", **options)
        return self._bytes(data.encode(like.encoding or "utf-8"), {"headers": like.headers})

    def _file(self, file: Readable, options: dict[str, Any]) -> Payload:
        options.setdefault("filename", guess_filename(file))
        return self._read(FileReader(file), options)

    def _read(self, reader: Reader, options: dict[str, Any]) -> Payload:
        source = CallerSource(reader)
        self.lent.append(source)
        return self._pulled(source, options, reader.size)

    def _pulled(self, source: Source, options: dict[str, Any], size: int | None = None) -> Payload:
        self.sources.append(source)
        return SourcePayload(source, size=size, meter=self.meter, **options)

    def _adopted(self, payload: Payload) -> Payload:
        """Return an aiohttp payload with its files replaced by what reads them in our way."""
        if isinstance(payload, MultipartWriter):
            writer = copy.copy(payload)
            writer._headers = payload.headers.copy()
            writer._parts = [
                (self._adopted(part), encoding, te_encoding)
                for part, encoding, te_encoding in payload
            ]
            return writer
        if isinstance(payload, TextIOPayload):
            raise TypeError(_refusal(payload._value))
        if isinstance(payload, IOBasePayload):
            mine = self._file(cast(Readable, payload._value), {"headers": payload.headers})
            if mine.headers.pop(hdrs.CONTENT_LENGTH, None) and mine.size is not None:
                mine.headers[hdrs.CONTENT_LENGTH] = str(mine.size)
            return mine
        return payload

    def _form(self, form: FormData) -> Payload:
        """Return what ``form()`` would, but leave the form as it is, so that it serves again."""
        charset = form._charset or "utf-8"
        if not form.is_multipart:
            pairs = [(field["name"], value) for field, _, value in form._fields]
            for name, value in pairs:
                _check_field(name, value)
            content_type = "application/x-www-form-urlencoded"
            if charset != "utf-8":
                content_type += f"; charset={charset}"
            encoded = urlencode(pairs, doseq=True, encoding=charset).encode()
            return self._bytes(encoded, {"content_type": content_type})
        writer = cast(MultipartWriter, self._adopted(form._writer))
        for field, headers, value in form._fields:
            options: dict[str, Any] = {"headers": headers, "encoding": form._charset}
            if hdrs.CONTENT_TYPE in headers:
                options["content_type"] = headers[hdrs.CONTENT_TYPE]
            if isinstance(value, Iterator):
                options["filename"] = field.get("filename")
            part = self._payload(value, options)
            if part is None:
                raise TypeError(_refusal(value, f"the field {field['name']!r} of data"))
            part.set_content_disposition("form-data", quote_fields=form._quote_fields, **field)
            part.headers.popall(hdrs.CONTENT_LENGTH, None)
            writer.append_payload(part)
        return writer


def _form_data(data: object) -> FormData:
    """Return the form that a dict or pairs stand for; files make it a multipart one."""
    items = data.items() if isinstance(data, (Mapping, MultiDict, MultiDictProxy)) else data
    form = FormData()
    for item in cast("Iterable[object]", items):
        if isinstance(item, io.IOBase):
            form.add_fields(item)
            continue
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeError(
                f"data: a {type(data).__name__} is a form and holds (name, value) pairs, not "
                f"{type(item).__name__}; give bytes as b''.join(...), or an iterator of them"
            )
        name, value = item
        if not isinstance(name, str):
            raise TypeError(f"data: the name of a field must be a str, not {type(name).__name__}")
        if callable(getattr(value, "read", None)):
            form.add_field(name, value, filename=guess_filename(value, name))
        else:
            form.add_field(name, value)
    return form


def _check_field(name: str, value: object) -> None:
    if isinstance(value, (Iterator, AsyncIterable, Payload, FormData)) or (
        callable(getattr(value, "read", None))
    ):
        raise TypeError(
            f"data: the field {name!r} is a {type(value).__name__}, for which a form needs a "
            f"file name: FormData().add_field({name!r}, value, filename=...)"
        )


def _refusal(data: object, what: str = "data") -> str:
    """Say why this is no body, and what to write."""
    if isinstance(data, io.StringIO):
        return f"{what} is a StringIO: write its getvalue()"
    if isinstance(data, io.TextIOBase):
        return (
            f"{what} is a file opened for text: open it with mode 'rb', or write its read(). "
            "The bytes on disk are not what it reads"
        )
    if isinstance(data, os.PathLike):
        return f"{what} is a path: write open(path, 'rb')"
    if callable(getattr(data, "json", None)) and hasattr(data, "content"):
        return f"{what} is a response: write response.content"
    return (
        f"{what} must be bytes, str, a form (dict, list of pairs, FormData), a binary file, an "
        f"iterator of bytes or a BodyWriter, not {type(data).__name__}; for JSON write json="
    )


def _buffer(data: object) -> memoryview | None:
    try:
        return memoryview(data)  # type: ignore[arg-type]  # the TypeError is the answer
    except TypeError:
        return None
