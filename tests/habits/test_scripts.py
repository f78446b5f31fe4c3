"""Ten small scripts as written from memory of requests: they work, or are told the cure."""

import concurrent.futures
import json
import re
from pathlib import Path
from typing import Any

import pytest

import syncclient
from syncclient.testing import mock

# What is written from habit is wrong for type checkers, too; the tests say so where it matters.
client: Any = syncclient


def test_login(site: str) -> None:
    """A form, a redirect that sets a cookie, a page for those who are in; and a wrong password."""
    session = client.Session()
    with session:
        page = session.post(f"{site}/login", data={"user": "ada", "password": "secret"})
        assert page.raise_for_status().json() == {"user": "ada"}
        assert str(page.url) == f"{site}/me"
        with pytest.raises(client.ClientResponseError) as caught:
            session.post(f"{site}/login", data={"user": "ada"}).raise_for_status()
    error = caught.value
    assert str(error).startswith('422 Unprocessable Content: {"detail": [{"loc": ["password"]')
    assert str(error).endswith(f"(POST {site}/login)")
    assert error.response.json()["detail"][0]["msg"] == "wrong password"
    assert error.response.status == error.status == 422


def test_a_token(site: str) -> None:
    """A bearer token as text, for a session or a request; the server sees who is asking."""
    with client.Session(auth=client.BearerAuth("t0k3n"), timeout=(3, 5), retry=3) as session:
        agent = session.get(f"{site}/token").raise_for_status().json()["agent"]
        assert agent.startswith(f"syncclient/{client.__version__} Python/")
        assert "aiohttp/" in agent
    assert client.get(f"{site}/token", auth=client.BearerAuth("t0k3n")).ok
    assert client.get(f"{site}/token", auth=client.BearerAuth(lambda: "t0k3n")).ok
    assert client.get(f"{site}/token", auth=client.BasicAuth("a", "b")).status == 401
    with pytest.raises(TypeError, match=r"BearerAuth\(token\)"):
        client.get(f"{site}/token", auth="t0k3n")


def test_pagination(site: str) -> None:
    """A key that every page wants, `links["next"]`, and JSON that is called text/plain."""
    found = []
    with client.Session(params={"key": "k"}) as session:
        url: Any = f"{site}/items"
        while url:
            response = session.get(url)
            answer = response.json()
            assert answer["key"] == "k"
            found += answer["items"]
            url = response.links.get("next", {}).get("url")
    assert found == [10, 11, 20, 21, 30, 31]
    with pytest.raises(TypeError, match=r"'page' is None: leave the name out"):
        client.get(f"{site}/items", params={"page": None})


def test_uploads(site: str, tmp_path: Path) -> None:
    """files= names data=, a tuple names add_field, and both then work."""
    report = tmp_path / "report.csv"
    report.write_text("a;b\n")
    with client.Session() as session, report.open("rb") as file:
        with pytest.raises(TypeError, match=r"files.*data=.*FormData"):
            session.post(f"{site}/upload", files={"report": file})
        for contents in (file, b"a;b\n"):
            with pytest.raises(TypeError, match=r"FormData\(\)\.add_field\('report'"):
                session.post(f"{site}/upload", data={"report": ("r.csv", contents, "text/csv")})
        seen = session.post(f"{site}/upload", data={"report": file, "note": "hello"}).json()
        assert seen["report"][::2] == ["report.csv", "a;b\n"] and seen["note"] == ["hello"]
        form = client.FormData()
        form.add_field("report", b"a;b\n", filename="r.csv", content_type="text/csv")
        seen = session.post(f"{site}/upload", data=form).json()
        assert seen == {"report": ["r.csv", "text/csv", "a;b\n"]}
        with pytest.raises(TypeError, match=r"json="):
            session.post(f"{site}/upload", data={"a": {"b": 1}})


def test_json_lines(site: str) -> None:
    """Lines of text from the response itself, from iter_lines(), and again once it was read."""
    with client.Session() as session:
        for lines in (
            session.get(f"{site}/log"),
            session.get(f"{site}/log").iter_lines(),
            client.get(f"{site}/log"),
        ):
            assert [json.loads(line)["n"] for line in lines] == [0, 1, 2]
        with session.get(f"{site}/log") as response:
            assert response.text().count("\u2028") == 0  # escaped by the server
            assert len(list(response)) == len(list(response.iter_lines())) == 3
        with pytest.raises(TypeError, match=r"decode_unicode.*nothing: lines are text"):
            response.iter_lines(decode_unicode=True)


