"""The libraries people have: vcrpy works as it is, aioresponses with a little help."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import aioresponses
import pytest
import vcr

import syncclient
from tests.servers.process import app_server

API = "http://api.test"


def exchanges(url: str) -> list[object]:
    """What a session gets in a few exchanges of different kinds."""
    with syncclient.Session(url) as session:
        got: list[object] = [session.get("get", params={"a": "1"}).json()["args"]]
        got.append(session.post("post", json={"k": "v"}).json()["json"])
        got.append(session.post("post", data={"f": "1"}).json()["form"])
        got.append(len(session.get("gzip").read()))
        redirected = session.get("relative-redirect/2")
        got.append((redirected.status, [past.status for past in redirected.history]))
        with session.get("bytes/100000") as response:
            got.append(sum(map(len, response.content.iter_chunked(1000))))
        got.append([response.status for response in session.map(["status/204", "status/404"])])
    return got


def test_vcrpy_records_and_replays(tmp_path: Path) -> None:
    """What vcrpy recorded it replays once the server is gone: JSON, forms, redirects, streams."""
    cassette = tmp_path / "cassette.yaml"
    with app_server() as server:
        with vcr.use_cassette(str(cassette)):
            recorded = exchanges(f"{server.url}/")
        url = server.url
    with vcr.use_cassette(str(cassette), record_mode="none") as played:
        assert exchanges(f"{url}/") == recorded
        assert played.all_played
        with syncclient.Session() as session:
            with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
                session.get(f"{url}/get?not=recorded")


def test_vcrpy_cannot_record_streamed_uploads(tmp_path: Path) -> None:
    """A body that is read as it is sent cannot be copied into a cassette: an error, at once."""
    with app_server() as server, vcr.use_cassette(str(tmp_path / "cassette.yaml")) as cassette:
        with syncclient.Session() as session:
            with pytest.raises(TypeError):
                session.post(f"{server.url}/post", data=io.BytesIO(b"contents"))
            assert session.post(f"{server.url}/post", data=b"contents").status == 200
    assert len(cassette) == 1


class Completed(aiohttp.ClientResponse):
    """The response class that aioresponses needs on aiohttp 3.14, whoever makes the request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


def test_aioresponses_with_a_response_class() -> None:
    """aioresponses answers a session of ours, given the class that aiohttp 3.14 makes it need."""
    asked = ("x", "y", "z", "unknown")
    with aioresponses.aioresponses() as mocked, syncclient.Session() as session:
        mocked.get(f"{API}/x", payload={"a": 1}, response_class=Completed)
        mocked.post(f"{API}/y", status=503, body=b"busy", response_class=Completed)
        mocked.get(f"{API}/z", exception=aiohttp.ServerDisconnectedError("gone"))
        assert session.get(f"{API}/x").json() == {"a": 1}
        response = session.post(f"{API}/y", data=b"body")
        assert (response.status, response.read()) == (503, b"busy")
        with pytest.raises(syncclient.ServerDisconnectedError):
            session.get(f"{API}/z")
        with pytest.raises(syncclient.ClientConnectionError, match="refused"):
            session.get(f"{API}/unknown")
        assert [str(url) for _, url in mocked.requests] == [f"{API}/{x}" for x in asked]
