"""Redirects: what is followed, what is kept, and what is not told to another origin."""

import base64
from collections.abc import Callable

import pytest

import syncclient
from syncclient import Session, TooManyRedirects
from tests.bounds import BOUND
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

Script = Callable[[RawConnection], None]


def echo_head(conn: RawConnection) -> None:
    """Answer each request with nothing; the test reads what was recorded."""
    while True:
        conn.read_request()
        conn.respond(b"here")


def redirect_to(location: str, status: str = "302 Found") -> Script:
    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.respond(b"there", status=status, headers=[("Location", location)])

    return script


def test_history_holds_the_responses_that_led_here(app: AppServer, session: Session) -> None:
    """Oldest first, each with its own head, and its body gone."""
    response = session.get("/redirect/2", params={"a": "1"})
    assert response.url.path == "/get"
    assert [hop.url.path for hop in response.history] == ["/redirect/2", "/redirect/1"]
    assert [hop.status for hop in response.history] == [302, 302]
    assert response.history[0].headers["Location"] == f"{app.url}/redirect/1?a=1"
    assert response.history[0].request_info.url.path == "/redirect/2"
    assert response.request_info.url == response.url
    with pytest.raises(syncclient.ClientConnectionError, match="released"):
        response.history[0].read()


def test_allow_redirects_false_shows_the_redirect(session: Session) -> None:
    """The redirect itself is the answer then, body and all, and history is empty."""
    response = session.get("/relative-redirect/1", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "/get")
    assert response.history == ()


@pytest.mark.parametrize(("hops", "limit"), [(10, 10), (2, 3), (1, 1), (0, 0)])
def test_as_many_redirects_as_the_limit_are_followed(
    session: Session, hops: int, limit: int
) -> None:
    """max_redirects counts as requests, httpx and curl count: that many are followed."""
    path = f"/redirect/{hops}" if hops else "/get"
    response = session.get(path, max_redirects=limit)
    assert (response.status, len(response.history)) == (200, hops)


def test_too_many_redirects_says_how_many_and_where_it_began(session: Session) -> None:
    """The error has the history, and a message that names the first request."""
    with pytest.raises(TooManyRedirects, match=r"redirect number 3: GET .*/redirect/5 ") as caught:
        session.get("/redirect/5", max_redirects=2)
    assert [hop.url.path for hop in caught.value.history] == [
        "/redirect/5",
        "/redirect/4",
        "/redirect/3",
    ]
    with pytest.raises(TooManyRedirects, match="redirect number 1: "):
        session.get("/redirect/1", max_redirects=0)
    assert session.get("/get").ok


def test_a_session_says_how_redirects_are_followed(app: AppServer, session: Session) -> None:
    """allow_redirects and max_redirects of a session are for requests that do not say."""
    with Session(app.url, allow_redirects=False) as staying:
        assert staying.get("/redirect/1").status == 302
        assert staying.get("/redirect/1", allow_redirects=True).status == 200
        assert staying.with_options(allow_redirects=True).get("/redirect/1").status == 200
    short = session.with_options(max_redirects=1)
    assert short.get("/redirect/1").ok
    with pytest.raises(TooManyRedirects):
        short.get("/redirect/2")
    assert short.get("/redirect/2", max_redirects=2).ok
    assert short.submit("GET", "/redirect/1").result(BOUND).ok
    with short.ws_connect("/echo") as socket:
        assert not socket.closed


def test_a_server_that_redirects_for_ever_is_left(raw_server: StartRawServer) -> None:
    """Without a limit of the caller's, the eleventh redirect is the last."""
    wire = raw_server(redirect_to("/again"))
    with Session() as session, pytest.raises(TooManyRedirects) as caught:
        session.get(wire.url)
    assert len(caught.value.history) == len(wire.requests) == 11


@pytest.mark.slow
def test_ten_thousand_redirects_are_all_in_the_history(raw_server: StartRawServer) -> None:
    """A limit that high is kept to the letter, too, and the session works on."""
    wire = raw_server(redirect_to("/again"))
    with Session() as session:
        with pytest.raises(TooManyRedirects) as caught:
            session.get(wire.url, max_redirects=9_999, timeout=None)
        assert len(caught.value.history) == 10_000
        with session.get(wire.url, allow_redirects=False) as response:
            assert response.status == 302


@pytest.mark.parametrize(
    ("status", "method", "expected", "body"),
    [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (307, "POST", "POST", "sent"),
        (308, "POST", "POST", "sent"),
        (301, "PUT", "PUT", "sent"),
        (302, "DELETE", "DELETE", "sent"),
    ],
)
def test_the_method_changes_as_browsers_change_it(
    session: Session, status: int, method: str, expected: str, body: str
) -> None:
    """301 to 303 turn POST into GET without a body; 307 and 308 send all of it again."""
    response = session.request(
        method, "/redirect-to", params={"url": "/anything", "status_code": status}, data="sent"
    )
    echo = response.json()
    assert (echo["method"], echo["text"]) == (expected, body)
    assert response.method == expected
    assert ("Content-Type" in dict(echo["headers"])) == (expected != "GET")


