"""The command line as somebody at a terminal sees it: colours, a bar, a conversation."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.process.test_cli import COMMAND, environment
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

pytest.importorskip("click")
pytest.importorskip("rich")
pexpect = pytest.importorskip("pexpect")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")

WITHIN = 30.0  # seconds for what is waited for to appear
CYAN = "\x1b[36m"
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command in a pseudo-terminal of 100 columns."""

    def __init__(self, stack: ExitStack, *arguments: str, cwd: Path | None = None) -> None:
        env = {**environment(), "TERM": "xterm-256color"}
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
            env.pop(name, None)
        self._child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *arguments],
            env=env,
            cwd=None if cwd is None else os.fspath(cwd),
            timeout=WITHIN,
            encoding="utf-8",
            dimensions=(40, 100),
        )
        stack.callback(self._child.close, force=True)

    def wait_for(self, text: str) -> str:
        """Block until `text` is there; return what came before it."""
        self._child.expect_exact(text)
        return str(self._child.before)

    def type(self, line: str) -> None:
        self._child.sendline(line)

    def ctrl_d(self) -> None:
        self._child.sendeof()

    def ctrl_c(self) -> None:
        self._child.sendintr()

    def end(self) -> tuple[int, str]:
        """Block until the command ends; return its exit code, and what came until then."""
        self._child.expect(pexpect.EOF)
        rest = str(self._child.before)
        self._child.close()
        assert self._child.signalstatus is None
        return int(self._child.exitstatus), rest


@contextmanager
def terminal(*arguments: str, cwd: Path | None = None) -> Iterator[Terminal]:
    with ExitStack() as stack:
        yield Terminal(stack, *arguments, cwd=cwd)


def plain(text: str) -> str:
    return _STYLE.sub("", text).replace("\r\n", "\n")


def test_head_and_json_have_colours(app: AppServer) -> None:
    """A terminal shows the head and indented JSON, coloured; without colours it is readable."""
    with terminal("get", f"{app.url}/json") as shown:
        code, text = shown.end()
    assert code == 0
    assert f"{CYAN}Content-Type" in text
    assert plain(text).startswith("HTTP/1.1 200 OK\nContent-Type: application/json")
    assert '\n\n{\n  "slideshow": {\n    "title": "Sample",\n' in plain(text)


def test_verbose_shows_the_exchange(app: AppServer) -> None:
    """-v puts request, response and timings into the terminal, in this order."""
    with terminal("post", f"{app.url}/post", "a=1", "-v") as shown:
        code, text = shown.end()
    assert code == 0
    told = plain(text)
    places = [
        told.index(part)
        for part in ("POST /post HTTP/1.1\n", '\n{\n  "a": "1"\n}\n', "HTTP/1.1 200 OK", "timings:")
    ]
    assert places == sorted(places)


def test_binary_data_is_not_shown(app: AppServer) -> None:
    """A body that is not for reading is named, with what to do about it."""
    with terminal("get", f"{app.url}/bytes/1000", "-b") as shown:
        code, text = shown.end()
    assert (code, plain(text)) == (0, "(binary data, 1,000 bytes; -o FILE saves it)\n")


def test_escape_sequences_of_a_server_are_not_obeyed(raw_server: StartRawServer) -> None:
    """What could drive the terminal is shown in its place, in head and body, streamed or not."""

    def nasty(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"\x1b]0;body\x07", headers=[("X-Nasty", "\x1b]0;head\x07")])

    def nasty_body(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"\x1b]0;body\x07", headers=[("Content-Type", "text/plain")])

    for option in ("--pretty=all", "--stream"):
        with terminal("get", raw_server(nasty_body).url, option) as shown:
            code, text = shown.end()
        assert code == 0
        assert "\x1b]0" not in text
        assert "\\x1b]0;body\\x07" in plain(text)
    with terminal("get", raw_server(nasty).url) as shown:
        _, text = shown.end()  # the engine refuses such a header by itself
    assert "\x1b]0" not in text


def test_a_stream_is_shown_as_it_comes(raw_server: StartRawServer) -> None:
    """With --stream a line is there while the next one is still to come."""

    def two_lines(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Transfer-Encoding", "chunked")])
        conn.send_chunk(b"first\n")
        conn.stall()
        conn.send_chunk(b"second\n")
        conn.send_chunk(b"")

    server = raw_server(two_lines)
    with terminal("get", server.url, "--stream") as shown:
        shown.wait_for("first")
        server.wait_until_stalled().proceed()
        code, text = shown.end()
    assert code == 0
    assert plain(text).strip() == "second"


def test_a_download_has_a_bar(app: AppServer, tmp_path: Path) -> None:
    """The bar is drawn, and the path printed; --quiet draws none."""
    with terminal("download", f"{app.url}/range/200000", "-o", "a", cwd=tmp_path) as shown:
        code, text = shown.end()
    assert code == 0
    assert "━" in text
    assert plain(text).rstrip().endswith("a")
    with terminal("download", f"{app.url}/range/2000", "-q", "-o", "b", cwd=tmp_path) as shown:
        assert shown.end() == (0, "b\r\n")


def test_a_conversation_by_websocket(app: AppServer) -> None:
    """Lines are sent as they are typed, messages come as they arrive, Ctrl-D closes."""
    with terminal("ws", f"{app.url}/echo") as shown:
        shown.wait_for("Ctrl-D closes")
        for line in ("hello", "und tschüß"):
            shown.type(line)
            shown.wait_for("< ")
            shown.wait_for(line)
        shown.ctrl_d()
        code, text = shown.end()
    assert code == 0
    assert "closed" in plain(text)
    app.wait_until(lambda stats: "/echo" not in stats.in_flight)


def test_a_websocket_that_the_server_closes(app: AppServer) -> None:
    """The command ends by itself, though somebody might still type."""
    with terminal("ws", f"{app.url}/echo") as shown:
        shown.wait_for("Ctrl-D closes")
        shown.type("close 4001 bye")
        code, text = shown.end()
    assert code == 16
    assert "the server closed with 4001 bye" in plain(text)


@pytest.mark.parametrize("command", ["get", "ws", "download", "bench"])
def test_ctrl_c_is_silent(app: AppServer, tmp_path: Path, command: str) -> None:
    """Ctrl-C at the keyboard ends every command with 130, and adds nothing to the screen."""
    path = "/echo" if command == "ws" else "/delay/40"
    with terminal(command, app.url + path, cwd=tmp_path) as shown:
        app.wait_until(lambda stats: path in stats.in_flight, timeout=WITHIN)
        if command == "ws":
            shown.wait_for("Ctrl-D closes")
        shown.ctrl_c()
        code, text = shown.end()
    assert code == 130
    assert "Traceback" not in text
    assert "syncclient:" not in text


def test_a_password_is_asked_for(app: AppServer) -> None:
    """-a with a name alone asks, and does not echo the answer."""
    with terminal("get", f"{app.url}/basic-auth/ada/pw", "-a", "ada", "-b") as shown:
        shown.wait_for("Password of ada: ")
        shown.type("pw")
        code, text = shown.end()
    assert code == 0
    assert '"authenticated": true' in plain(text)
