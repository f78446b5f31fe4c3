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

_LINE = b'{"level":"info","message":"a line of a log, as they come"}'.ljust(LINE_BYTES - 1) + b"\n"

BLOCK = _LINE * (1024 * 1024 // LINE_BYTES)
"""One MiB of whole lines, the piece in which servers send ``/bytes``."""
