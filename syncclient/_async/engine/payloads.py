"""Private fields of aiohttp's forms, multipart writers and payloads."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp import MultipartWriter

from .missing import warn_without

if TYPE_CHECKING:
    from aiohttp import FormData, Payload
    from multidict import CIMultiDict

#: The class of bodies that functions write, and the deprecated decorator that makes them.
_streamers = getattr(aiohttp, "payload_streamer", None)
STREAM_WRAPPER: type[Any] | None = getattr(_streamers, "_stream_wrapper", None)
STREAMER: type[Any] | None = getattr(_streamers, "streamer", None)


class Form(NamedTuple):
    """What a FormData holds."""

    #: The parameters of its Content-Disposition, the headers and the value of each field.
    fields: list[tuple[Mapping[str, str], Mapping[str, str], Any]]
    charset: str | None
    #: Whether names are escaped.
    quotes_names: bool
    #: The empty multipart that the engine would put the fields into.
    writer: MultipartWriter


_FORM_FIELDS = ("_fields", "_charset", "_quote_fields", "_writer")


def contents_of(form: FormData) -> Form | None:
    """Return what ``form`` holds; None where this aiohttp keeps it elsewhere."""
    for name in _FORM_FIELDS:
        if not hasattr(form, name):
            warn_without(
                f"FormData.{name}", "a FormData can be sent once, and its files are closed"
            )
            return None
    return Form(form._fields, form._charset, form._quote_fields, form._writer)


def append_field(form: FormData, parameters: Mapping[str, str], value: object) -> None:
    """Append a field as it is.

    ``add_field()`` takes bytes for a file, and refuses names with line breaks.
    """
    fields: list[Any] | None = getattr(form, "_fields", None)
    if fields is not None:
        fields.append((parameters, {}, value))
        return
    if isinstance(value, bytes) and "filename" not in parameters:
        value = value.decode("utf-8", "surrogateescape")
    form.add_field(parameters["name"], value, filename=parameters.get("filename"))


def with_headers(payload: Payload, headers: CIMultiDict[str]) -> Payload:
    """Return a copy of ``payload`` with other headers."""
    if not hasattr(payload, "_headers"):
        warn_without("Payload._headers", "names in multipart bodies are quoted by aiohttp's rules")
        return payload
    twin = copy.copy(payload)
    twin._headers = headers
    return twin


def with_parts(
    writer: MultipartWriter, headers: CIMultiDict[str], parts: list[tuple[Payload, str, str]]
) -> MultipartWriter:
    """Return a copy of ``writer`` with other headers and parts."""
    if not hasattr(writer, "_parts"):
        warn_without("MultipartWriter._parts", "the files of a multipart body are closed with it")
        return writer
    twin = with_headers(writer, headers)
    assert isinstance(twin, MultipartWriter)
    if twin is writer:
        twin = copy.copy(writer)
    twin._parts = parts
    return twin


def file_of(payload: Payload) -> Any:
    """Return the file that ``payload`` reads; None where this aiohttp keeps it elsewhere."""
    if not hasattr(payload, "_value"):
        warn_without("Payload._value", "the file of a payload is closed when it has been sent")
        return None
    return payload._value
