"""What the servers answer: paths and bodies that all of them share."""

from __future__ import annotations

import json

from benchmarks.works import LINE_BYTES

JSON_PATH = "/json"
"""A small JSON object; its ``n`` is 1, so that a client's sum over replies counts them."""

BYTES_PATH = "/bytes/"
"""``/bytes/N``: N bytes of text in lines of ``LINE_BYTES``, with a Content-Length."""

HOLD_PATH = "/hold/"
"""``/hold/N``: the small reply, once N requests wait for it: the proof that N are in flight."""

HELD_PATH = "/held"
"""``{"n": how many requests wait}``."""

UPLOAD_PATH = "/upload"
"""Takes a body, answers ``{"n": its length}``."""

COOKIES_PATH = "/cookies"
"""The small reply to a request with cookies, and one whose ``n`` is 0 to one without.

Either sets cookies: ``COOKIES`` if there are none, else the first of them anew.
"""

EVENTS_PATH = "/events/"
"""``/events/N``: N server-sent events, each in a chunk of its own, as fast as they can be sent."""

SECURE_PATH = "/secure"
"""``{"port": where the same is served over TLS, "ca": the PEM of who vouches for it}``."""

WS_PATH = "/ws"
"""A WebSocket that echoes texts, and answers ``burst N`` with N messages of ``BURST_TEXT``."""

BURST_TEXT = "tick 0123456789"

JSON_BODY = json.dumps(
    {
        "n": 1,
        "id": "c0ffee-42",
        "name": "small reply",
        "tags": ["alpha", "beta", "gamma"],
        "price": 12.5,
        "ok": True,
    }
).encode()

COOKIES = (
    "session=9f3c2a6f1d5b4e7c8a90; Path=/; HttpOnly; SameSite=Lax",
    "theme=dark; Path=/; Max-Age=31536000",
    "csrftoken=Zk8mQ2vT5xW7; Path=/; SameSite=Strict",
)

EVENT = b'event: delta\ndata: {"id":"c0ffee-42","delta":"a word or two","index":0}\n\n'
"""One event, as a language model streams them."""

_LINE = b'{"level":"info","message":"a line of a log, as they come"}'.ljust(LINE_BYTES - 1) + b"\n"

BLOCK = _LINE * (1024 * 1024 // LINE_BYTES)
"""One MiB of whole lines, the piece in which servers send ``/bytes``."""
