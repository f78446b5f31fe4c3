"""Digest authentication: which of several challenges is answered, and how, and how often."""

import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from requests.auth import HTTPDigestAuth

import syncclient
from syncclient import DigestAuthMiddleware, Session, TCPConnector
from syncclient._async.middleware.digest import parse_challenges
from tests.servers.raw import RawConnection, RawRequest, StartRawServer

USER, PASSWORD = "Mufasa", "Circle of Life"


def fields_of(header: str) -> dict[str, str]:
    assert header.startswith("Digest ")
    pairs = re.findall(r'([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))', header[7:])
    return {name: re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in pairs}


def is_right(request: RawRequest, user: str = USER, password: str = PASSWORD) -> bool:
    """Whether a request is authorised as RFC 7616 says, by any algorithm and qop."""
    header = request.header("Authorization")
    if not header.startswith("Digest "):
        return False
    said = fields_of(header)
    name = said.get("algorithm", "MD5").upper()
    by_session = name.endswith("-SESS")
    kind = {"MD5": "md5", "SHA": "sha1", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}[
        name.removesuffix("-SESS")
    ]

    def digest(text: bytes) -> str:
        return hashlib.new(kind, text).hexdigest()

    key = digest(f"{user}:{said['realm']}:{password}".encode())
    if by_session:
        key = digest(f"{key}:{said['nonce']}:{said['cnonce']}".encode())
    what = f"{request.method}:{request.target}".encode()
    if said.get("qop") == "auth-int":
        what += f":{digest(request.body)}".encode()
    middle = [said["nonce"]]
    if "qop" in said:
        middle += [said["nc"], said["cnonce"], said["qop"]]
    expected = digest(":".join([key, *middle, digest(what)]).encode())
    return said["uri"] == request.target and said["response"] == expected


def asks(*headers: str) -> Any:
    """A server that asks by these WWW-Authenticate headers, and checks the answers."""

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if is_right(request):
                conn.respond(b"welcome")
            else:
                conn.respond(
                    b"who?",
                    status="401 Unauthorized",
                    headers=[("WWW-Authenticate", header) for header in headers],
                )

    return script


MD5 = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
SHA = 'Digest realm="r", nonce="m", qop="auth", algorithm=SHA-256'


@pytest.mark.parametrize(
    ("headers", "algorithm"),
    [
        # Where it stands.
        (['Digest realm="r", nonce="n", qop="auth"'], None),
        (['Digest realm="r", nonce="n"'], None),
        (['digest REALM="r", Nonce="n", QOP="auth"'], None),
        (['Basic realm="x"', MD5], "MD5"),
        ([MD5, 'Basic realm="x"'], "MD5"),
        (["Negotiate", "NTLM", MD5], "MD5"),
        ([f"Negotiate, {MD5}"], "MD5"),
        ([f"Negotiate YII+/a==, {MD5}"], "MD5"),
        ([f"NTLM TlRMTVNTUAAC, {MD5}"], "MD5"),
        ([f'Basic realm="a, Digest realm=b", {MD5}'], "MD5"),
        ([f'Basic realm="x", charset="UTF-8", {MD5}, Bearer'], "MD5"),
        ([f'Bearer error="invalid_token", {MD5}, Basic realm="y"'], "MD5"),
        ([f" , ,{MD5} ,"], "MD5"),
        # Which is the best.
        ([MD5, SHA], "SHA-256"),
        ([SHA, MD5], "SHA-256"),
        ([f"{MD5}, {SHA}"], "SHA-256"),
        ([f"{SHA}, {MD5}"], "SHA-256"),
        ([MD5, SHA, SHA.replace("SHA-256", "SHA-512-256")], "SHA-512-256"),
        ([MD5, SHA.replace("SHA-256", "SHA-256-sess")], "SHA-256-sess"),
        ([MD5.replace("MD5", "MD5-sess")], "MD5-sess"),
        ([MD5.replace("MD5", '"MD5"')], "MD5"),
        # What is passed over.
        ([MD5, SHA.replace("SHA-256", "SHA-3000")], "MD5"),
        ([SHA.replace("SHA-256", "AKAv1-MD5"), MD5], "MD5"),
        ([MD5, SHA.replace('"auth"', '"auth-super"')], "MD5"),
        ([MD5, 'Digest realm="r", algorithm=SHA-256'], "MD5"),
        ([MD5, 'Digest nonce="n", algorithm=SHA-256'], "MD5"),
        ([MD5, 'Digest realm="r", nonce="", algorithm=SHA-256'], "MD5"),
        # How it is written.
        (['Digest realm="a, b=\\"c\\"", nonce="n,=", qop="auth"'], None),
        (["Digest realm=r,nonce=n==,qop=auth,algorithm=MD5"], "MD5"),
        (['Digest realm = "r" , nonce\t=\t"n" , qop = auth'], None),
        (['Digest realm="r", nonce="n", qop="auth-int, auth"'], None),
        (['Digest realm="r", nonce="n", qop="auth-int"'], None),
        (['Digest realm="r", nonce="n", qop=""'], None),
        (['Digest realm="", nonce="n", qop="auth"'], None),
        (['Digest realm="r", nonce="n", opaque="o\\"p", qop="auth"'], None),
    ],
)
@pytest.mark.parametrize("limit", [0, 1])
def test_the_best_challenge_is_answered(
    raw_server: StartRawServer, headers: list[str], algorithm: str | None, limit: int
) -> None:
    """Of all challenges, in whatever headers, order and spelling, the best known one."""
    wire = raw_server(asks(*headers))
    digest = DigestAuthMiddleware(USER, PASSWORD)
    connector = TCPConnector(limit=limit)
    with Session(middlewares=[digest], timeout=8, connector=connector) as session:
        assert session.get(f"{wire.url}/a%2Fb?c=d,e").text() == "welcome"
        assert session.post(f"{wire.url}/there", data=b"body").text() == "welcome"
    first, *answers = [request.header("Authorization") for request in wire.requests]
    assert first == ""
    said = [fields_of(header) for header in answers]
    assert [each.get("algorithm") for each in said] == [algorithm] * 2
    if "qop" in said[0]:
        assert [each["nc"] for each in said] == ["00000001", "00000002"]
        assert said[0]["qop"] == ("auth-int" if headers[0].endswith('"auth-int"') else "auth")


