"""What a pool says of each host: in use, idle, waiting."""

import syncclient
from syncclient import Session, TCPConnector
from syncclient._async.connect.pool import HostSnapshot
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


def test_hosts_are_told_apart(app: AppServer, raw_server: StartRawServer) -> None:
    """Connections in use, idle ones and requests that wait are counted by host."""

    def stall(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "1")])
        conn.stall()

    server = raw_server(stall)
    with Session(connector=TCPConnector(limit_per_host=1)) as session:
        assert session.connector.snapshot().hosts == {}
        session.get(f"{app.url}/get").read()
        with session.get(server.url):
            waiting = session.submit("GET", server.url)
            held: dict[str, HostSnapshot] = {}
            while not any(host.waiting for host in held.values()):
                held = dict(session.connector.snapshot().hosts)
            one, other = (held[url.rstrip("/")] for url in (app.url, server.url))
            assert (one.in_use, one.idle, one.waiting) == (0, 1, 0)
            assert (other.in_use, other.idle, other.waiting) == (1, 0, 1)
            waiting.cancel()


def test_a_connection_that_is_being_opened_counts(app: AppServer) -> None:
    """A host is in use from the moment on that a connection to it is begun."""
    seen = []

    def connecting(session: Session, context: object, params: object) -> None:
        seen.append(session.connector.snapshot())

    config = syncclient.TraceConfig()
    config.on_connection_create_start.append(connecting)  # type: ignore[arg-type]
    with Session(trace_configs=[config]) as session:
        session.get(f"{app.url}/get").read()
        (snapshot,) = seen
        assert snapshot.in_use == 1
        assert sum(host.in_use for host in session.connector.snapshot().hosts.values()) == 0
        assert sum(host.idle for host in session.connector.snapshot().hosts.values()) == 1
