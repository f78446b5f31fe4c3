"""Nothing is imported on the loop thread, nor on the way of a request (rule 12).

A child that is forked in the midst of an import waits for its lock for ever; and what an import
compiles at exit makes CPython forget that Ctrl-C has ended the program.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.children import RunChild
from tests.servers.process import AppServer
from tests.servers.proxies import http_proxy, socks_proxy
from tests.servers.raw import RawConnection, RawServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.leaks("the raw server of the module keeps connections from test to test"),
]

SCRIPT = Path(__file__).with_name("imported.py")

SCENARIOS = {
    *("plain", "tls", "uploads", "many", "errors", "bodies", "proxies", "environment", "names"),
    *("sockets", "files", "middlewares", "unix", "awaited", "dropped", "left_open"),
}
if hasattr(os, "fork"):
    SCENARIOS.add("children")

#: What the raw server says, by path; then it closes the connection.
_LAST_WORDS = {
    "/rubbish": b"rubbish\r\n\r\n",
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "/badchunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


def script(conn: RawConnection) -> None:
    while True:
        path = "/" + conn.read_request().target.removeprefix("http://").partition("/")[2]
        kind, _, name = path[1:].partition("/")
        if path in _LAST_WORDS:
            conn.send(_LAST_WORDS[path])
            return
        if kind == "badgzip":
            conn.respond(b"not gzip at all", headers=[("Content-Encoding", "gzip")])
        elif kind == "charset":
            conn.respond(b"hello", headers=[("Content-Type", f"text/plain; charset={name}")])
        elif kind == "disposition":
            named = "attachment; filename*=utf-8''%C3%A4.txt"
            conn.respond(b"x", headers=[("Content-Disposition", named), ("Set-Cookie", "a=b")])
        elif kind == "stream":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\nline\n" + b"x" * 599995)
        else:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n")
            conn.read_to_end()
            return


@pytest.fixture(scope="module")
def where(
    app: AppServer, tls_app: AppServer, ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The addresses of all servers, for the script."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    with ExitStack() as stack:
        raw = stack.enter_context(RawServer(script))
        socks = stack.enter_context(socks_proxy(5))
        proxy = stack.enter_context(http_proxy(folder))
        yield json.dumps(
            {
                "app": app.url,
                "tls": tls_app.url,
                "raw": raw.url,
                "socks": f"socks5://127.0.0.1:{socks.port}",
                "http": proxy.url,
                "netrc": str(folder / "netrc"),
                "folder": str(folder),
            }
        )


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_nothing_is_imported_on_the_way(run_child: RunChild, where: str, scenario: str) -> None:
    """From the first request to the end of the process, no module is imported, and none tried."""
    flags = ("-X", "dev", "-W", "ignore")
    child = run_child(SCRIPT, scenario, where, flags=flags, env={"HTTP_PROXY": ""})
    assert (child.stdout, child.status) == ("", 0), child.stderr
