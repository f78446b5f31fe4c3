"""The items of a request, in the style of HTTPie: ``key=value``, ``Header:value``, ``@file``."""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, BinaryIO, NamedTuple

from .. import CIMultiDict, FormData
from .._client.redaction import HIDDEN, is_secret, without_secrets
from .nested import NestingError, document_of

#: Longer ones first: of two at the same place, the longer one counts.
_SEPARATORS = (":=@", "==@", "=@", ":=", "==", ":@", "=", ":", "@")


class ItemError(Exception):
    """An item is wrong; the message says what to write."""


class Item(NamedTuple):
    """One item, split at its separator."""

    key: str
    separator: str
    value: str


class BodyType(Enum):
    """How fields are sent."""

    JSON = "json"
    FORM = "form"
    MULTIPART = "multipart"


@dataclass
class Items:
    """The parts of a request, as given by a list of items."""

    headers: CIMultiDict[str] = field(default_factory=lambda: CIMultiDict[str]())
    #: Headers that are sent automatically, but should not be.
    without_headers: list[str] = field(default_factory=list)
    params: list[tuple[str, str]] = field(default_factory=list)
    #: In order; the values of a form are strings.
    fields: list[tuple[str, Any]] = field(default_factory=list)
    #: Names of fields, with paths of files.
    files: list[tuple[str, str]] = field(default_factory=list)
    #: The path of the file to send as the body; ``-`` is stdin.
    raw: str | None = None
    #: The body itself, from ``--raw``.
    text: str | None = None

    @property
    def has_body(self) -> bool:
        """Whether there is a body, even an empty one."""
        return bool(self.fields or self.files) or self.raw is not None or self.text is not None


class Body(NamedTuple):
    """The body as keywords of ``Session.request``, and its representation."""

    options: dict[str, Any]
    content_type: str | None = None
    #: The body as text without secrets; None if there is none.
    shown: str | None = None
    #: The same with them.
    plain: str | None = None
    #: The path of the file that is sent.
    path: str | None = None
    #: The parts of a multipart body: names, and values or ``@`` and the path of a file.
    parts: tuple[tuple[str, str], ...] = ()


def split_item(text: str) -> Item:
    r"""Split an item at its first separator; ``\`` before a character escapes it.

    Raises:
        ItemError: it has no separator.
    """
    key = ""
    position = 0
    while position < len(text):
        if text[position] == "\\" and position + 1 < len(text):
            # Before a letter it stands for itself: C:\path
            escaped = text[position + 1]
            key += escaped if escaped in "\\:=@" else text[position : position + 2]
            position += 2
            continue
        for separator in _SEPARATORS:
            if text.startswith(separator, position):
                return Item(key, separator, text[position + len(separator) :])
        key += text[position]
        position += 1
    if key.endswith(";"):
        return Item(key[:-1], ";", "")
    raise ItemError(
        f"{text!r} is no item: write key=value, key:=json, key==query, Header:value, "
        "key@file or @file"
    )


