"""Requests from the command line, in this process: what is sent, shown, kept."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

pytest.importorskip("click")
pytest.importorskip("rich")

from syncclient._cli.app import run

CURL = shutil.which("curl")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing of the user's own leads a command elsewhere, and nothing is kept there."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "netrc").touch()
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


class Command:
    """Runs commands; has what the last one wrote."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture
        self.out = b""
        self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = run(arguments)
        self.out, err = self._capture.readouterr()
        self.err = err.decode()
        return code

    def echo(self, *arguments: str) -> Any:
        """Return the request as the server received it."""
        assert self(*arguments) == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    return Command(capfdbinary)


def test_without_a_verb(app: AppServer, command: Command) -> None:
    """A URL alone is a GET; with fields, a file or --raw it is a POST."""
    anything = f"{app.url}/anything"
    assert command.echo(anything)["method"] == "GET"
    assert command.echo(anything, "a==1", "B:2")["method"] == "GET"
    echo = command.echo(anything, "a=1")
    assert (echo["method"], echo["json"]) == ("POST", {"a": "1"})
    echo = command.echo(anything, "--raw", "[1]")
    assert (echo["method"], echo["json"]) == ("POST", [1])
    assert command.echo("-f", anything, "a=1")["form"] == [["a", "1"]]


def test_verbs_in_any_case_and_custom_methods(app: AppServer, command: Command) -> None:
    """Capitals work as in HTTPie, and another word in capitals is a method of its own."""
    assert command.echo("PUT", f"{app.url}/anything", "a=1")["method"] == "PUT"
    assert command.echo("Delete", f"{app.url}/anything")["method"] == "DELETE"
    assert command.echo("PROPFIND", f"{app.url}/anything")["method"] == "PROPFIND"


def test_nested_fields(app: AppServer, command: Command) -> None:
    """Brackets nest in JSON, and are part of the name in a form."""
    url = f"{app.url}/anything"
    assert command.echo(url, "a[b]=1", "l[]:=2")["json"] == {"a": {"b": "1"}, "l": [2]}
    assert command.echo("-f", url, "a[b]=1")["form"] == [["a[b]", "1"]]
    assert command(url, "a[b=1") == 2
    assert "brackets" in command.err or "bracket" in command.err


def test_print_chooses_the_parts(app: AppServer, command: Command) -> None:
    """--print writes what it names to stdout, in a pipe too."""
    url = f"{app.url}/anything"
    assert command(url, "a=1", "--print", "HBhm") == 0
    text = command.out.decode()
    parts = ["POST /anything HTTP/1.1", '{"a": "1"}', "HTTP/1.1 200 OK", "timings:"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert command.err == ""
    assert command(url, "--print", "h") == 0
    assert command.out.startswith(b"HTTP/1.1 200")
    assert command(url, "--print", "b") == 0
    assert json.loads(command.out)["method"] == "GET"
    assert command(url, "--print", "x") == 2
    assert command(url, "--meta") == 0
    assert command.out.startswith(b"timings:")
    assert command(url, "-q") == 0
    assert command.out == b""
    assert command(url, "-q", "-b") == 2


def test_timings_stand_on_a_line_of_their_own(app: AppServer) -> None:
    """If stdout and stderr are one pipe, -v starts a new line after the body."""
    command_line = [sys.executable, "-m", "syncclient", "get", f"{app.url}/json", "-v"]
    ran = subprocess.run(command_line, stdout=-1, stderr=subprocess.STDOUT, timeout=60, check=True)
    assert b"}\n\ntimings:" in ran.stdout


def test_offline_sends_nothing(app: AppServer, command: Command, tmp_path: Path) -> None:
    """--offline shows the head and the body as they would go out, and no server is asked."""
    url = f"http://127.0.0.1:{free_port()}/a"
    assert command("--offline", url, "b=1", "c==2", "D:3") == 0
    head, _, body = command.out.decode().partition("\n\n")
    assert head.startswith("POST /a?c=2 HTTP/1.1\n")
    assert "\nD: 3\n" in head
    assert "\nContent-Length: 10" in head
    assert body == '{"b": "1"}'
    file = tmp_path / "f.bin"
    file.write_bytes(b"\0\1")
    assert command("--offline", "-p", "B", "-f", url, f"f@{file}") == 0
    assert b"\r\n\r\n\0\1\r\n" in command.out
    assert command("--offline", url, "token=hunter2", "-a", "u:hunter2") == 0
    assert b"hunter2" not in command.out
    assert command("--offline", url, "token=hunter2", "--show-secrets") == 0
    assert b"hunter2" in command.out


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "arguments",
    [
        ["/anything", "a=1", "q==x y", "X-One:it's"],
        ["/anything", "-f", "a=1&2", "b=é"],
        ["PUT", "/anything", "--raw", "a\nb\\c'd"],
        ["/anything", "--multipart", "a=@x", "f@FILE"],
        ["PATCH", "/anything", "@FILE"],
        ["DELETE", "/anything", "-a", "ada:p w"],
        ["/anything", "-A", "bearer", "-a", "t0ken"],
        ["DELETE", "/anything"],
        ["/anything", "Accept:", "Empty:"],
    ],
)
def test_curl_sends_the_same(
    app: AppServer, command: Command, tmp_path: Path, arguments: list[str]
) -> None:
    """The command of --curl, run by a shell, has the server see the same request."""
    file = tmp_path / "file.txt"
    file.write_bytes(b"line\nline\n")
    words = [
        word.replace("FILE", str(file)) if not word.startswith("/") else app.url + word
        for word in arguments
    ]
    if "a=@x" in words:  # a text that looks like a file
        words[words.index("a=@x")] = "a=\\@x"
    ours = command.echo(*words)
    assert command("--curl", "--show-secrets", *words) == 0
    ran = subprocess.run(["sh", "-c", command.out], stdout=-1, stderr=-1, timeout=60, check=True)
    theirs = json.loads(ran.stdout)
    for echo in (ours, theirs):
        echo["files"] = [{**part, "headers": sorted(part["headers"])} for part in echo["files"]]
    for name in ("method", "args", "form", "json", "text", "files"):
        if name != "text" or "--multipart" not in words:  # its boundary
            assert theirs[name] == ours[name], name
    for name in ("Content-Type", "Authorization", "X-One", "Accept"):
        if name != "Content-Type" or "--multipart" not in words:
            assert dict(theirs["headers"]).get(name) == dict(ours["headers"]).get(name)


