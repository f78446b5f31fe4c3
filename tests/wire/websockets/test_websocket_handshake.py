"""The answer to the handshake: what RFC 6455, section 4.1, and RFC 7692, section 7.1, ask for.

Each row of the tables has the section that decides it.
"""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from aiohttp import WSServerHandshakeError
from aiohttp.http import WS_KEY

import syncclient
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, RawRequest, StartRawServer

pytestmark = pytest.mark.timeout(30)

WAIT = 20.0

#: The lines of an answer that will do, but for the last.
UPGRADE, CONNECTION = "Upgrade: websocket", "Connection: Upgrade"
ACCEPT = "Sec-WebSocket-Accept: {accept}"
RIGHT = (UPGRADE, CONNECTION, ACCEPT)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
CHAT = "Sec-WebSocket-Protocol: chat"


def answer(conn: RawConnection, *lines: str, status: str = "101 Switching Protocols") -> RawRequest:
    """Read the handshake, and answer it with these lines as they are."""
    request = conn.read_head()
    key = request.header("Sec-WebSocket-Key").encode()
    accept = base64.b64encode(hashlib.sha1(key + WS_KEY).digest()).decode()
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).format(accept=accept)
    conn.send(head.encode("latin-1") + ws.frame(ws.TEXT, b"hi"))
    return request


ACCEPTED = {
    "4.1, 2: the case of the upgrade": ("Upgrade: WebSocket", CONNECTION, ACCEPT),
    "4.1, 2: blanks around the upgrade": ("Upgrade: \t websocket  ", CONNECTION, ACCEPT),
    "4.1, 3: the case of the connection": (UPGRADE, "Connection: upgrade", ACCEPT),
    "4.1, 3: in capitals": (UPGRADE, "Connection: UPGRADE", ACCEPT),
    "4.1, 3: a list": (UPGRADE, "Connection: keep-alive, Upgrade", ACCEPT),
    "4.1, 3: a list, the other way round": (UPGRADE, "Connection: Upgrade, Keep-Alive", ACCEPT),
    "4.1, 3: a list without blanks": (UPGRADE, "Connection: keep-alive,Upgrade", ACCEPT),
    "4.1, 3: a list with empty elements": (UPGRADE, "Connection: ,, upgrade ,", ACCEPT),
    "4.1, 3: several headers": (UPGRADE, "Connection: keep-alive", CONNECTION, ACCEPT),
    "4.1, 4: blanks around the key": (UPGRADE, CONNECTION, "Sec-WebSocket-Accept:  {accept} \t"),
    "the names of headers in any case": (
        "UPGRADE: websocket",
        "connection: Upgrade",
        "sec-websocket-accept: {accept}",
    ),
    "RFC 9110, 15.2: a length, and no body": (*RIGHT, "Content-Length: 4"),
    "RFC 9110, 15.2: a coding, and no body": (*RIGHT, "Transfer-Encoding: chunked"),
    "RFC 9110, 15.2: a type, and no body": (*RIGHT, "Content-Encoding: gzip"),
    "4.1, 5: an empty list of extensions": (*RIGHT, "Sec-WebSocket-Extensions: "),
}


@pytest.mark.parametrize("lines", ACCEPTED.values(), ids=ACCEPTED)
def test_what_the_grammar_allows_is_accepted(
    client: syncclient.Session, raw_server: StartRawServer, lines: tuple[str, ...]
) -> None:
    """Lists, several headers, blanks and case do not matter; frames behind the head are frames."""

    def script(conn: RawConnection) -> None:
        answer(conn, *lines)
        ws.say_goodbye(conn)

    with client.ws_connect(raw_server(script).url) as socket:
        assert socket.receive_str(timeout=WAIT) == "hi"


@pytest.mark.parametrize("status", ["101", "101 ", "101 Web Socket Protocol Handshake", "101 \xdc"])
def test_the_reason_does_not_matter(
    client: syncclient.Session, raw_server: StartRawServer, status: str
) -> None:
    """4.1, 1: it is the number that counts; interim answers may come, even before the request."""

    def script(conn: RawConnection) -> None:
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        answer(conn, *RIGHT, status=status)
        ws.say_goodbye(conn)

    with client.ws_connect(raw_server(script).url) as socket:
        assert socket.receive_str(timeout=WAIT) == "hi"


