"""Forms: any names and values, beside requests, and read back by werkzeug."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import requests
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import FormDataParser

from syncclient._bodies.forms import form_of
from syncclient._bodies.payload import outgoing
from tests.fuzz.pace import fuzzed

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = text | st.binary(max_size=8) | st.integers() | st.booleans() | st.none()
forms = st.lists(st.tuples(text, scalars | st.lists(scalars, max_size=3)), max_size=5)
#: werkzeug reads backslashes and %22 as escapes, and splits lines at more than CRLF.
names = text.filter(lambda name: not set("\\%") & set(name) and len(f"{name}x".splitlines()) == 1)


@given(form=forms)
@fuzzed
def test_values_are_those_of_requests(form: list[tuple[str, Any]]) -> None:
    """Byte for byte, url-encoded."""
    payload = outgoing(form).value
    assert not isinstance(payload, bytes)
    theirs = requests.Request("POST", "http://a/", data=form).prepare().body or b""
    assert asyncio.run(payload.as_bytes()).decode() == (
        theirs if isinstance(theirs, str) else theirs.decode()
    )


@given(fields=st.lists(st.tuples(names, text), max_size=4))
@fuzzed
def test_a_server_reads_the_names(fields: list[tuple[str, str]]) -> None:
    """Names go out in UTF-8, with quotation marks and control characters escaped as in browsers."""
    form = form_of(fields)
    form._is_multipart = True
    payload = outgoing(form).value
    assert not isinstance(payload, bytes)
    body = asyncio.run(payload.as_bytes())
    _, read, _ = FormDataParser().parse(
        io.BytesIO(body),
        "multipart/form-data",
        len(body),
        {"boundary": payload.headers["Content-Type"].partition("boundary=")[2]},
    )
    assert list(read.items(multi=True)) == _grouped(
        [(re.sub("[\0-\x08\x0a-\x1f\x7f]", _escaped, name), value) for name, value in fields]
    )


def _escaped(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def _grouped(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """In the order of a MultiDict of werkzeug's: names by their first occurrence."""
    order = list(dict.fromkeys(name for name, _ in pairs))
    return [pair for name in order for pair in pairs if pair[0] == name]