def test_curl_keeps_secrets_out(command: Command) -> None:
    """Passwords, tokens and keys are left out of the command, unless asked for."""
    words = ["http://u:hunter2@h.example/?token=hunter2", "password=hunter2", "X-Api-Key:hunter2"]
    words += ["--proxy", "http://p:hunter2@proxy.example:1"]
    assert command("--curl", *words) == 0
    assert b"hunter2" not in command.out
    assert command("--curl", "--show-secrets", *words) == 0
    assert command.out.count(b"hunter2") == 5


def test_a_named_session(app: AppServer, command: Command, tmp_path: Path) -> None:
    """A name keeps headers, credentials and cookies for its host, in private files."""
    login = [f"{app.url}/cookies/set", "c==1", "X-Team:blue", "-a", "ada:pw", "--session", "me"]
    assert command(*login) == 0
    echo = command.echo(f"{app.url}/anything", "--session", "me", "Content-Type:text/x")
    headers = dict(echo["headers"])
    assert headers["X-Team"] == "blue"
    assert headers["Authorization"].startswith("Basic ")
    assert "c=1" in headers["Cookie"]
    again = command.echo(f"{app.url}/anything", "--session", "me", "X-Team:red")
    assert dict(again["headers"])["X-Team"] == "red"
    assert dict(again["headers"]).get("Content-Type") != "text/x"
    other = dict(command.echo(f"{app.url}/anything", "--session", "you")["headers"])
    assert "X-Team" not in other
    assert "Authorization" not in other
    files = [path for path in (tmp_path / "config").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"kept.json", "cookies.json"}
    if sys.platform != "win32":
        assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_a_named_session_belongs_to_its_host(app: AppServer, command: Command) -> None:
    """Another host gets nothing of what the first one was told."""
    assert command(f"{app.url}/anything", "X-Key:1", "-a", "a:b", "--session", "me") == 0
    elsewhere = app.url.replace("127.0.0.1", "localhost")
    headers = dict(command.echo(f"{elsewhere}/anything", "--session", "me")["headers"])
    assert not {"X-Key", "Authorization"} & set(headers)


def test_a_session_may_be_read_only(app: AppServer, command: Command) -> None:
    """A read-only session sends what it has stored, and stores nothing."""
    assert command(f"{app.url}/anything", "X-Team:blue", "--session", "me") == 0
    words = [f"{app.url}/anything", "--session", "me", "--session-read-only"]
    assert dict(command.echo(*words, "X-Team:red")["headers"])["X-Team"] == "red"
    assert dict(command.echo(*words)["headers"])["X-Team"] == "blue"


@pytest.mark.parametrize("kind", ["basic", "bearer", "digest"])
def test_credentials_stay_with_their_server(app: AppServer, command: Command, kind: str) -> None:
    """A redirect to another origin gets none of them."""
    elsewhere = app.url.replace("127.0.0.1", "localhost")
    echo = command.echo(
        *(f"{app.url}/redirect-to", f"url=={elsewhere}/anything"), *("-A", kind, "-a", "ada:pw")
    )
    assert "Authorization" not in dict(echo["headers"])


def test_more_items_of_httpie(app: AppServer, command: Command, tmp_path: Path) -> None:
    """An empty header, and files in headers and in the query."""
    file = tmp_path / "value"
    file.write_text("from file\n")
    echo = command.echo(f"{app.url}/anything", "X-None;", f"X-File:@{file}", f"q==@{file}")
    headers = dict(echo["headers"])
    assert (headers["X-None"], headers["X-File"]) == ("", "from file")
    assert echo["args"] == [["q", "from file"]]


