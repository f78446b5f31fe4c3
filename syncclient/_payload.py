"""What the caller gave as a body: checked, and made into what the engine can send.

Bytes that are here go along with the request. Files, iterables and buffers are read by
the caller's own thread while it waits for the response: they may be tied to that thread,
and no file is ever touched on the loop thread. ``CallerSource`` is what asks for that;
the readers at the end of this file say what one step of reading is.
"""

from __future__ import annotations

import asyncio
import copy
import io
import os
import stat
from collections import deque
from collections.abc import AsyncIterable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlencode

from aiohttp import FormData, MultipartWriter, hdrs
from aiohttp.helpers import guess_filename
from aiohttp.payload import (
    BytesPayload,
    IOBasePayload,
    Payload,
    StringPayload,
    TextIOPayload,
    get_payload,
)
from aiohttp.payload import LookupError as NoPayloadError
from multidict import CIMultiDict, MultiDict, MultiDictProxy

from ._async.body import (
    AsyncSource,
    Body,
    BytesSource,
    Chunk,
    Source,
    SourcePayload,
    StoppedError,
    checked_chunk,
)
from ._async.ws_engine import start
from ._body_writer import BodyWriter
from ._call import in_caller

#: Bytes above which data is sent piece by piece, so that the loop can do other things too.
_LARGE = 2**20
#: Bytes the caller's thread may be ahead of the loop, which holds as many again.
_AHEAD = 2**19
#: Bytes read from a file at once.
_BLOCK = 2**18

#: What aiohttp's client takes as a body: bytes that are sent as they are, or a payload.
EngineBody: TypeAlias = "bytes | Payload"


class Outgoing:
    """A body as it crosses, and what of it is to be given back to the caller afterwards."""

    __slots__ = ("value", "_sources")

    def __init__(self, value: EngineBody, sources: Sequence[CallerSource | BodyWriter] = ()) -> None:
        #: What the engine gets.
        self.value = value
        self._sources = sources

    def lent(self) -> AbstractContextManager[None]:
        """Return the block in which the request is made. Caller's thread.

        After it generators are closed, and files stand behind the bytes sent.
        """
        return _lending(self._sources) if self._sources else _NOTHING_LENT


@contextmanager
def _lending(sources: Sequence[CallerSource | BodyWriter]) -> Iterator[None]:
    with ExitStack() as stack:
        for source in sources:
            if isinstance(source, CallerSource):
                stack.callback(source.close)
            else:
                stack.enter_context(source._lent())
        yield


_NOTHING_LENT: AbstractContextManager[None] = nullcontext()

#: For a request without a body.
NO_BODY = Outgoing(b"")


def outgoing(data: object) -> Outgoing:
    """Return ``data=`` of a request made ready to be sent.

    Raises:
        TypeError, ValueError: it is nothing that can be sent; the message says what is.
    """
    if isinstance(data, bytes) and len(data) <= _LARGE:
        return Outgoing(data)
    maker = _Maker()
    payload = maker.whole(data)
    if not maker.sources:
        return Outgoing(payload)
    body = Body(payload, maker.sources)
    return Outgoing(body, maker.lent)


