"""``syncclient ws``: lines to messages, and messages to lines."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Any

import click
from rich.text import Text

from .. import (
    ClientError,
    ClientWSTimeout,
    WebSocket,
    WSCloseCode,
    WSMessage,
    WSMsgType,
)
from .exits import BROKEN, WEBSOCKET, Ended
from .items import BodyType, parse_items
from .options import Access, access_options, open_session
from .terminal import console, out_is_terminal, printable, write
from .urls import full_url

_PIECE = 2**16
#: Seconds that the server has to answer a close.
_CLOSING = 2.0
#: Close codes of a normal end; 1005 is a close without a code.
_WELL = frozenset({int(WSCloseCode.OK), int(WSCloseCode.GOING_AWAY), 1005})
_ABNORMAL = 1006


@click.command("ws", short_help="Talk to a WebSocket, interactively or in a pipe.")
@click.argument("url")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE")
@click.option("--subprotocol", multiple=True, metavar="NAME", help="Offer it; may be repeated.")
@click.option("--origin", metavar="URL", help="The Origin header.")
@click.option("--heartbeat", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS")
@click.option(
    "--linger",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="After the end of a pipe: how long the server may be silent until it is closed.",
)
@access_options
def ws(url: str, headers: tuple[str, ...], **given: Any) -> None:
    """Connect to a WebSocket: each line of stdin is sent, each message is printed.

    Ctrl-D closes it properly. In a pipe, messages are written unchanged, with a newline after
    each text; after the end of stdin, the command waits for responses (--linger).
    """
    access = Access.taken_from(given)
    options: dict[str, Any] = {}
    if access.timeout is not None:
        raise click.UsageError(
            "--timeout is for requests: a WebSocket is long-lived; use --heartbeat"
        )
    items = parse_items(headers, BodyType.JSON)
    if items.has_body or items.params:
        raise click.UsageError("-H is a header: write -H 'Name: value'")
    if given["subprotocol"]:
        options["protocols"] = given["subprotocol"]
    url = full_url(url)
    with open_session(access, url, headers=items.headers) as session:
        with session.ws_connect(
            url,
            headers=items.headers,
            origin=given["origin"],
            heartbeat=given["heartbeat"],
            timeout=ClientWSTimeout(ws_close=_CLOSING),
            **options,
        ) as socket:
            _note(_connected(socket))
            keyboard = sys.stdin.isatty()
            reader = _Lines(socket, None if keyboard else given["linger"])
            reader.start()
            while (message := socket.receive()).type not in _ENDS:
                reader.heard()
                _show(message)
            reader.finish()
            code, reason = socket.close_code, _reason(message)
            failure = socket.exception()
    _ended(code, reason, failure, by_us=reader.at_end)


_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class _Lines(threading.Thread):
    """Sends the lines of stdin; at its end closes the socket, which wakes the receiver.

    A daemon, because a thread that reads stdin cannot be woken. It reads the descriptor, because
    it would hold the lock of sys.stdin while it waits, which the interpreter needs to exit.

    Args:
        linger: seconds of silence to wait for at the end; None closes at once.
    """

    def __init__(self, socket: WebSocket, linger: float | None) -> None:
        super().__init__(name="syncclient-cli-stdin", daemon=True)
        self._socket = socket
        self._linger = linger
        self._heard = threading.Event()
        #: Whether stdin has ended, so that this side closes.
        self.at_end = False

    def heard(self) -> None:
        """Record that the server is not silent. Any thread."""
        self._heard.set()

    def finish(self) -> None:
        """If stdin has ended, wait until the socket has been closed, for seconds at most."""
        if self.at_end:
            self.join(_CLOSING + 1.0)

    def run(self) -> None:
        # A closed socket has woken the receiver, which reports it.
        with suppress(ClientError):
            self._send_all()
            if self._linger is not None:
                while self._heard.wait(self._linger):
                    self._heard.clear()
            self.at_end = True
            self._socket.close()

    def _send_all(self) -> None:
        encoding = sys.stdin.encoding or "utf-8"
        rest = b""
        while data := os.read(sys.stdin.fileno(), _PIECE):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._socket.send_str(line.removesuffix(b"\r").decode(encoding, "replace"))
        if rest:
            self._socket.send_str(rest.decode(encoding, "replace"))


def _show(message: WSMessage) -> None:
    binary = message.type is WSMsgType.BINARY
    if not out_is_terminal():
        write(message.data if binary else message.data.encode() + b"\n")
        return
    text = Text("< ", "cyan")
    if binary:
        text.append(f"(binary, {len(message.data):,} bytes)", "yellow")
    else:
        text.append(printable(message.data), "default")
    console().print(text)


def _note(line: str) -> None:
    """Show the state on a terminal."""
    if sys.stderr.isatty():
        console(stderr=True).print(Text(printable(line), "dim"))


def _connected(socket: WebSocket) -> str:
    protocol = "" if socket.protocol is None else f" ({socket.protocol})"
    return f"connected{protocol}; Ctrl-D closes"


def _reason(message: WSMessage) -> str:
    return message.extra if isinstance(message.extra, str) else ""


def _ended(code: int | None, reason: str, failure: BaseException | None, *, by_us: bool) -> None:
    if code in _WELL or (by_us and failure is None):
        _note("closed" if by_us else f"closed by the server: {code} {reason}".rstrip())
    elif code == _ABNORMAL or code is None or failure is not None:
        why = f": {failure}" if failure is not None else ", without a closing handshake"
        raise Ended(BROKEN, f"the connection was lost{why}")
    else:
        raise Ended(WEBSOCKET, f"the server closed with {code} {reason}".rstrip())