def test_twenty_downloads(site: str, tmp_path: Path) -> None:
    """Threads share a session; map needs none, and its error says how to go on without it."""

    def save(n: int) -> int:
        with session.get(f"{site}/files/{n}") as response:
            response.raise_for_status()
            (tmp_path / str(n)).write_bytes(response.read())
            assert response.elapsed.total_seconds() >= 0
        return n

    with client.Session() as session:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            numbers = [n for n in range(21) if n != 13]
            assert list(pool.map(save, numbers)) == numbers
        assert (tmp_path / "20").read_bytes() == b"\x14" * 1000
        with pytest.raises(TypeError, match=r"stream.*map"):
            session.get(f"{site}/files/1", stream=True)
        urls = [f"{site}/files/{n}" for n in range(21)]
        with pytest.raises(client.StatusError) as caught:
            list(session.map(urls, raise_for_status=True))
        notes = " ".join(getattr(caught.value, "__notes__", ["return_exceptions=True"]))
        assert "return_exceptions=True" in notes
        results = list(session.map(urls, raise_for_status=True, return_exceptions=True))
        assert [n for n, result in enumerate(results) if isinstance(result, Exception)] == [13]


def test_scraping(site: str) -> None:
    """Text by the charset of the page; requests' names of it are told ours."""
    response = client.get(f"{site}/page")
    assert re.findall("<title>(.*)</title>", response.text()) == ["Café"]
    assert response.content.read() == response.read()
    for name, cure in {
        "status_code": "status",
        "encoding": "get_encoding",
        "iter_content": "iter_chunked",
    }.items():
        with pytest.raises(AttributeError, match=f"here it is .*{cure}"):
            getattr(response, name)
    with pytest.raises(AttributeError, match=r"here it is text\(\)"):
        client.get(f"{site}/page").content.decode("latin-1")


def test_chat(site: str) -> None:
    """A WebSocket by its name here; recv() and send() of other libraries are told it."""
    with pytest.raises(AttributeError, match=r"create_connection.*Session\(\)\.ws_connect"):
        client.create_connection(f"{site}/chat")
    with client.Session() as session, session.ws_connect(f"{site}/chat") as socket:
        with pytest.raises(AttributeError, match=r"here it is send_str\(\)") as caught:
            socket.send("hello")
        assert "_send" not in str(caught.value) and caught.value.obj is None
        socket.send_str("hello")
        assert socket.receive_str() == "you said hello"
    with pytest.raises(TypeError, match=r"ping_interval.*heartbeat="):
        session.ws_connect(f"{site}/chat", ping_interval=20)


def test_events_of_a_language_model(site: str) -> None:
    """POST, and the events as they come; also of a one-shot, which has read them all."""
    asked = {"prompt": "to be or not"}
    with client.Session() as session:
        with session.post(f"{site}/v1/chat", json=asked) as response:
            streamed = [event.data for event in response.events()]
    assert [json.loads(data)["delta"] for data in streamed[:-1]] == asked["prompt"].split()
    assert streamed[-1] == "[DONE]"
    response = client.post(f"{site}/v1/chat", json=asked)
    assert [event.data for event in response.events()] == streamed
    assert [event.data for event in response.events()] == streamed
    with pytest.raises(TypeError, match=r"data=... or json=..."):
        client.post(f"{site}/v1/chat", asked)


def test_a_flask_view(site: str) -> None:
    """A session made once, for all requests that the application serves."""
    flask = pytest.importorskip("flask", reason="Flask does not run here")
    application = flask.Flask("habits")
    session = client.Session(f"{site}/", raise_for_status=True)

    @application.get("/user")  # type: ignore[untyped-decorator]  # Flask may be absent
    def user() -> Any:
        try:
            return session.get("me").json()
        except client.ClientResponseError as error:
            return {"upstream": error.status}, 502

    with session:
        asking = application.test_client()
        assert asking.get("/user").json == {"upstream": 401}
        session.post("login", data={"user": "ada", "password": "secret"})
        assert asking.get("/user").json == {"user": "ada"}


def test_mocked_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock of the library, and a method that a test replaces on its session."""
    with mock() as answers, client.Session() as session:
        answers.get("https://api.example/users", json=[{"id": 1}])
        assert session.get("https://api.example/users").json() == [{"id": 1}]
        monkeypatch.setattr(session, "get", lambda url: f"not {url}")
        assert session.get("x") == "not x"
        with pytest.raises(AttributeError, match=r"'proxies' to set; here it is"):
            session.proxies = {"http": "http://127.0.0.1:3128"}
