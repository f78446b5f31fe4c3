"""The command line as a script sees it: pipes, files, exit codes."""

import base64
import hashlib
import json
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.children import RunChild
from tests.children import start as start_python
from tests.forked import Forked
from tests.servers.content import pattern
from tests.servers.process import ROOT, AppServer
from tests.servers.raw import RawConnection, StartRawServer

pytest.importorskip("click")
pytest.importorskip("rich")

pytestmark = pytest.mark.usefixtures("can_fork_children")

WITHIN = 30.0  # seconds that a command may take


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: bytes
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def environment() -> dict[str, str]:
    """This process's, without what would lead a command elsewhere."""
    clean = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
    return {**clean, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "NETRC": os.devnull}


def start(
    *arguments: str,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> "subprocess.Popen[bytes] | Forked":
    return start_python(
        ["-m", "syncclient", *arguments],
        flags=("-W", "error"),
        cwd=cwd,
        env=environment(),
        stdin=stdin,
        stdout=stdout,
        forked=True,
    )


def run(*arguments: str, stdin: bytes | None = None, cwd: Path | None = None) -> Ran:
    """Run a command in a pipe to its end."""
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with start(*arguments, cwd=cwd, stdin=source) as process:
        try:
            out, err = process.communicate(stdin, timeout=WITHIN)
        except BaseException:
            process.kill()
            raise
    return Ran(process.wait(), out, err.decode())


def free_port() -> int:
    """A port on which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def headers_of(document: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in document["headers"]}


# Requests.


def test_a_pipe_gets_the_bytes_of_the_body(app: AppServer) -> None:
    """stdout has the body as it came, and stderr nothing."""
    assert run("get", f"{app.url}/bytes/100000") == Ran(0, pattern(100_000), "")


def test_items_make_the_request(app: AppServer) -> None:
    """Fields are sent as JSON, `==` goes to the query and `:` to the headers."""
    ran = run("put", f"{app.url}/put", "name=Ada", "age:=36", "page==2", "X-One:1", "Accept:")
    echo = ran.json()
    assert (ran.code, echo["method"], echo["json"]) == (0, "PUT", {"name": "Ada", "age": 36})
    assert echo["args"] == [["page", "2"]]
    headers = headers_of(echo)
    assert headers["x-one"] == "1"
    assert headers["content-type"] == "application/json"
    assert "accept" not in headers


def test_a_form_with_a_file(app: AppServer, tmp_path: Path) -> None:
    """--form sends urlencoded fields, or multipart if there is a file."""
    plain = run("post", f"{app.url}/post", "--form", "a=1", "a=2").json()
    assert plain["form"] == [["a", "1"], ["a", "2"]]
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    parts = run("post", f"{app.url}/post", "-f", "a=1", f"note@{file}").json()
    assert parts["form"] == [["a", "1"]]
    assert [(part["name"], part["filename"]) for part in parts["files"]] == [("note", "notes.txt")]


def test_a_file_is_the_body(app: AppServer, tmp_path: Path) -> None:
    """`@FILE` sends the file with its length and the type of its name."""
    file = tmp_path / "body.json"
    file.write_text('{"a": 1}')
    echo = run("post", f"{app.url}/post", f"@{file}").json()
    assert echo["json"] == {"a": 1}
    assert headers_of(echo)["content-length"] == "8"
    assert headers_of(echo)["content-type"] == "application/json"


def test_stdin_is_the_body(app: AppServer) -> None:
    """post sends its stdin, with the length. With --ignore-stdin it does not read it."""
    echo = run("post", f"{app.url}/post", stdin=b'{"a": 1}').json()
    assert echo["json"] == {"a": 1}
    assert headers_of(echo)["content-length"] == "8"
    assert run("post", f"{app.url}/post", "--ignore-stdin", stdin=b"x").json()["text"] == ""
    assert run("get", f"{app.url}/get", stdin=b"x").json()["text"] == ""
    assert run("delete", f"{app.url}/delete", "@-", stdin=b"x").json()["text"] == "x"


def test_a_long_stdin_is_streamed(app: AppServer) -> None:
    """More than is gathered goes out in chunks, whole."""
    body = pattern(17 * 2**20)
    told = run("post", f"{app.url}/upload", stdin=body).json()
    assert told["transfer_encoding"] == "chunked"
    assert told["sha256"] == hashlib.sha256(body).hexdigest()


def test_authentication(app: AppServer) -> None:
    """-a sends basic credentials, or a bearer token."""
    assert run("get", f"{app.url}/basic-auth/ada/pw", "-a", "ada:pw").json()["authenticated"]
    bearer = run("get", f"{app.url}/bearer", "-a", "abc", "--auth-type", "bearer")
    assert bearer.json()["token"] == "abc"


def test_redirects(app: AppServer) -> None:
    """Redirects are followed, or not, or up to a limit."""
    assert run("get", f"{app.url}/redirect/2").json()["target"] == "/get"
    stayed = run("get", f"{app.url}/redirect/2", "--no-follow", "--check-status")
    assert (stayed.code, stayed.out) == (3, b"")
    too_many = run("get", f"{app.url}/redirect/3", "--max-redirects", "2")
    assert too_many.code == 6
    assert "--max-redirects" in too_many.err


def test_headers_only(app: AppServer) -> None:
    """-h, and the method HEAD, print the head and no body."""
    for ran in (run("get", f"{app.url}/get", "-h"), run("head", f"{app.url}/get")):
        assert ran.out.startswith(b"HTTP/1.1 200 OK\n")
        assert b"Content-Length: " in ran.out
        assert b"{" not in ran.out


def test_verbose_keeps_stdout_for_the_body(app: AppServer) -> None:
    """-v tells the exchange and its timings on stderr where stdout is a pipe."""
    ran = run("get", f"{app.url}/redirect/1", "-v")
    assert ran.json()["target"] == "/get"
    assert ran.err.startswith("GET /redirect/1 HTTP/1.1\nHost: 127.0.0.1")
    assert "\nHTTP/1.1 302 Found\n" in ran.err
    assert "\nGET /get HTTP/1.1\n" in ran.err
    assert "\nHTTP/1.1 200 OK\n" in ran.err
    assert "\ntimings: " in ran.err
    assert "\x1b" not in ran.err


def test_secrets_are_left_out(app: AppServer) -> None:
    """-v shows no password, token or cookie, unless it is asked to."""
    url = app.url.replace("//", "//ada:hunter2@")
    arguments = [
        *("post", f"{url}/post", "-v", "Cookie:sid=hunter2", "X-Api-Key:hunter2"),
        *("password=hunter2", "token==hunter2"),
    ]
    quiet, loud = run(*arguments), run(*arguments, "--show-secrets")
    assert quiet.code == 0
    assert "hunter2" not in quiet.err
    assert "Authorization: Basic [redacted]" in quiet.err
    assert loud.err.count("hunter2") >= 4


def test_set_cookies_are_redacted(app: AppServer) -> None:
    """The value of a cookie that the server sets is not shown; its name is."""
    ran = run("get", f"{app.url}/cookies/set?sid=hunter2", "-h", "--no-follow")
    assert b"Set-Cookie: sid=[redacted]" in ran.out
    assert b"hunter2" not in ran.out


def test_credentials_of_a_proxy_are_left_out(raw_server: StartRawServer) -> None:
    """The proxy gets its credentials, but -v and errors do not show them."""

    def proxy(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"ok")

    server = raw_server(proxy)
    secret = server.url.replace("//", "//ada:hunter2@")
    ran = run("get", "http://example.invalid/", "-v", "--proxy", secret)
    assert (ran.code, ran.out) == (0, b"ok")
    assert ran.err.startswith("GET http://example.invalid/ HTTP/1.1\n")
    sent = server.requests[0].header("Proxy-Authorization")
    assert sent == "Basic YWRhOmh1bnRlcjI="
    assert not {"hunter2", sent.split()[1]} & set(re.split(r"[\s:@/]", ran.err))
    nobody = f"http://ada:hunter2@127.0.0.1:{free_port()}"
    gone = run("get", "http://example.invalid/", "-v", "--proxy", nobody)
    assert gone.code == 14
    assert "hunter2" not in gone.err


def test_output_goes_to_a_file(app: AppServer, tmp_path: Path) -> None:
    """-o FILE has the body, and stdout nothing."""
    assert run("get", f"{app.url}/bytes/1000", "-o", "out", cwd=tmp_path) == Ran(0, b"", "")
    assert (tmp_path / "out").read_bytes() == pattern(1000)


def test_a_session_file_keeps_cookies(app: AppServer, tmp_path: Path) -> None:
    """--session FILE brings the cookies of one command to the next."""
    for name in ("cookies.json", "cookies.txt"):
        file = str(tmp_path / name)
        run("get", f"{app.url}/cookies/set?a=1", "--session", file)
        assert run("get", f"{app.url}/cookies", "--session", file).json() == {"cookies": {"a": "1"}}
    (tmp_path / "bad.txt").write_text("nonsense")
    assert run("get", app.url, "--session", str(tmp_path / "bad.txt")).code == 2
    odd = tmp_path / "odd.txt"
    odd.write_text("# HTTP Cookie File\nsecret\n127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1\n")
    ran = run("get", f"{app.url}/cookies", "--session", str(odd))
    assert ran.json() == {"cookies": {"a": "1"}}
    assert "odd.txt: line 2 has 1 fields" in ran.err
    assert "secret" not in ran.err


def test_pretty_on_demand(app: AppServer) -> None:
    """--pretty=format indents JSON in a pipe as well, without colours; all has them."""
    plain = run("get", f"{app.url}/json", "--pretty=format")
    assert plain.out.startswith(b'{\n  "slideshow": {\n')
    assert b"\x1b" not in plain.out
    assert b"\x1b[" in run("get", f"{app.url}/json", "--pretty=all").out


# How it ends.


@pytest.mark.parametrize(("status", "code"), [(200, 0), (304, 3), (404, 4), (503, 5)])
def test_check_status(app: AppServer, status: int, code: int) -> None:
    """The exit code tells the status if asked to, and is 0 if not."""
    url = f"{app.url}/status/{status}"
    checked = run("get", url, "--check-status")
    assert checked.code == code
    assert (str(status) in checked.err) is bool(code)
    assert run("get", url) == Ran(0, checked.out, "")


def test_wrong_usage_is_one_line_and_2() -> None:
    """The line on stderr names what is wrong; test_usage has each case."""
    ran = run("get", "localhost", "word")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.startswith("syncclient: 'word' is no item: write key=value")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (1, "get {app}/get -o /no/such/folder/file"),
        (4, "download {app}/status/404"),
        (4, "sse {app}/status/404"),
        (10, "get http://no-such-host.invalid/"),
        (11, "get {nobody}"),
        (12, "get {app_with_tls}"),
        (13, "get {app}/delay/20 --timeout 0.2"),
        (14, "get {app} --proxy {nobody}"),
        (15, "get {cut_off}"),
        (15, "ws {app}/get"),
    ],
)
def test_errors_by_kind(
    app: AppServer, raw_server: StartRawServer, code: int, command: str
) -> None:
    """Each kind has its exit code, one line, and no traceback."""

    def cut_off(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")

    words = command.format(
        app=app.url,
        app_with_tls=app.url.replace("http:", "https:"),
        nobody=f"http://127.0.0.1:{free_port()}/",
        cut_off=raw_server(cut_off).url,
    )
    ran = run(*words.split())
    assert ran.code == code
    assert ran.err.startswith("syncclient: ")
    assert ran.err.count("\n") == 1


def test_certificates(tls_app: AppServer, ca: trustme.CA, tmp_path: Path) -> None:
    """An unknown authority is refused with 12; --verify trusts it, or anyone."""
    url = f"{tls_app.url}/get"
    refused = run("get", url)
    assert refused.code == 12
    assert "--verify" in refused.err
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    assert run("get", url, "--verify", "ca.pem", cwd=tmp_path).json()["target"] == "/get"
    assert run("get", url, "--verify=no").json()["target"] == "/get"


def test_ctrl_c_is_silent_and_130(app: AppServer) -> None:
    """An interrupt while the command waits ends it at once, with nothing on stderr."""
    path = "/delay/30"
    with start("get", f"{app.url}{path}") as process:
        app.wait_until(lambda stats: path in stats.in_flight)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_closed_pipe_ends_quietly(app: AppServer) -> None:
    """`| head` gets its lines; the command ends with 141, and without a word."""
    with start("get", f"{app.url}/stream/500000") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == 0
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(WITHIN) == 141


@pytest.mark.parametrize("command", ["get {app}/json", "bench {app}/json -n 2", "--help"])
def test_nobody_reads_from_the_start(app: AppServer, command: str) -> None:
    """A pipe that is closed already is noticed with the first byte, and told nobody either."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*command.format(app=app.url).split(), stdout=writer)
    os.close(writer)
    with process:
        _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (141, b"")


def test_a_missing_extra_is_named(run_child: RunChild) -> None:
    """If click or rich is missing, the command says what to install, and exits with 69."""
    for name in ("click", "rich"):
        child = run_child(
            f"import sys; sys.modules[{name!r}] = None\n"
            "from syncclient.__main__ import main; main()"
        )
        assert child.status == 69
        assert child.stderr.endswith("pip install click rich\n")
        assert child.stderr.count("\n") == 1


def test_importing_the_library_imports_neither_click_nor_rich(run_child: RunChild) -> None:
    """Programs that do not use the command line do not import its libraries."""
    child = run_child("import sys, syncclient; print({'click', 'rich'} & sys.modules.keys())")
    assert child.stdout == "set()\n"


def test_version_and_help() -> None:
    """--version is one line; --help tells the exit codes."""
    assert re.fullmatch(rb"syncclient \S.* \(aiohttp 3\..*, Python 3\..*\)\n", run("--version").out)
    told = run("--help").out.decode()
    assert "Exit codes:" in told
    assert "130  Ctrl-C" in told
    alone = run()
    assert (alone.code, alone.out) == (2, b"")


# The other commands.


def test_download_resumes_and_verifies(app: AppServer, tmp_path: Path) -> None:
    """The file appears whole, its path is printed; a wrong digest is 15 and leaves no file."""
    url = f"{app.url}/range/300000"
    digest = hashlib.sha256(pattern(300_000)).hexdigest()
    ran = run("download", url, "--digest", f"sha256:{digest}", cwd=tmp_path)
    assert ran == Ran(0, b"300000\n", "")
    assert (tmp_path / "300000").read_bytes() == pattern(300_000)
    wrong = run("download", url, "-o", "other", "--digest", f"sha256:{64 * '0'}", cwd=tmp_path)
    assert (wrong.code, wrong.out) == (15, b"")
    assert not (tmp_path / "other").exists()


def test_download_replaces_nothing_in_a_folder(raw_server: StartRawServer, tmp_path: Path) -> None:
    """A file of that name is there already: the new one is numbered, as wget does it."""

    def script(conn: RawConnection) -> None:
        headers = [("Content-Disposition", 'attachment; filename="setup.py"')]
        if conn.read_request().target == "/moved":
            conn.respond(status="302 Found", headers=[("Location", "/setup.py")])
        else:
            conn.respond(b"evil", headers=headers)

    url = raw_server(script).url
    (tmp_path / "setup.py").write_bytes(b"mine")
    for path, name in (
        ("harmless", "setup.py.1"),
        ("moved", "setup.py.2"),
        ("setup.py", "setup.py.3"),
    ):
        assert run("download", f"{url}/{path}", cwd=tmp_path) == Ran(0, f"{name}\n".encode(), "")
    assert (tmp_path / "setup.py").read_bytes() == b"mine"
    assert run("download", url, "-o", "setup.py", cwd=tmp_path) == Ran(0, b"setup.py\n", "")
    assert (tmp_path / "setup.py").read_bytes() == b"evil"


@pytest.mark.parametrize("name", ["a b", "ä", "\udcff", "-"])
def test_download_prints_the_path_as_it_is(app: AppServer, tmp_path: Path, name: str) -> None:
    """In a pipe, download prints the exact bytes of the path, so that a script finds the file."""
    ran = run("download", f"{app.url}/bytes/5", "-o", name, cwd=tmp_path)
    assert ran == Ran(0, os.fsencode(name) + b"\n", "")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        (2, ["--digest", "sha256:0123"], "64 hexadecimal digits"),
        (2, ["--digest", "shake_128:00"], "with a fixed length"),
        (2, ["-o", ""], "path must not be empty"),
        (1, ["-o", "missing/"], "No such file"),
        (1, ["-o", "/dev/null"], "device, pipe or socket"),
    ],
)
def test_download_refuses_before_it_asks(
    tmp_path: Path, code: int, options: list[str], message: str
) -> None:
    """One line says what is wrong; no connection is made."""
    ran = run("download", f"http://127.0.0.1:{free_port()}/x", *options, cwd=tmp_path)
    assert (ran.code, ran.out) == (code, b"")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_ws_in_a_pipe(app: AppServer) -> None:
    """Lines go out, answers are waited for, and the socket is closed properly."""
    ran = run("ws", f"{app.url}/echo?burst=2", stdin="één\ntwo".encode())
    assert ran == Ran(0, "0\n1\néén\ntwo\n".encode(), "")