def parse_items(texts: Iterable[str], body_type: BodyType, raw: str | None = None) -> Items:
    """Read the items of a command line, and ``raw``, the text of ``--raw``.

    Raises:
        ItemError: an item is wrong, or items contradict each other.
    """
    items = Items(text=raw)
    for text in texts:
        if text[:1] in ("{", "[") and _is_json(text):
            raise ItemError(f"{text} is a whole body: write --raw in front of it")
        _add(items, split_item(text), text, body_type)
    whole = [name for name, given in (("@file", items.raw), ("--raw", raw)) if given is not None]
    if len(whole) > 1 or (whole and (items.fields or items.files)):
        other = "--raw" if len(whole) > 1 else "fields"
        raise ItemError(
            f"{whole[0]} is the whole body, and cannot go with {other}: leave one of them out"
        )
    return items


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _add(items: Items, item: Item, text: str, body_type: BodyType) -> None:
    key, separator, value = item
    if separator == "@" and not key:
        if items.raw is not None:
            raise ItemError("a request has one body: write @file once")
        items.raw = value
        return
    if not key:
        hint = "; a JSON value that is no object is --raw JSON" if separator in ("=", ":=") else ""
        raise ItemError(f"{text!r} has no name before its {separator!r}{hint}")
    if separator == ":":
        if value:
            items.headers.add(key, value.strip())
        else:
            items.without_headers.append(key)
    elif separator == ";":
        items.headers.add(key, "")
    elif separator == ":@":
        items.headers.add(key, _text_of(value, text).strip())
    elif separator == "==":
        items.params.append((key, value))
    elif separator == "==@":
        items.params.append((key, _text_of(value, text).removesuffix("\n")))
    elif separator == "@":
        if body_type is BodyType.JSON:
            raise ItemError(f"{text!r} is a file in a form: add --form (or write {key}=@{value})")
        items.files.append((key, value))
    elif separator == "=":
        items.fields.append((key, value))
    elif separator == "=@":
        items.fields.append((key, _text_of(value, text)))
    else:
        if body_type is not BodyType.JSON:
            raise ItemError(f"{text!r} is JSON, which a form has no place for: write {key}=value")
        document = _text_of(value, text) if separator == ":=@" else value
        try:
            items.fields.append((key, json.loads(document)))
        except ValueError as exc:
            raise ItemError(f"{text!r} is not JSON after the {separator!r}: {exc}") from None


def _text_of(path: str, text: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError) as exc:
        raise ItemError(f"{text!r}: cannot read {path}: {_why(exc)}") from None


def make_body(items: Items, body_type: BodyType, stack: ExitStack) -> Body:
    """Return the body made of ``items``; its files are open until ``stack`` closes.

    A body read from stdin is not created here.

    Raises:
        ItemError: a file cannot be read.
    """
    if items.text is not None:
        text = items.text
        if not _is_json(text):
            return Body({"data": text.encode()}, "text/plain; charset=utf-8", text, text)
        document = json.loads(text)
        bare = without_secrets(document)
        shown = text if bare == document else json.dumps(bare, ensure_ascii=False)
        return Body({"data": text.encode()}, "application/json", shown, text)
    if items.raw is not None:
        file = _opened(items.raw, stack)
        kind = mimetypes.guess_type(items.raw)[0]
        return Body({"data": file}, kind, f"(the file {items.raw})", path=items.raw)
    if items.files or (body_type is BodyType.MULTIPART and items.fields):
        form = FormData(default_to_multipart=True)
        for name, value in items.fields:
            form.add_field(name, value)
        for name, path in items.files:
            form.add_field(
                name,
                _opened(path, stack),
                filename=os.path.basename(path),
                content_type=mimetypes.guess_type(path)[0] or "application/octet-stream",
            )
        files = "".join(f"\n{name}@{path}" for name, path in items.files)
        shown, plain = (f"(multipart)\n{told}{files}" for told in _told(items, "\n"))
        parts = (*items.fields, *((name, f"@{path}") for name, path in items.files))
        return Body({"data": form}, None, shown, plain, parts=parts)
    if not items.fields:
        return Body({})
    if body_type is BodyType.FORM:
        return Body({"data": items.fields}, None, *_told(items, "&"))
    try:
        document = document_of(items.fields)
    except NestingError as exc:
        raise ItemError(str(exc)) from None
    shown, plain = (
        json.dumps(value, ensure_ascii=False) for value in (without_secrets(document), document)
    )
    return Body({"data": json.dumps(document).encode()}, "application/json", shown, plain)


def _told(items: Items, between: str) -> tuple[str, str]:
    """Return the fields of a form as text, without secrets and with them."""
    return (
        between.join(f"{name}={_hidden(name, value)}" for name, value in items.fields),
        between.join(f"{name}={value}" for name, value in items.fields),
    )


def _hidden(name: str, value: Any) -> Any:
    return HIDDEN if is_secret(name) else value


def _opened(path: str, stack: ExitStack) -> BinaryIO:
    try:
        return stack.enter_context(open(os.path.expanduser(path), "rb"))
    except OSError as exc:
        raise ItemError(f"cannot read {path}: {_why(exc)}") from None


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
