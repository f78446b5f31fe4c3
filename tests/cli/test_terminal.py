"""The command line as somebody at a terminal sees it: colours, a bar, a conversation."""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cli.test_pipes import environment
from tests.process.terminals import WITHIN, in_terminal
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

pytest.importorskip("click")
pytest.importorskip("rich")
pexpect = pytest.importorskip("pexpect")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals"),
    pytest.mark.usefixtures("can_fork_children"),
]

CYAN = "\x1b[36m"
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command in a pseudo-terminal."""

    def __init__(
        self,
        stack: ExitStack,
        *arguments: str,
        cwd: Path | None = None,
        columns: int = 100,
        more_env: Mapping[str, str] | None = None,
    ) -> None:
        env = {**environment(), "TERM": "xterm-256color"}
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
            env.pop(name, None)
        env.update(more_env or {})
        self._process, self._screen = stack.enter_context(
            in_terminal(
                ["-m", "syncclient", *arguments],
                flags=("-W", "error"),
                env=env,
                cwd=cwd,
                columns=columns,
            )
        )

    def wait_for(self, text: str) -> str:
        """Block until `text` is there; return what came before it."""
        self._screen.expect_exact(text)
        return str(self._screen.before)

    def type(self, line: str) -> None:
        self._screen.sendline(line)

    def ctrl_d(self) -> None:
        self._screen.send("\x04")

    def ctrl_c(self) -> None:
        self._screen.send("\x03")

    def end(self) -> tuple[int, str]:
        """Block until the command ends; return its exit code, and what came until then."""
        self._screen.expect(pexpect.EOF)
        rest = str(self._screen.before)
        code = self._process.wait(WITHIN)
        assert code >= 0  # no signal ended it
        return code, rest


@contextmanager
def terminal(
    *arguments: str,
    cwd: Path | None = None,
    columns: int = 100,
    env: Mapping[str, str] | None = None,
) -> Iterator[Terminal]:
    with ExitStack() as stack:
        yield Terminal(stack, *arguments, cwd=cwd, columns=columns, more_env=env)


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
    """Control characters are shown escaped, in the head and in bodies, streamed or not."""

    def nasty(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"\x1b]0;body\x07", headers=[("X-Nasty", "\x1b]0;head\x07")])

    def nasty_body(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"\x1b]0;body\x07", headers=[("Content-Type", "text/plain")])

    def nasty_events(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"data: \x1b]0;body\x07\n\n", headers=[("Content-Type", "text/event-stream")])

    for script, *option in (
        (nasty_body, "--pretty=all"),
        (nasty_body, "--stream"),
        (nasty_events,),
        (nasty_events, "--pretty=colors"),
    ):
        with terminal("get", raw_server(script).url, *option) as shown:
            code, text = shown.end()
        assert code == 0
        assert "\x1b]0" not in text
        assert "\\x1b]0;body\\x07" in plain(text)
    with terminal("get", raw_server(nasty).url) as shown:
        _, text = shown.end()  # the engine refuses such a header by itself
    assert "\x1b]0" not in text


def test_a_stream_is_shown_as_it_comes(raw_server: StartRawServer) -> None:
    """--stream shows each line before the next one arrives."""

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


def test_events_are_shown_as_they_come(raw_server: StartRawServer) -> None:
    """The answer of a language model to a POST is on the screen while the rest is yet to come."""

    def two_events(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(
            headers=[("Transfer-Encoding", "chunked"), ("Content-Type", "text/event-stream")]
        )
        conn.send_chunk(b'data: {"delta": "fir')
        conn.send_chunk(b'st"}\n\n')
        conn.stall()
        conn.send_chunk(b'event: end\ndata: "last"\n\n')
        conn.send_chunk(b"")

    server = raw_server(two_events)
    with terminal(server.url, "stream:=true") as shown:
        shown.wait_for("first")
        server.wait_until_stalled().proceed()
        code, text = shown.end()
    assert code == 0
    assert f"{CYAN}event: " in text
    assert plain(text).endswith('event: end\ndata: "last"\n\n')


def test_no_color_is_respected(app: AppServer) -> None:
    """NO_COLOR keeps the indentation, but removes all colours."""
    with terminal(f"{app.url}/json", env={"NO_COLOR": "1"}) as shown:
        code, text = shown.end()
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*3\d", text)
    assert '\n  "slideshow": {\n' in plain(text)


def test_bench_fits_a_narrow_terminal(app: AppServer) -> None:
    """The report keeps to the columns there are, and says how far it is meanwhile."""
    for columns in (80, 50):
        with terminal("bench", f"{app.url}/get", "-n", "50", columns=columns) as shown:
            before = shown.wait_for(" of 50 requests")
            code, text = shown.end()
        assert code == 0
        report = plain(text)[plain(text).index("50 responses") :]
        assert "p99.9" in report
        assert max(map(len, report.splitlines())) <= columns
        assert "responses" not in before


def test_ctrl_c_ends_bench_with_a_report(raw_server: StartRawServer) -> None:
    """Ctrl-C shows the results so far, and the exit code says that bench was interrupted."""

    def one(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"")

    def never(conn: RawConnection) -> None:
        conn.read_request()
        conn.stall()

    server = raw_server(one, one, never)
    with terminal("bench", server.url, "-c", "1", "-n", "9") as shown:
        server.wait_until_connected(3, WITHIN).wait_until_stalled(WITHIN)
        shown.wait_for("2 of 9 requests")
        shown.ctrl_c()
        code, text = shown.end()
    assert code == 130
    assert "2 responses in" in plain(text)
    assert "Traceback" not in text


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
