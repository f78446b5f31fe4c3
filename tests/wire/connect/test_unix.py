"""Unix sockets: by connector and by URL, beside TCP in one session, and what goes wrong."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import syncclient
from syncclient import Session, TCPConnector, UnixConnector
from tests.servers.process import AppServer, app_server
from tests.wire.connect.reading import status


def url_of(path: Path, target: str) -> str:
    return f"http+unix://{quote(str(path), safe='')}{target}"


def test_a_unix_connector(unix_app: tuple[AppServer, Path]) -> None:
    """Whatever host the URL names, the requests go to the socket, over one connection."""
    app, path = unix_app
    with Session("http://any.test", connector=UnixConnector(path)) as session:
        replies = [session.get("/get").json() for _ in range(3)]
        assert {reply["connection"] for reply in replies} == {1}
        assert dict(replies[0]["headers"])["Host"] == "any.test"
        assert session.connector.snapshot().open == 1
    app.wait_until(lambda stats: stats.connections_open == 0)


def test_a_unix_url(unix_app: tuple[AppServer, Path]) -> None:
    """A http+unix:// URL goes to the socket it names, and the query arrives with it."""
    _, path = unix_app
    with Session() as session:
        reply = session.get(url_of(path, "/get?a=1"), params={"b": "2"}).json()
        assert reply["target"] == "/get?a=1&b=2"
        assert dict(reply["headers"])["Host"] == "localhost"
        assert session.get(url_of(path, "/get")).json()["connection"] == reply["connection"]


def test_capital_letters_of_the_path() -> None:
    """The path keeps its capital letters, which the host of a URL does not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "App.SOCK"
        with app_server(unix=path), Session() as session:
            assert status(session.get(url_of(path, "/get"))) == 200


def test_a_redirect_over_the_socket(unix_app: tuple[AppServer, Path]) -> None:
    """A redirect within the server stays on the socket."""
    _, path = unix_app
    with Session() as session:
        response = session.get(url_of(path, "/relative-redirect/2"))
        assert status(response) == 200
        assert len(response.history) == 2


def test_sockets_are_pools_apart(app: AppServer, unix_app: tuple[AppServer, Path]) -> None:
    """One session serves TCP and several sockets, and never mistakes one for another."""
    _, path = unix_app
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other.sock"
        with app_server(unix=other) as second, Session() as session:
            for _ in range(2):
                session.get(url_of(path, "/get")).close()
                session.get(url_of(other, "/get")).close()
                session.get(f"{app.url}/get").close()
            assert session.connector.snapshot().open == 3
            assert second.stats().connections_opened == 1
            with pytest.raises(syncclient.ClientConnectorError):
                # localhost over TCP is not the socket, not even right after it.
                session.get("http://localhost:1/get")


def test_the_limit_holds_for_a_socket(unix_app: tuple[AppServer, Path]) -> None:
    """A socket named by URL has the limits of the session's connector."""
    app, path = unix_app
    with Session(connector=TCPConnector(limit=1)) as session:
        held = session.get(url_of(path, "/drip?duration=30&numbytes=3"))
        with pytest.raises(syncclient.ServerTimeoutError, match="the one connection is in use"):
            session.get(url_of(path, "/get"), timeout=0.2)
        held.close()
        app.wait_until(lambda stats: stats.connections_open == 0)


@pytest.mark.parametrize("how", ["connector", "url"])
def test_a_socket_that_is_not_there(how: str, missing: Path) -> None:
    """A path that does not exist is aiohttp's Unix connector error, and names the path."""
    connector = UnixConnector(missing) if how == "connector" else TCPConnector()
    url = "http://x/" if how == "connector" else url_of(missing, "/")
    with Session(connector=connector) as session:
        with pytest.raises(syncclient.ClientConnectorError, match="No such file") as caught:
            session.get(url)
        assert str(missing) in str(caught.value)
        assert session.connector.snapshot().open == 0


def test_a_file_that_is_no_socket(missing: Path) -> None:
    """A path that is no socket fails the same way."""
    missing.write_text("")
    with Session() as session, pytest.raises(syncclient.ClientConnectorError) as caught:
        session.get(url_of(missing, "/"))
    assert str(missing) in str(caught.value)


@pytest.fixture
def missing() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "no.sock"
