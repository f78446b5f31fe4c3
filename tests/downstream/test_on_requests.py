"""What was built on requests, on our engine: real packages, through `syncclient.requests`.

Part of `nox -s downstream`, which installs them; one that is missing is skipped.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from syncclient import requests as ours
from syncclient.requests.adapters import HTTPAdapter
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, RawServer, StartRawServer

EVERY_SESSION = pytest.mark.parametrize(
    "make", [requests.Session, ours.Session], ids=["theirs", "ours"]
)


@pytest.fixture
def installed() -> Iterator[None]:
    """Sessions that are made meanwhile send through our engine."""
    with ours.install():
        yield


def _cacheable(conn: RawConnection) -> None:
    number = 0
    while True:
        conn.read_request()
        number += 1
        headers = [("Cache-Control", "max-age=100"), ("Date", _now())]
        conn.respond(b"number %d" % number, headers=headers)


def _now() -> str:
    from email.utils import formatdate

    return formatdate(usegmt=True)


@EVERY_SESSION
def test_responses(make: Any, installed: None, app: AppServer) -> None:
    """responses answers in the place of the network, and lets through what it is told to."""
    responses = pytest.importorskip("responses")
    with responses.RequestsMock() as mocked, make() as session:
        mocked.get("http://mocked.test/", json={"mocked": True})
        mocked.add_passthru(app.url)
        assert session.get("http://mocked.test/").json() == {"mocked": True}
        assert session.get(f"{app.url}/json").ok
        with pytest.raises(requests.ConnectionError):
            session.get("http://other.test/")
        assert len(mocked.calls) == 2


@EVERY_SESSION
def test_requests_mock(make: Any, installed: None) -> None:
    """requests-mock answers in the place of the adapters."""
    requests_mock = pytest.importorskip("requests_mock")
    with requests_mock.Mocker() as mocked, make() as session:
        mocked.post("http://mocked.test/", text="mocked", status_code=201)
        response = session.post("http://mocked.test/", json={"a": 1})
    assert (response.status_code, response.text) == (201, "mocked")
    assert mocked.last_request.json() == {"a": 1}


@EVERY_SESSION
def test_vcrpy(make: Any, installed: None, tmp_path: Path, raw_server: StartRawServer) -> None:
    """vcrpy records a request, and plays it back."""
    vcr = pytest.importorskip("vcr")
    server = raw_server(_cacheable)
    cassette = tmp_path / "cassette.yaml"
    for _ in range(2):
        with vcr.use_cassette(str(cassette)), make() as session:
            assert session.get(server.url).text == "number 1"
    assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore:datetime:DeprecationWarning")
def test_betamax(installed: None, tmp_path: Path, raw_server: StartRawServer) -> None:
    """Betamax records what our adapter receives, and plays it back."""
    betamax = pytest.importorskip("betamax")
    server = raw_server(_cacheable)
    for _ in range(2):
        session = ours.Session()
        with betamax.Betamax(session, cassette_library_dir=str(tmp_path)) as recorder:
            recorder.use_cassette("cassette")
            response = session.get(server.url)
            assert response.text == "number 1"
            assert response.headers["Cache-Control"] == "max-age=100"
    assert len(server.requests) == 1


def test_requests_cache(installed: None, raw_server: StartRawServer) -> None:
    """requests-cache keeps responses of our engine, whole."""
    requests_cache = pytest.importorskip("requests_cache")
    server = raw_server(_cacheable)
    with requests_cache.CachedSession(backend="memory") as session:
        first, second = session.get(server.url), session.get(server.url)
    assert type(session.get_adapter(server.url)) is HTTPAdapter
    assert (first.from_cache, second.from_cache) == (False, True)
    assert first.text == second.text == "number 1"


def test_cache_control(raw_server: StartRawServer) -> None:
    """CacheControl's adapter over ours caches what our engine receives."""
    adapter = pytest.importorskip("cachecontrol.adapter")

    class Both(adapter.CacheControlAdapter, HTTPAdapter):  # type: ignore[misc, name-defined]
        pass

    server = raw_server(_cacheable)
    with requests.Session() as session:
        session.mount("http://", Both())
        first = session.get(server.url)
        assert type(first.raw).__module__.startswith("syncclient.")
        assert first.text == "number 1"
        second = session.get(server.url)
    assert second.from_cache  # type: ignore[attr-defined]
    assert second.text == "number 1"


def test_toolbelt(installed: None, app: AppServer) -> None:
    """requests-toolbelt: streamed multipart, sessions with a base URL, addresses to come from."""
    toolbelt = pytest.importorskip("requests_toolbelt")
    sessions = pytest.importorskip("requests_toolbelt.sessions")
    with sessions.BaseUrlSession(base_url=f"{app.url}/") as session:
        seen: list[int] = []
        encoder = toolbelt.MultipartEncoder({"a": "b", "f": ("name", b"x" * 100_000, "text/x")})
        monitor = toolbelt.MultipartEncoderMonitor(encoder, lambda m: seen.append(m.bytes_read))
        response = session.post(
            "anything", data=monitor, headers={"Content-Type": monitor.content_type}
        )
        assert type(response) is not requests.Response
        assert response.json()["form"] == [["a", "b"]]
        assert seen[-1] == encoder.len
        session.mount("http://", toolbelt.SourceAddressAdapter("127.0.0.1"))
        assert session.get("json").ok
        dump = pytest.importorskip("requests_toolbelt.utils.dump")
        assert b"HTTP/1.1 200" in dump.dump_all(session.get("json"))


