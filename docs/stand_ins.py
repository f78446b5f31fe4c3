"""What the page about connections talks to: TLS, a Unix socket, a proxy, a DNS server.

Set up by an invisible block of that page. All of it is on this machine, with ports given by
the system, and ends with the block.
"""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme
from aiohttp import web
from dnslib import QTYPE, RR, A, DNSRecord  # type: ignore[import-untyped]  # no types
from dnslib.server import BaseResolver, DNSServer  # type: ignore[import-untyped]  # the same

from docs.examples.server import make_app
from tests.servers.proxies import http_proxy


@contextmanager
def stand_ins() -> Iterator[dict[str, str]]:
    """Give what is to stand in for the addresses on the page.

    Writes app.sock, and the files a company would hand out: ca.pem, client.pem, server.der.
    """
    with ExitStack() as stack:
        https, mutual = stack.enter_context(_servers())
        proxy = stack.enter_context(http_proxy(_folder("proxy")))
        dns = stack.enter_context(_dns_server())
        yield {
            "localhost:8443": f"localhost:{https}",
            "localhost:9443": f"localhost:{mutual}",
            "localhost:3128": f"127.0.0.1:{proxy.port}",
            "127.0.0.1:5353": f"127.0.0.1:{dns}",
        }


def _folder(name: str) -> Path:
    path = Path(name)
    path.mkdir()
    return path.absolute()


@contextmanager
def _servers() -> Iterator[tuple[int, int]]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path("ca.pem")
    ca.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path("client.pem")
    issued = ca.issue_cert("localhost", "127.0.0.1")
    plain = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(plain)
    pem = issued.cert_chain_pems[0].bytes().decode()
    Path("server.der").write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    strict = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(strict)
    ca.configure_trust(strict)
    strict.verify_mode = ssl.CERT_REQUIRED

    ports: list[int] = []
    ready = threading.Event()
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.UnixSite(runner, "app.sock").start()
        for context in (plain, strict):
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        ports.extend(address[1] for address in runner.addresses if isinstance(address, tuple))
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0], ports[1]
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)


class _Zone(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """Knows one name, and says that it is this machine."""

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply = request.reply()
        if request.q.qtype == QTYPE.A and str(request.q.qname) == "people.internal.":
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A("127.0.0.1"), ttl=60))
        return reply


@contextmanager
def _dns_server() -> Iterator[int]:
    server = DNSServer(_Zone(), address="127.0.0.1", port=0)
    server.start_thread()
    try:
        yield server.server.server_address[1]
    finally:
        server.stop()
        server.server.server_close()
        server.thread.join(10)