class _Maker:
    """Makes payloads, and notes the sources in them."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.lent: list[CallerSource | BodyWriter] = []

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
            self.lent.append(data)
            return self._pulled(data._pipe_for_request(), options)
        if isinstance(data, io.TextIOBase):
            return None
        if isinstance(data, AsyncIterable) and not isinstance(data, Iterable):
            return self._pulled(AsyncSource(data), options)
        if callable(getattr(data, "read", None)):
            return self._file(cast(Readable, data), options)
        if isinstance(data, bytes):
            return self._bytes(data, options)
        if (view := _buffer(data)) is not None:
            if view.nbytes <= _LARGE or not view.contiguous:
                return self._bytes(bytes(view), options)
            return self._read(_BufferReader(view.cast("B")), options)
        if isinstance(data, Iterable) and not isinstance(data, (Mapping, list, tuple)):
            return self._read(_IterableReader(data), options)
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
        return self._read(_FileReader(file), options)

    def _read(self, reader: Reader, options: dict[str, Any]) -> Payload:
        source = CallerSource(reader)
        self.lent.append(source)
        return self._pulled(source, options, reader.size)

    def _pulled(self, source: Source, options: dict[str, Any], size: int | None = None) -> Payload:
        self.sources.append(source)
        return SourcePayload(source, size=size, **options)

    def _adopted(self, payload: Payload) -> Payload:
        """Return an aiohttp payload with its files replaced by what reads them in our way."""
        if isinstance(payload, MultipartWriter):
            mine = copy.copy(payload)
            mine._headers = payload.headers.copy()
            mine._parts = [(self._adopted(part), *coding) for part, *coding in payload._parts]
            return mine
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


class Reader(Protocol):
    """One way to read a body, step by step. The caller's thread only."""

    #: How many bytes there are, where that is known beforehand.
    size: int | None
    #: Whether ``rewind`` works.
    replayable: bool

    def read(self) -> bytes | None:
        """Return the next bytes; None at the end."""

    def rewind(self) -> None:
        """Go back to where reading began."""

    def close(self, sent: int) -> None:
        """Reading is over, and ``sent`` bytes have gone out."""