def test_secrets_are_dropped_on_the_way_to_another_origin(raw_server: StartRawServer) -> None:
    """Authorization and Cookie headers, auth= and cookies= are meant for the first origin only."""
    target = raw_server(echo_head)
    first = raw_server(redirect_to(f"{target.url}/landed"))
    with Session(auth=("ada", "pw"), cookies={"everywhere": "1"}) as session:
        session.get(first.url, headers={"Cookie": "raw=1"}).read()
        session.get(first.url, cookies={"mine": "1"}).read()
        session.get(first.url, headers={"Authorization": "Bearer token"}).read()
        session.get(first.url.replace("//", "//eve:secret@")).read()
    sent = [(r.header("Authorization"), r.header("Cookie")) for r in first.requests]
    assert all(authorization for authorization, _ in sent)
    assert "raw=1" in sent[0][1] and "mine=1" in sent[1][1]
    for request in target.requests:
        assert request.header("Authorization") == ""
        assert request.header("Cookie") == "everywhere=1"


def test_secrets_are_kept_within_an_origin(raw_server: StartRawServer) -> None:
    """A redirect to another path of the same server is still the same server."""
    basic = "Basic " + base64.b64encode(b"ada:pw").decode()

    def once(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="302 Found", headers=[("Location", "/landed")])
        echo_head(conn)

    wire = raw_server(once)
    with Session() as session:
        session.get(wire.url, auth=("ada", "pw"), cookies={"mine": "1"}).read()
    _, landed = wire.requests
    assert landed.target == "/landed"
    assert (landed.header("Authorization"), landed.header("Cookie")) == (basic, "mine=1")


def test_other_headers_go_along(raw_server: StartRawServer) -> None:
    """What is no secret follows the redirect, to another origin too."""
    target = raw_server(echo_head)
    first = raw_server(redirect_to(target.url))
    with Session(headers={"X-Session": "s"}) as session:
        session.get(first.url, headers={"X-Mine": "m"}, params={"only": "first"}).read()
    (landed,) = target.requests
    assert (landed.header("X-Session"), landed.header("X-Mine")) == ("s", "m")
    assert landed.target == "/"


def test_a_cookie_set_on_the_way_is_sent_further_on(app: AppServer) -> None:
    """Cookies of a redirect count for the next hop, and stay in the jar."""
    with Session(app.url, cookie_jar=syncclient.CookieJar(unsafe=True)) as session:
        response = session.get("/cookies/set?a=1&b=2")
        assert response.json() == {"cookies": {"a": "1", "b": "2"}}
        assert {c.key: c.value for c in session.cookie_jar} == {"a": "1", "b": "2"}
        assert response.history[0].cookies["a"].value == "1"
        assert session.get("/cookies/delete?a=").json() == {"cookies": {"b": "2"}}


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("ftp://eve:secret@127.0.0.1/x", syncclient.NonHttpUrlRedirectClientError),
        ("http://eve:secret@:80/", syncclient.InvalidUrlRedirectClientError),
        ("http://eve:secret@[bad/", syncclient.InvalidUrlRedirectClientError),
        ("http://eve:secret@host:port/", syncclient.InvalidUrlRedirectClientError),
    ],
)
def test_a_redirect_to_nowhere_is_an_error(
    raw_server: StartRawServer, location: str, error: type[syncclient.RedirectClientError]
) -> None:
    """It is a RedirectClientError that names where from and where to, and no credentials."""
    wire = raw_server(redirect_to(location))
    with Session() as session, pytest.raises(error) as caught:
        session.get(f"{wire.url}/start")
    assert f"GET {wire.url}/start while" in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.args}"


@pytest.mark.parametrize("location", ["ftp://host/x", "file:///etc/passwd", "about:blank", "tel:1"])
def test_a_redirect_to_another_scheme_says_so(raw_server: StartRawServer, location: str) -> None:
    """As the URL of a request does."""
    wire = raw_server(redirect_to(location))
    with Session() as session:
        with pytest.raises(
            syncclient.NonHttpUrlRedirectClientError, match="must be one of http, https: GET"
        ):
            session.get(wire.url)


def test_requote_redirect_url_false_follows_the_location_to_the_letter(
    raw_server: StartRawServer,
) -> None:
    """Some servers tell %41 from A; by default the Location is quoted anew."""
    wire = raw_server(redirect_to("/%41%2f?q=%41"))
    with Session() as session:
        with pytest.raises(TooManyRedirects):
            session.get(wire.url, max_redirects=1)
    with Session(requote_redirect_url=False) as session:
        with pytest.raises(TooManyRedirects):
            session.get(wire.url, max_redirects=1)
        assert not session.requote_redirect_url
    targets = [request.target for request in wire.requests if request.target != "/"]
    assert targets == ["/A%2F?q=A", "/%41%2f?q=%41"]