REFUSED = {
    "4.1, 1: another status": (RIGHT, {"status": "200 OK"}, "response status"),
    "4.1, 2: no upgrade": ((CONNECTION, ACCEPT), {}, "upgrade header"),
    "4.1, 2: an upgrade to something else": (
        ("Upgrade: h2c", CONNECTION, ACCEPT),
        {},
        "upgrade header",
    ),
    "4.1, 2: more than a WebSocket": (
        ("Upgrade: websocket, h2c", CONNECTION, ACCEPT),
        {},
        "upgrade header",
    ),
    "4.1, 3: no connection": ((UPGRADE, ACCEPT), {}, "connection header"),
    "4.1, 3: a connection that stays": (
        (UPGRADE, "Connection: keep-alive", ACCEPT),
        {},
        "connection header",
    ),
    "4.1, 3: a token that only begins so": (
        (UPGRADE, "Connection: upgraded", ACCEPT),
        {},
        "connection header",
    ),
    "4.1, 4: no key": ((UPGRADE, CONNECTION), {}, "challenge"),
    "4.1, 4: a wrong key": (
        (UPGRADE, CONNECTION, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        {},
        "challenge",
    ),
    "11.3.3: the key twice": ((*RIGHT, ACCEPT), {}, "challenge"),
    "11.3.3: the key twice in one": (
        (UPGRADE, CONNECTION, "Sec-WebSocket-Accept: {accept}, {accept}"),
        {},
        "challenge",
    ),
    "4.1, 5: an extension, and none was offered": ((*RIGHT, DEFLATE), {}, "not offered"),
    "4.1, 5: another extension": (
        (*RIGHT, "Sec-WebSocket-Extensions: x-unknown"),
        {"compress": 15},
        "not offered",
    ),
    "4.1, 5: another one behind ours": (
        (*RIGHT, f"{DEFLATE}, x-unknown"),
        {"compress": 15},
        "not offered",
    ),
    "9.1: no list of extensions": (
        (*RIGHT, f"{DEFLATE};"),
        {"compress": 15},
        "extensions",
    ),
    "9.1: a parameter without a name": (
        (*RIGHT, f"{DEFLATE}; =10"),
        {"compress": 15},
        "extensions",
    ),
    "4.1, 6: a subprotocol, and none was offered": ((*RIGHT, CHAT), {}, "subprotocol"),
    "4.1, 6: another subprotocol": (
        (*RIGHT, "Sec-WebSocket-Protocol: surprise"),
        {"protocols": ["chat"]},
        "subprotocol",
    ),
    "4.1, 6: a subprotocol in another case": (
        (*RIGHT, "Sec-WebSocket-Protocol: CHAT"),
        {"protocols": ["chat"]},
        "subprotocol",
    ),
    "4.2.2: a list of subprotocols": (
        (*RIGHT, "Sec-WebSocket-Protocol: chat, talk"),
        {"protocols": ["chat", "talk"]},
        "subprotocol",
    ),
    "11.3.4: a subprotocol twice": ((*RIGHT, CHAT, CHAT), {"protocols": ["chat"]}, "subprotocol"),
    "RFC 7692, 5.1: the same extension twice": (
        (*RIGHT, f"{DEFLATE}, permessage-deflate"),
        {"compress": 15},
        "twice",
    ),
}
#: The parameters of permessage-deflate (RFC 7692, 7.1).
BAD_PARAMETERS = [
    "server_max_window_bits=99",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=010",
    "server_max_window_bits=+9",
    "server_max_window_bits=",
    "server_max_window_bits",
    'server_max_window_bits=""',
    "client_max_window_bits",
    "client_max_window_bits=0",
    "client_max_window_bits=x",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_no_context_takeover; client_no_context_takeover",
    "unknown",
    "unknown=1",
]


@pytest.mark.parametrize(("lines", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_client_must_refuse_is_refused(
    client: syncclient.Session,
    raw_server: StartRawServer,
    lines: tuple[str, ...],
    options: dict[str, object],
    message: str,
) -> None:
    """WSServerHandshakeError says what is wrong, and the connection is closed."""
    status = options.get("status", "101 Switching Protocols")
    keywords = {name: value for name, value in options.items() if name != "status"}

    def script(conn: RawConnection) -> None:
        answer(conn, *lines, status=str(status))
        conn.stall()

    server = raw_server(script)
    with pytest.raises(WSServerHandshakeError, match=message) as caught:
        client.ws_connect(server.url, **keywords)  # type: ignore[arg-type]  # as the table says
    assert caught.value.status == int(str(status)[:3])
    server.wait_until_closed()


@pytest.mark.parametrize("parameters", BAD_PARAMETERS)
def test_senseless_parameters_fail_the_handshake(
    client: syncclient.Session, raw_server: StartRawServer, parameters: str
) -> None:
    """RFC 7692, 7.1: a parameter that is unknown, out of range or there twice is refused."""

    def script(conn: RawConnection) -> None:
        answer(conn, *RIGHT, f"{DEFLATE}; {parameters}")
        conn.stall()

    server = raw_server(script)
    with pytest.raises(WSServerHandshakeError, match=r"permessage-deflate|extensions"):
        client.ws_connect(server.url, compress=15)
    server.wait_until_closed()


@pytest.mark.parametrize(
    ("value", "bits", "alone"),
    [
        ("permessage-deflate", 15, False),
        ("Permessage-Deflate", 15, False),
        (", permessage-deflate ,", 15, False),
        ('permessage-deflate; server_max_window_bits="10"', 15, False),
        ("permessage-deflate;client_max_window_bits=10", 10, False),
        (r'permessage-deflate ; client_max_window_bits = "1\0"', 10, False),
        ("permessage-deflate; CLIENT_NO_CONTEXT_TAKEOVER", 15, True),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15, True),
        ("permessage-deflate; client_max_window_bits=8; server_max_window_bits=8", 8, False),
    ],
)
def test_parameters_are_read_as_the_grammar_has_them(
    client: syncclient.Session, raw_server: StartRawServer, value: str, bits: int, alone: bool
) -> None:
    """RFC 6455, 9.1: quoted values, blanks and case; what was agreed on is used in both ways."""
    got: list[ws.Frame] = []

    def script(conn: RawConnection) -> None:
        answer(conn, *RIGHT, f"Sec-WebSocket-Extensions: {value}")
        conn.send(ws.frame(ws.TEXT, ws.deflated(b"packed"), rsv=4))
        got.append(ws.read_frame(conn))
        ws.say_goodbye(conn)

    with client.ws_connect(raw_server(script).url, compress=15) as socket:
        assert [socket.receive_str(timeout=WAIT) for _ in range(2)] == ["hi", "packed"]
        assert (socket.compress, socket.client_notakeover) == (bits, alone)
        socket.send_str("hello " * 100)
    # zlib has no windows of 8 bits. A message may always go as it is.
    assert got[0].rsv == (4 if bits > 8 else 0)
    sent = ws.inflated(got[0].data, bits) if bits > 8 else got[0].data
    assert sent == b"hello " * 100


def test_the_bits_asked_for_are_the_most(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """RFC 7692, 7.1.2.1: a server may take fewer bits than were asked for, and no more."""
    answers = iter([9, 10, 11])

    def script(conn: RawConnection) -> None:
        request = answer(conn, *RIGHT, f"{DEFLATE}; server_max_window_bits={next(answers)}")
        assert "server_max_window_bits=10" in request.header("Sec-WebSocket-Extensions")
        ws.say_goodbye(conn)

    server = raw_server(script)
    for _ in range(2):
        client.ws_connect(server.url, compress=10).close()
    with pytest.raises(WSServerHandshakeError, match="server_max_window_bits=11"):
        client.ws_connect(server.url, compress=10)


def test_what_the_callers_headers_offer_counts(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """A subprotocol or extension may be offered by a header as well, and is then agreed on."""

    def script(conn: RawConnection) -> None:
        answer(conn, *RIGHT, CHAT, f"{DEFLATE}, x-ours; a=b")
        conn.send(ws.frame(ws.TEXT, ws.deflated(b"packed"), rsv=4))
        ws.say_goodbye(conn)

    headers = [
        ("Sec-WebSocket-Protocol", "talk, chat"),
        ("Sec-WebSocket-Extensions", "x-ours, permessage-deflate"),
    ]
    with client.ws_connect(raw_server(script).url, headers=headers) as socket:
        assert socket.protocol == "chat"
        assert socket.compress == 15
        assert [socket.receive_str(timeout=WAIT) for _ in range(2)] == ["hi", "packed"]


def test_a_long_list_of_extensions_is_read_at_once(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """The time it takes grows with its length only."""
    value = ", ," * 1500 + "permessage-deflate" + '; a="' + "\\" * 1000

    def script(conn: RawConnection) -> None:
        answer(conn, *RIGHT, f"Sec-WebSocket-Extensions: {value}")
        conn.stall()

    with pytest.raises(WSServerHandshakeError) as caught:
        client.ws_connect(raw_server(script).url, compress=15)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"protocols": "chat"}, TypeError, re.escape("protocols=['chat']")),
        ({"protocols": ["a b"]}, ValueError, "protocols: 'a b'"),
        ({"protocols": ["a,b"]}, ValueError, "protocols: 'a,b'"),
        ({"protocols": [""]}, ValueError, "protocols: ''"),
        ({"protocols": ["a", "a"]}, ValueError, "protocols.*once"),
        ({"compress": 8}, ValueError, "compress"),
        ({"compress": 16}, ValueError, "compress"),
        ({"compress": True}, ValueError, "compress"),
        ({"heartbeat": -1}, ValueError, "heartbeat"),
        ({"max_msg_size": -1}, ValueError, "max_msg_size"),
    ],
)
def test_what_cannot_be_asked_for_is_told_before_anything_is_sent(
    client: syncclient.Session, options: dict[str, object], error: type[Exception], message: str
) -> None:
    """The argument is named; nothing listens under the URL."""
    with pytest.raises(error, match=message):
        client.ws_connect("http://127.0.0.1:9/", **options)  # type: ignore[arg-type]  # the point