class CallerSource:
    """A source that the thread of the blocked caller reads, ahead of the socket.

    The loop asks for a job (``in_caller``), and the caller reads until as much is ahead as
    may be, or the loop runs dry, or there is no more. Then it goes back to its wait, where
    everything can wake it. The loop asks again as soon as it has taken what was there, and
    sends while the caller reads. So there is one waking in each direction for each half
    megabyte while the reader is the faster, and for each chunk where the socket is.

    No lock guards the fields. The caller appends to ``_chunks`` first and looks at
    ``_starved`` then; the loop sets ``_starved`` first and looks at ``_chunks`` then.
    """

    detached = False

    def __init__(self, reader: Reader) -> None:
        self.sent = 0
        self.replayable = reader.replayable
        self._reader = reader
        self._chunks: deque[bytes] = deque()
        # Caller's thread:
        self._pulled = 0
        self._ended = False
        # Loop thread:
        self._taken = 0
        self._starved = False
        self._stopped = False
        self._job: asyncio.Task[None] | None = None

    # -- the caller's thread ---------------------------------------------------------

    def close(self) -> None:
        """End the reading: the call is over."""
        self._stopped = True
        self._reader.close(self.sent)

    def _fill(self) -> None:
        while not self._stopped:
            chunk = self._reader.read()
            if chunk is None:
                self._ended = True
                return
            if chunk:
                self._pulled += len(chunk)
                self._chunks.append(chunk)
                if self._starved or self._pulled - self._taken >= _AHEAD:
                    return

    def _rewind(self) -> None:
        self._reader.rewind()
        self._chunks.clear()
        self._pulled = self._taken = 0
        self._ended = self._stopped = False

    # -- the loop thread -------------------------------------------------------------

    async def take(self) -> Sequence[Chunk]:
        """Return what has been read; wait for it only where there is nothing."""
        while True:
            if self._stopped:
                raise StoppedError
            job = self._job
            if job is not None and job.done():
                self._job = None
                job.result()
            taken = [self._chunks.popleft() for _ in range(len(self._chunks))]
            self._taken += sum(map(len, taken))
            if self._job is None and not self._ended:
                self._job = start(in_caller(self._fill))
            if taken or self._job is None:
                return taken
            self._starved = True
            try:
                if not self._chunks:
                    await asyncio.wait((self._job,))
            finally:
                self._starved = False

    async def restart(self) -> None:
        """Go back to where reading began."""
        self._let_go()
        await in_caller(self._rewind)

    def drop(self, reason: Exception | None) -> None:
        """Have no more read. A step of reading that is under way is not waited for."""
        self._stopped = True
        self._let_go()

    def _let_go(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.add_done_callback(_look_at)
            job.cancel()


def _look_at(job: asyncio.Task[None]) -> None:
    """Have asyncio not log an error that came too late to matter."""
    if not job.cancelled():
        job.exception()


class _IterableReader:
    """Reads what an iterable yields. A generator is closed in the end."""

    size = None
    replayable = False

    def __init__(self, data: Iterable[object]) -> None:
        self._iterator = iter(data)

    def read(self) -> bytes | None:
        try:
            chunk = next(self._iterator)
        except StopIteration:
            return None
        return checked_chunk(chunk, "the iterator")

    def rewind(self) -> None:
        raise NotImplementedError

    def close(self, sent: int) -> None:
        if isinstance(self._iterator, Generator):
            self._iterator.close()


class _BufferReader:
    """Copies from memory that may change once the call is over, or be a mapped file."""

    replayable = True

    def __init__(self, view: memoryview) -> None:
        self.size: int | None = view.nbytes
        self._view = view
        self._position = 0

    def read(self) -> bytes | None:
        block = bytes(self._view[self._position : self._position + _BLOCK])
        self._position += len(block)
        return block or None

    def rewind(self) -> None:
        self._position = 0

    def close(self, sent: int) -> None:
        self._view.release()


class Readable(Protocol):
    """All that is asked of a file."""

    def read(self, size: int, /) -> bytes | None: ...


class _FileReader:
    """Reads a binary file from where it stands; it stays open, after the bytes sent."""

    def __init__(self, file: Readable) -> None:
        if getattr(file, "closed", False):
            raise ValueError("data is a file that is closed")
        readable = getattr(file, "readable", None)
        if readable is not None and not readable():
            raise ValueError("data is a file that is not open for reading: open it with 'rb'")
        self._file = file
        self._start = _position(file)
        self.replayable = self._start is not None
        self.size = None if self._start is None else _bytes_left(file, self._start)
        self._left = self.size
        # A pipe gives what is there, where read() would wait for a whole block.
        self._read = file.read if self.size is not None else getattr(file, "read1", file.read)

    def read(self) -> bytes | None:
        if self._left is None:
            chunk = self._read(_BLOCK)
        elif self._left:
            chunk = self._read(min(_BLOCK, self._left))
        else:
            return None
        if chunk is None:
            raise BlockingIOError("data is a file in non-blocking mode, and has nothing to read")
        block = checked_chunk(chunk, "the file")
        if self._left is not None:
            self._left -= len(block)
        return block or None

    def rewind(self) -> None:
        assert self._start is not None
        cast(Any, self._file).seek(self._start)
        self._left = self.size

    def close(self, sent: int) -> None:
        """Put the file behind the bytes sent: reading ran ahead of the socket."""
        if self._start is not None and not getattr(self._file, "closed", False):
            behind = self._start + sent
            if _position(self._file) != behind:
                cast(Any, self._file).seek(behind)


def _position(file: object) -> int | None:
    """Return where a file stands, or None where it cannot go back there."""
    seekable = getattr(file, "seekable", None)
    if seekable is not None and not seekable():
        return None
    try:
        position = cast(Any, file).tell()
    except (AttributeError, OSError):
        return None
    return position if isinstance(position, int) and hasattr(file, "seek") else None


def _bytes_left(file: Any, position: int) -> int | None:
    """Return how many bytes a seekable file has from ``position`` on, where that costs nothing."""
    raw = getattr(getattr(file, "file", file), "raw", file)
    if isinstance(raw, io.FileIO):
        status = os.fstat(raw.fileno())
        # Devices, and what the kernel makes up while it is read (/proc), have no size.
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None if not stat.S_ISREG(status.st_mode) or file.read(1) else 0
        return max(0, status.st_size - position)
    if type(file).__module__ in _DECOMPRESSING:
        return None
    try:
        end = file.seek(0, os.SEEK_END)
        if end is None:  # mmap, before Python 3.13
            end = file.tell()
    except (OSError, ValueError):
        end = None
    file.seek(position)
    return None if end is None else max(0, end - position)


#: Their files know where they end only when they have decompressed it all.
_DECOMPRESSING = frozenset({"gzip", "bz2", "lzma", "zipfile"})
