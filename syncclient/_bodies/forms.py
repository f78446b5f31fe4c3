"""Forms: the meaning of the values of a dict or of pairs, and the names in a multipart body.

Values have the same meaning as in requests; names are written as in browsers.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterable, ItemsView, Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from aiohttp import BytesPayload, FormData, hdrs
from aiohttp.payload import Payload
from multidict import CIMultiDict, MultiDict, MultiDictProxy

from .._async.engine.payloads import append_field
from .._checks import items_of
from .._file_names import name_of
from .streamer import streamer_body

#: The types that stand for a form.
FORM_TYPES = (Mapping, MultiDict, MultiDictProxy, list, tuple, ItemsView, zip)

# HTML escapes quotes, CR and LF, and leaves the rest as it is. Other control characters are
# escaped too, since the engine refuses them in headers.
_ESCAPED = re.compile(r'["\x00-\x08\x0a-\x1f\x7f]')
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_PARAMETER = re.compile(r';[ \t]*([^=;" \t]+)=(?:"((?:[^"\\]|\\.)*)"|([^;]*))')


def form_of(data: object) -> FormData:
    """Return the form that a dict or pairs stand for; with files it is multipart."""
    items = items_of(data) if isinstance(data, (Mapping, MultiDict, MultiDictProxy)) else data
    fields: list[tuple[str, object]] = []
    for item in cast("Iterable[object]", items):
        if _is_file(item):
            fields.append((_filename(item) or "unknown", item))
            continue
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeError(
                f"data: a {type(data).__name__} is a form and holds (name, value) pairs, not "
                f"{type(item).__name__}; give bytes as b''.join(...), or an iterator of them"
            )
        name, value = item
        if isinstance(name, bytes):
            name = name.decode()
        elif isinstance(name, int):
            name = str(name)
        if not isinstance(name, str):
            raise TypeError(f"data: the name of a field must be a str, not {type(name).__name__}")
        fields += ((name, each) for each in _values(name, value))
    form = FormData(default_to_multipart=any(_is_file(value) for _, value in fields))
    for name, value in fields:
        parameters = MultiDict({"name": name})
        if _is_file(value):
            parameters["filename"] = _filename(value) or name
        append_field(form, parameters, value)
    return form


def _values(name: str, value: object) -> Iterator[object]:
    """Yield the values of one field: each becomes a field of its own; None is left out."""
    if value is None:
        return
    if isinstance(value, (str, bytes)) or _is_body(value):
        yield value
    elif isinstance(value, (bytearray, memoryview)):
        yield bytes(value)
    elif isinstance(value, (Mapping, MultiDict, MultiDictProxy)):
        raise TypeError(
            f"data: the field {name!r} is a {type(value).__name__}, which no form can hold; "
            "for JSON write json=, or json.dumps(...) for this field alone"
        )
    elif isinstance(value, Iterable):
        if isinstance(value, tuple) and _is_file_of_requests(value):
            raise TypeError(
                f"data: the field {name!r} is a tuple with a file or bytes in it: write "
                f"FormData().add_field({name!r}, file, filename=..., content_type=...)"
            )
        for each in value:
            yield from _values(name, each)
    else:
        yield str(value)


def _is_file_of_requests(value: tuple[object, ...]) -> bool:
    """Return whether ``value`` is what requests' ``files=`` takes: (name, file or bytes, ...)."""
    if any(map(_is_file, value)):
        return True
    names = value[:1] + value[2:3]
    return 2 <= len(value) <= 4 and isinstance(value[1], bytes) and bytes not in map(type, names)


def _is_body(value: object) -> bool:
    """Return whether ``value`` is a part as a whole, not text or a collection of values."""
    return (
        _is_file(value)
        or isinstance(value, (Payload, FormData, AsyncIterable))
        or streamer_body(value) is not None
    )


def _is_file(value: object) -> bool:
    return callable(getattr(value, "read", None))


def _filename(file: object) -> str | None:
    name = getattr(file, "name", None)
    return os.path.basename(os.fsdecode(name)) if isinstance(name, bytes) else name_of(file)


def disposition(kind: str, parameters: Mapping[str, str]) -> str:
    """Return a Content-Disposition as browsers write it in a form (HTML, 4.10.21.8; RFC 7578).

    In UTF-8, with quotation marks and line breaks escaped as ``%22``, ``%0D`` and ``%0A``.
    """
    written = [kind]
    for name, value in parameters.items():
        value = _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", value)
        written.append(f'{name}="{_SURROGATE.sub(chr(0xFFFD), value)}"')
    return "; ".join(written)


def rewritten(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Return ``headers`` of a part with the engine's Content-Disposition as browsers write it.

    The engine quotes everything but ASCII letters in file names, writes ``name*=``, which
    RFC 7578 forbids, and escapes blanks by backslashes, which servers keep. A header written by
    hand, and differently from the engine's, is left unchanged.
    """
    header = headers.get(hdrs.CONTENT_DISPOSITION, "")
    kind, semicolon, _ = header.partition(";")
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(header, len(kind)):
        if name == "filename":
            parameters[name] = unquote(quoted)
        elif name.endswith("*"):
            parameters[name[:-1]] = unquote(bare.removeprefix("utf-8''"))
        else:
            parameters[name] = re.sub(r"\\(.)", r"\1", quoted)
    if not semicolon or not parameters or header != _by_the_engine(kind, parameters):
        return headers
    copy: CIMultiDict[str] = headers.copy()
    copy[hdrs.CONTENT_DISPOSITION] = disposition(kind, parameters)
    return copy


def _by_the_engine(kind: str, parameters: dict[str, Any]) -> str | None:
    payload = BytesPayload(b"")
    try:
        payload.set_content_disposition(kind, **parameters)
    except (TypeError, ValueError):  # not the name of a parameter
        return None
    return payload.headers[hdrs.CONTENT_DISPOSITION]