def test_oauthlib(installed: None, raw_server: StartRawServer) -> None:
    """requests-oauthlib signs, and fetches its tokens."""
    oauthlib = pytest.importorskip("requests_oauthlib")
    oauth2 = pytest.importorskip("oauthlib.oauth2")

    def provider(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            token = {"access_token": "secret", "token_type": "Bearer"}
            kind = [("Content-Type", "application/json")]
            answer = (
                token if request.target == "/token" else {"had": request.header("Authorization")}
            )
            conn.respond(json.dumps(answer).encode(), headers=kind)

    server = raw_server(provider)
    client = oauth2.BackendApplicationClient(client_id="me")
    with oauthlib.OAuth2Session(client=client) as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
            session.fetch_token(f"{server.url}/token", client_secret="x")
            assert session.get(f"{server.url}/me").json() == {"had": "Bearer secret"}
    signed = ours.get(server.url, auth=oauthlib.OAuth1("key", "secret"))
    assert signed.json()["had"].startswith("OAuth ")


def test_google_auth(installed: None, raw_server: StartRawServer) -> None:
    """google-auth's session refreshes its token after a 401, and sends the request again."""
    transport = pytest.importorskip("google.auth.transport.requests")
    credentials = pytest.importorskip("google.auth.credentials")

    class Renewed(credentials.Credentials):  # type: ignore[misc, name-defined]
        number = 0

        def refresh(self, request: Any) -> None:
            self.number += 1
            self.token = f"token {self.number}"

    def guarded(conn: RawConnection) -> None:
        while True:
            known = conn.read_request().header("Authorization")
            fine = known == "Bearer token 2"
            conn.respond(known.encode(), status="200 OK" if fine else "401 Who")

    server = raw_server(guarded)
    with transport.AuthorizedSession(Renewed()) as session:
        assert session.get(server.url).text == "Bearer token 2"
    plain = transport.Request(ours.Session())(server.url)
    assert plain.status == 401


@EVERY_SESSION
def test_opentelemetry(make: Any, installed: None, app: AppServer) -> None:
    """OpenTelemetry's instrumentation of requests makes a span of each request."""
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.requests")
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    spans = memory.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    instrumentor = instrumentation.RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        with make() as session:
            answer = session.get(f"{app.url}/anything")
    finally:
        instrumentor.uninstrument()
    [span] = spans.get_finished_spans()
    assert span.attributes["http.method"] == "GET"
    assert span.attributes["http.status_code"] == 200
    assert "traceparent" in {name.lower() for name, _ in answer.json()["headers"]}


def test_docker(installed: None, tmp_path: Path) -> None:
    """docker's client, which has adapters of its own, works beside what is installed."""
    docker = pytest.importorskip("docker")

    def daemon(conn: RawConnection) -> None:
        kind = [("Content-Type", "application/json")]
        while True:
            target = conn.read_request().target
            if target.endswith("/events"):
                conn.send_head(headers=[*kind, ("Transfer-Encoding", "chunked")])
                for number in range(3):
                    conn.send_chunk(b'{"number": %d}\n' % number)
                conn.send_chunk(b"")
            elif target.endswith("/version"):
                conn.respond(b'{"ApiVersion": "1.44", "Version": "scripted"}', headers=kind)
            else:
                conn.respond(b"[]", headers=kind)

    with _on_a_socket(daemon, tmp_path) as path:
        client = docker.DockerClient(base_url=f"unix://{path}", version="1.44")
        try:
            assert client.version()["Version"] == "scripted"
            assert client.containers.list() == []
            events = list(client.events(decode=True))
        finally:
            client.close()
    assert events == [{"number": number} for number in range(3)]


def test_docker_over_tcp(installed: None, raw_server: StartRawServer) -> None:
    """docker's client over TCP sends through our adapter, and finds what it looks for below raw."""
    docker = pytest.importorskip("docker")

    def daemon(conn: RawConnection) -> None:
        while True:
            target = conn.read_request().target
            conn.send_head(headers=[("Transfer-Encoding", "chunked")])
            if "/logs" in target:
                conn.send_chunk(b"\1\0\0\0\0\0\0\3abc")
                conn.send_chunk(b"\2\0\0\0\0\0\0\2de")
            elif "/events" in target:
                conn.send_chunk(b'{"number": 1}\n{"num')
                conn.send_chunk(b'ber": 2}\n')
            elif "/export" in target:
                conn.send_chunk(b"some tar")
            else:
                conn.send_chunk(b'{"Id": "abc", "Config": {"Tty": false}}')
            conn.send_chunk(b"")

    client = docker.DockerClient(
        base_url=raw_server(daemon).url.replace("http", "tcp"), version="1.44"
    )
    try:
        events = client.events(decode=True)
        assert list(events) == [{"number": 1}, {"number": 2}]
        assert type(events._response) is not requests.Response
        assert list(client.api.logs("abc", stream=True, follow=True)) == [b"abc", b"de"]
        assert b"".join(client.api.export("abc")) == b"some tar"
    finally:
        client.close()


class _on_a_socket:  # noqa: N801  # used as a function
    """A script at a Unix socket."""

    def __init__(self, script: Any, folder: Path) -> None:
        self._server = RawServer(script)
        self._path = os.path.join(str(folder), "d.sock")

    def __enter__(self) -> str:
        import socket
        import threading

        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen()
        self._pipes: list[socket.socket] = []

        def carry(source: socket.socket, sink: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        def accept() -> None:
            while True:
                try:
                    near, _ = self._listener.accept()
                except OSError:
                    return
                far = socket.create_connection((self._server.host, self._server.port))
                self._pipes += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return self._path

    def __exit__(self, *exc: object) -> None:
        import socket

        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._pipes:
            each.close()
        self._server.close()
