"""HarRecorder: what was sent and received, as the developer tools of browsers read it."""

import base64
import json
import stat
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from syncclient import ClientError, HarRecorder, Retry, Session
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

#: What HAR 1.2 demands, with the types of it; browsers refuse a file without.
ENTRY = {"startedDateTime": str, "time": float, "request": dict, "response": dict, "cache": dict}
REQUEST = {
    "method": str,
    "url": str,
    "httpVersion": str,
    "cookies": list,
    "headers": list,
    "queryString": list,
    "headersSize": int,
    "bodySize": int,
}
RESPONSE = {
    "status": int,
    "statusText": str,
    "httpVersion": str,
    "cookies": list,
    "headers": list,
    "content": dict,
    "redirectURL": str,
    "headersSize": int,
    "bodySize": int,
}
TIMINGS = ("blocked", "dns", "connect", "ssl", "send", "wait", "receive")


def entries_of(har: HarRecorder, path: Path) -> list[dict[str, Any]]:
    """The entries of the file, each checked against HAR 1.2."""
    har.save(path)
    log = json.loads(path.read_text("utf-8"))["log"]
    assert log["version"] == "1.2"
    assert {"name", "version"} <= log["creator"].keys()
    for entry in log["entries"]:
        for part, fields in ((entry, ENTRY), (entry["request"], REQUEST)):
            assert {name: type(part[name]) for name in fields} == fields
        assert {name: type(entry["response"][name]) for name in RESPONSE} == RESPONSE
        assert {"size", "mimeType"} <= entry["response"]["content"].keys()
        assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
        timings = entry["timings"]
        assert set(timings) == set(TIMINGS)
        assert all(value == -1 or value >= 0 for value in timings.values())
        assert entry["time"] == pytest.approx(sum(v for v in timings.values() if v > 0))
        for part in (entry["request"], entry["response"]):
            for pair in (*part["headers"], *part["cookies"]):
                assert {"name", "value"} <= pair.keys()
    entries: list[dict[str, Any]] = log["entries"]
    return entries


def test_a_request_and_its_response(app: AppServer, tmp_path: Path) -> None:
    """Method, URL, headers and bodies are there, and the time that each phase took."""
    har = HarRecorder()
    with Session(trace_configs=[har]) as session:
        session.post(f"{app.url}/anything", params={"q": "1"}, json={"a": 1}).read()
        session.get(f"{app.url}/bytes/100").read()
    one, other = entries_of(har, tmp_path / "a.har")
    request, response = one["request"], one["response"]
    assert (request["method"], request["url"]) == ("POST", f"{app.url}/anything?q=1")
    assert request["queryString"] == [{"name": "q", "value": "1"}]
    assert request["postData"] == {"mimeType": "application/json", "text": '{"a": 1}'}
    assert (response["status"], response["statusText"]) == (200, "OK")
    assert json.loads(response["content"]["text"])["json"] == {"a": 1}
    assert one["timings"]["connect"] > 0
    assert one["timings"]["wait"] > 0
    assert other["timings"]["connect"] == -1  # kept alive
    content = other["response"]["content"]
    assert content["size"] == 100
    text = content["text"]
    assert len(base64.b64decode(text) if content.get("encoding") else text.encode()) == 100


def test_redirects_and_failures(app: AppServer, raw_server: StartRawServer, tmp_path: Path) -> None:
    """Each hop and each attempt has its entry, the failed ones with the name of the error."""

    def gone(conn: RawConnection) -> None:
        conn.read_request()

    har = HarRecorder()
    with Session(trace_configs=[har], retry=Retry(attempts=2, backoff=0)) as session:
        session.get(f"{app.url}/redirect/2").read()
        with pytest.raises(ClientError):
            session.get(raw_server(gone).url)
    entries = entries_of(har, tmp_path / "a.har")
    statuses = [entry["response"]["status"] for entry in entries]
    assert statuses == [302, 302, 200, 0, 0]
    urls = [entry["request"]["url"] for entry in entries[:3]]
    assert urls[0] == f"{app.url}/redirect/2"
    assert len(set(urls)) == 3
    assert entries[0]["response"]["redirectURL"]
    assert entries[3]["response"]["_error"] == "ServerDisconnectedError"


@pytest.mark.parametrize("secrets", [False, True])
def test_secrets(raw_server: StartRawServer, tmp_path: Path, secrets: bool) -> None:
    """Passwords, tokens and cookies are recorded only if that is asked for."""

    def answer(conn: RawConnection) -> None:
        conn.read_request()
        headers = [("Set-Cookie", "sid=hunter2; Path=/"), ("Content-Type", "application/json")]
        headers.append(("Connection", "close"))  # the script is over
        conn.respond(b'{"access_token": "hunter2"}', headers=headers)

    har, url = HarRecorder(secrets=secrets), raw_server(answer).url
    with Session(trace_configs=[har], auth=("ada", "hunter2")) as session:
        for body in ({"json": {"user": {"password": "hunter2"}}}, {"data": {"secret": "hunter2"}}):
            options: dict[str, Any] = {
                "params": {"token": "hunter2"},
                "headers": {"X-Api-Key": "hunter2"},
                "cookies": {"c": "hunter2"},
                **body,
            }
            session.post(url, **options).read()
    path = tmp_path / "a.har"
    first, _ = entries_of(har, path)
    text = path.read_text("utf-8")
    authorization = base64.b64encode(b"ada:hunter2").decode()
    assert ("hunter2" in text, authorization in text) == (secrets, secrets)
    assert {cookie["name"] for cookie in first["request"]["cookies"]} == {"c"}
    assert {cookie["name"] for cookie in first["response"]["cookies"]} == {"sid"}
    if secrets and sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_bodies_are_left_out(app: AppServer, raw_server: StartRawServer, tmp_path: Path) -> None:
    """Long ones always, and all of them if so wished; their sizes stay. A stream has none."""

    def stream(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Transfer-Encoding", "chunked")])
        conn.stall()

    for har in (HarRecorder(max_body=10), HarRecorder(bodies=False)):
        with Session(trace_configs=[har]) as session:
            session.post(f"{app.url}/anything", data=b"x" * 100).read()
            session.get(raw_server(stream).url).close()
        one, streamed = entries_of(har, tmp_path / "a.har")
        assert one["request"]["bodySize"] == 100
        assert one["request"]["postData"]["text"] == ""
        assert "text" not in one["response"]["content"]
        assert one["response"]["content"]["size"] > 100
        assert streamed["response"]["content"]["comment"] == "not read whole"


def test_old_entries_are_dropped(app: AppServer) -> None:
    """No more are kept than max_entries says; clear() drops all."""
    har = HarRecorder(max_entries=3)
    with Session(trace_configs=[har]) as session:
        for response in session.map([f"{app.url}/get?n={n}" for n in range(5)], concurrency=1):
            response.read()
    urls = [entry["request"]["url"][-1] for entry in har.as_dict()["log"]["entries"]]
    assert urls == ["2", "3", "4"]
    har.clear()
    assert repr(har) == "<HarRecorder 0 entries>"


def test_wrong_arguments_are_told() -> None:
    """A limit is a number."""
    with pytest.raises((TypeError, ValueError), match="max_entries"):
        HarRecorder(max_entries=0)