def test_a_timeout_of_zero_is_no_limit(app: AppServer, command: Command) -> None:
    """0 means the same as everywhere else in the library."""
    assert command(f"{app.url}/anything", "--timeout", "0") == 0


def test_sse_sends_a_body(raw_server: StartRawServer, command: Command) -> None:
    """Fields make the request for events a POST, and a lost connection does not send it again."""
    requests = []

    def events(conn: RawConnection) -> None:
        requests.append(conn.read_request())
        conn.respond(
            b'data: {"a": 1}\n\ndata: b\n\n', headers=[("Content-Type", "text/event-stream")]
        )

    url = raw_server(events).url
    assert command("sse", url, "stream:=true") == 0
    assert command.out == b'{"a": 1}\nb\n'
    assert len(requests) == 1
    assert requests[0].method == "POST"
    assert requests[0].body == b'{"stream": true}'


def test_plain_http_behind_https(app: AppServer, command: Command) -> None:
    """A server without TLS is answered by what helps, and not by --verify."""
    assert command(app.url.replace("http://", "https://")) == 12
    assert "try http://" in command.err
    assert "--verify" not in command.err


def test_a_certificate_for_another_host(
    raw_server: StartRawServer, ca: trustme.CA, command: Command, tmp_path: Path
) -> None:
    """Trusting the authority cannot help where the name is wrong, and the error does not say so."""
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))

    def ok(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"")

    url = raw_server(ok, tls=served_as(ca, "other.test")).url
    assert command(url, "--verify", str(file)) == 12
    assert "the name that the certificate is for" in command.err or "write a name" in command.err
    assert "trusts" not in command.err
    assert command(url) == 12
    assert "--verify FILE trusts" in command.err


def served_as(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


def test_versions_and_ciphers_of_tls(
    raw_server: StartRawServer, ca: trustme.CA, command: Command
) -> None:
    """--ssl speaks the one version, --ciphers has a list of OpenSSL's; both in curl's words."""

    def ok(conn: RawConnection) -> None:
        conn.read_request()
        sock: Any = conn.sock
        conn.respond(f"{sock.version()} {sock.cipher()[0]}".encode())

    def ask(*options: str, least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> int:
        context = served_as(ca, "127.0.0.1")
        context.minimum_version = least
        return command(raw_server(ok, tls=context).url, "--verify=no", *options)

    assert ask("--ssl", "tls1.2", "--ciphers", "ECDHE+AES256") == 0
    assert command.out.startswith(b"TLSv1.2 ECDHE-")
    assert b"AES256" in command.out
    assert ask("--ssl", "tls1.3") == 0
    assert command.out.startswith(b"TLSv1.3 ")
    assert ask("--ssl", "tls1.2", least=ssl.TLSVersion.TLSv1_3) == 12
    assert command("https://h/", "--ciphers", "nonsense") == 2
    assert "'openssl ciphers' lists them" in command.err
    assert command("https://h/", "--ssl", "tls1.2", "--ciphers", "HIGH", "--curl") == 0
    assert command.out.startswith(b"curl --tlsv1.2 --tls-max 1.2 --ciphers HIGH ")


def test_a_style_of_bodies(app: AppServer, command: Command, monkeypatch: Any) -> None:
    """--style takes a style of pygments, for JSON too; one that is none names those near it."""
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = []
    for style in ([], ["--style", "monokai"], ["--style", "friendly"]):
        assert command(f"{app.url}/json", "--pretty=colors", *style) == 0
        shown.append(command.out)
    assert len(set(shown)) == 3
    assert command("http://h/", "--style", "monokay") == 2
    assert "there is no 'monokay'; write one of monokai" in command.err


@pytest.mark.parametrize("read", [0, 1], ids=["from its start", "read in part"])
def test_a_file_as_stdin_needs_no_verb(app: AppServer, tmp_path: Path, read: int) -> None:
    """`syncclient URL < body.json` is a POST; the rest of a list that a loop reads is not sent."""
    file = tmp_path / "body.json"
    file.write_bytes(b'{"a": 1}')
    command_line = [sys.executable, "-m", "syncclient", f"{app.url}/anything"]
    with file.open("rb", buffering=0) as stdin:
        stdin.seek(read)
        ran = subprocess.run(command_line, stdin=stdin, capture_output=True, timeout=60, check=True)
    echo = json.loads(ran.stdout)
    assert (echo["method"], echo["json"]) == (("GET", None) if read else ("POST", {"a": 1}))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no poll for pipes")
def test_a_pipe_that_is_not_read_is_told(app: AppServer) -> None:
    """Without a method, stdin is not sent, and a message says so."""
    command_line = [sys.executable, "-m", "syncclient", f"{app.url}/anything"]
    ran = subprocess.run(command_line, input=b"{}", capture_output=True, timeout=60, check=True)
    assert json.loads(ran.stdout)["method"] == "GET"
    assert b"write POST before the URL" in ran.stderr