@pytest.mark.parametrize("client", ["syncclient", "requests", "httpx"])
def test_all_clients_agree(raw_server: StartRawServer, client: str) -> None:
    """Where one challenge stands alone, each client answers it."""
    wire = raw_server(asks(SHA))
    if client == "requests":
        text = requests.get(wire.url, auth=HTTPDigestAuth(USER, PASSWORD), timeout=20).text
    elif client == "httpx":
        text = httpx.get(wire.url, auth=httpx.DigestAuth(USER, PASSWORD)).text
    else:
        with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)]) as session:
            text = session.get(wire.url).text()
    assert text == "welcome"


@pytest.mark.parametrize(
    "header",
    [
        'Basic realm="x"',
        "Negotiate",
        "Digest",
        "Digest realm",
        'Digest realm="r", nonce="n", algorithm=SHA-3000',
        'Digest realm="r", nonce="n", qop="auth-super"',
        'Digest realm="r"',
        'Digest realm="r',
        'Digest realm="\xff", nonce="n"',
        'Digest realm="r", nonce="n\x01", qop="auth"',
        'Digest realm="r", nonce="n", opaque="\x7f"',
        "=,=,",
        "",
        "Digest " + "a" * 8000,
        'Digest realm="' + "\\" * 8000,
        ", " * 4000,
    ],
)
def test_what_cannot_be_answered_is_the_response(raw_server: StartRawServer, header: str) -> None:
    """The 401 comes back, whatever a server writes: no error of ours, and no second request."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"who?", status="401 No", headers=[("WWW-Authenticate", header)])
        assert conn.read_to_end() == b""

    wire = raw_server(script)
    with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)], timeout=8) as session:
        response = session.get(wire.url)
        assert (response.status, response.text()) == (401, "who?")


def test_wrong_credentials_are_tried_once(raw_server: StartRawServer) -> None:
    """A second 401 is the response."""
    wire = raw_server(asks(MD5))
    with Session(middlewares=[DigestAuthMiddleware(USER, "wrong")], timeout=8) as session:
        assert session.get(wire.url).text() == "who?"
    assert len(wire.requests) == 2


@pytest.mark.parametrize("always", [False, True])
def test_a_stale_nonce_is_replaced(raw_server: StartRawServer, always: bool) -> None:
    """stale=true says that only the nonce is too old: it is answered, but not for ever."""

    numbers = iter(range(4))

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            number = next(numbers)  # a connection whose 401 was not here in whole is closed
            if number == 2 and not always:
                assert is_right(request)
                assert fields_of(request.header("Authorization"))["nonce"] == "n1"
                conn.respond(b"welcome")
                return
            stale = ", stale=TRUE" if number else ""
            header = f'Digest realm="r", nonce="n{number}", qop="auth"{stale}'
            conn.respond(b"who?", status="401 No", headers=[("WWW-Authenticate", header)])

    wire = raw_server(script)
    with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)], timeout=8) as session:
        assert session.get(wire.url).text() == ("who?" if always else "welcome")
    assert len(wire.requests) == 3


def test_the_next_nonce_is_used(raw_server: StartRawServer) -> None:
    """Authentication-Info may name the nonce of the next request (RFC 7616, section 3.5)."""

    numbers = iter(range(2))

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if not request.header("Authorization"):
                conn.respond(b"who?", status="401 No", headers=[("WWW-Authenticate", MD5)])
                continue
            number = next(numbers)
            assert is_right(request)
            said = fields_of(request.header("Authorization"))
            assert (said["nonce"], said["nc"]) == (f"n{number or ''}", "00000001")
            info = [("Authentication-Info", f'qop=auth, nextnonce="n{number + 1}"')]
            conn.respond(b"welcome", headers=info)

    wire = raw_server(script)
    with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)], timeout=8) as session:
        for _ in range(2):
            assert session.get(wire.url).text() == "welcome"


@pytest.mark.parametrize("nonce", ["n\x01", "\x7f", "\xff"])
def test_a_next_nonce_that_cannot_be_sent_is_passed_over(
    raw_server: StartRawServer, nonce: str
) -> None:
    """The one before goes on being counted: no error, and no further challenge."""

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if not request.header("Authorization"):
                conn.respond(b"who?", status="401 No", headers=[("WWW-Authenticate", MD5)])
                continue
            said = fields_of(request.header("Authorization"))
            info = [("Authentication-Info", f'nextnonce="{nonce}"')]
            conn.respond(f"{said['nonce']} {said['nc']}".encode(), headers=info)

    wire = raw_server(script)
    with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)], timeout=8) as session:
        assert [session.get(wire.url).text()[-1] for _ in range(3)] == ["1", "2", "3"]


def test_names_are_sent_as_asked_for(raw_server: StartRawServer) -> None:
    """userhash hides the name; charset=UTF-8 takes one beyond ASCII (RFC 7616, 3.4.4, 3.9)."""
    wire = raw_server(
        lambda conn: asks(f"{SHA}, charset=UTF-8, userhash=true")(conn),
    )
    with Session(middlewares=[DigestAuthMiddleware("Jäsøn", PASSWORD)], timeout=8) as session:
        session.get(wire.url).read()
    said = fields_of(wire.requests[1].header("Authorization"))
    assert said["username"] == hashlib.sha256("Jäsøn:r".encode()).hexdigest()
    assert said["userhash"] == "true"
    wire = raw_server(lambda conn: asks(f"{SHA}, charset=UTF-8")(conn))
    with Session(middlewares=[DigestAuthMiddleware("Jäsøn", PASSWORD)], timeout=8) as session:
        session.get(wire.url).read()
    header = wire.requests[1].header("Authorization")
    assert "username*=UTF-8''J%C3%A4s%C3%B8n," in header
    assert 'username="' not in header


@pytest.mark.parametrize("kind", ["bytes", "file", "generator"])
def test_bodies(raw_server: StartRawServer, kind: str) -> None:
    """A body that can be sent again is; one that cannot leaves the 401 as the response."""

    def pieces() -> Iterator[bytes]:
        yield b"body"

    body: Any = {"bytes": b"body", "file": io.BytesIO(b"body"), "generator": pieces()}[kind]
    wire = raw_server(asks(MD5))
    with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)], timeout=8) as session:
        text = session.post(wire.url, data=body).text()
    if kind == "generator":
        assert (text, len(wire.requests)) == ("who?", 1)
    else:
        assert text == "welcome"
        assert [request.body for request in wire.requests] == [b"body", b"body"]


def test_the_origin_of_the_first_request_only(raw_server: StartRawServer) -> None:
    """Another port is another server, also where a domain= or a redirect leads there."""
    other = raw_server(asks(MD5))
    first = raw_server(asks(f'{MD5}, domain="/ {other.url}/"'))
    with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)], timeout=8) as session:
        assert session.get(first.url).text() == "welcome"
        assert session.get(f"{other.url}/").text() == "who?"
    assert [request.header("Authorization") for request in other.requests] == [""]


def test_the_protection_space(raw_server: StartRawServer) -> None:
    """Outside of domain= a request is not authorised before it is asked to be."""
    wire = raw_server(asks(f'{MD5}, domain="/a /b/c"'))
    with Session(middlewares=[DigestAuthMiddleware(USER, PASSWORD)], timeout=8) as session:
        for path in ("/a", "/a/x", "/b/c", "/ab", "/"):
            assert session.get(wire.url + path).text() == "welcome"
    asked = [r.target for r in wire.requests if not r.header("Authorization")]
    assert asked == ["/a", "/ab", "/"]


def test_arguments() -> None:
    """A wrong one is named; the name that is exported is a middleware of aiohttp's kind."""
    with pytest.raises(ValueError, match=":"):
        DigestAuthMiddleware("a:b", "c")
    with pytest.raises(ValueError, match="login"):
        DigestAuthMiddleware("a\r\nb", "c")
    with pytest.raises(TypeError, match="password"):
        DigestAuthMiddleware("a", 1)  # type: ignore[arg-type]
    assert "s3cr3t" not in repr(syncclient.DigestAuthMiddleware("a", "s3cr3t"))


def test_parsing_takes_linear_time() -> None:
    """No header keeps the loop: these would take minutes if they were looked at again and again."""
    for hostile in (
        "a " * 50_000,
        "a=" * 50_000,
        '"' * 99_999,
        "a" * 99_999 + ' "',
        "a b" * 30_000,
    ):
        parse_challenges([hostile])