def test_ws_in_a_pipe_waits_for_answers(raw_server: StartRawServer) -> None:
    """When stdin is at its end the socket stays open while --linger lasts."""

    def slow(conn: RawConnection) -> None:
        key = conn.read_request().header("Sec-WebSocket-Key")
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        headers = [
            *(("Upgrade", "websocket"), ("Connection", "Upgrade")),
            ("Sec-WebSocket-Accept", base64.b64encode(digest).decode()),
        ]
        conn.send_head(status="101 Switching Protocols", headers=headers)
        conn.read_exactly(2 + 4 + len(b"question"))
        # Were the socket closed at the end of stdin, its close would be here in no time.
        assert select.select([conn.sock], [], [], 0.5)[0] == []
        conn.send(b"\x81\x06answer")
        conn.send(b"\x88\x02\x03\xe8")
        conn.read_to_end()

    ran = run("ws", raw_server(slow).url, "--linger", "20", stdin=b"question\n")
    assert ran == Ran(0, b"answer\n", "")


def test_ws_ends_with_the_server(app: AppServer) -> None:
    """A close by the server ends the command though stdin is open: 0, or 16 for an error code."""
    for reply, code in (("close 1000", 0), ("close 4001 bye", 16)):
        with start("ws", f"{app.url}/echo", stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(f"{reply}\n".encode())
            process.stdin.flush()
            assert process.wait(WITHIN) == code
            assert process.stderr is not None
            told = process.stderr.read().decode()
            assert ("4001 bye" in told) is (code == 16)


def test_ws_subprotocol_and_headers(raw_server: StartRawServer) -> None:
    """--subprotocol and -H are part of the handshake."""

    def refuse(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="403 Forbidden")

    server = raw_server(refuse)
    ran = run("ws", server.url, "--subprotocol", "chat", "-H", "X-One: 1")
    assert ran.code == 4
    request = server.requests[0]
    assert (request.header("Sec-WebSocket-Protocol"), request.header("X-One")) == ("chat", "1")


def test_sse(app: AppServer) -> None:
    """The data of each event is a line; --json has all of it."""
    ran = run("sse", f"{app.url}/sse?n=3", "-n", "2")
    assert ran == Ran(0, b"0\nmore\n1\nmore\n", "")
    line = run("sse", f"{app.url}/sse?n=3", "-n", "1", "--json").out
    assert json.loads(line) == {"event": "tick", "data": "0\nmore", "id": "0"}


def test_bench_counts_what_was_sent(app: AppServer) -> None:
    """The report has every response, by status, and its histogram as well."""
    before = app.stats().requests
    report = run("bench", f"{app.url}/status/503", "-n", "60", "-c", "5", "--json").json()
    assert app.stats().requests - before == 60
    assert (report["responses"], report["statuses"]) == (60, {"503": 60})
    assert sum(bucket["responses"] for bucket in report["histogram"]) == 60
    latency = report["latency"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    table = run("bench", f"{app.url}/get", "-d", "0.2").out.decode()
    assert "requests/s" in table
    assert "200: " in table


def test_bench_tells_errors() -> None:
    """If the server does not answer, bench counts the errors and exits with their code."""
    ran = run("bench", f"http://127.0.0.1:{free_port()}/", "-n", "3")
    assert ran.code == 11
    assert b"3 x ClientConnectorError" in ran.out


def test_demo_runs_by_itself() -> None:
    """The demo shows its steps on a server of its own, and cleans up."""
    ran = run("demo")
    assert (ran.code, ran.err) == (0, "")
    assert b"closed with 1000" in ran.out
