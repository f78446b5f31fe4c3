"""No client at all: sockets and prepared bytes.

What is left is the server's and the kernel's share of every figure.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from benchmarks.clients.base import MIB, Client, Doing, Job, cold_start, on_threads
from benchmarks.works import CHUNK_BYTES


class Wire:
    """One connection and the least of HTTP/1.1: heads searched for their end and their length.

    Every method blocks without a limit; the measuring parent has one. Raises ConnectionError when
    the peer is gone.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self._host = parts.netloc.encode()
        self._sock = socket.create_connection((parts.hostname or "", parts.port or 80))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(CHUNK_BYTES)

    def request_bytes(self, url: str) -> bytes:
        return b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (urlsplit(url).path.encode(), self._host)

    def get_small(self, request: bytes) -> int:
        self._sock.sendall(request)
        return self._read_small()

    def get_big(self, url: str) -> int:
        self._sock.sendall(self.request_bytes(url))
        body, length = self._read_head()
        size = len(body)
        while size < length:
            received = self._sock.recv_into(self._buffer, min(CHUNK_BYTES, length - size))
            if not received:
                raise ConnectionError("the server closed early")
            size += received
        return size

    def post(self, job: Job) -> int:
        head = b"POST %s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._sock.sendall(head % (urlsplit(job.upload).path.encode(), self._host))
        for block in job.blocks():
            self._sock.sendall(b"%x\r\n%s\r\n" % (len(block), block))
        self._sock.sendall(b"0\r\n\r\n")
        return self._read_small()

    def _read_small(self) -> int:
        body, length = self._read_head()
        while len(body) < length:
            body += self._receive()
        return int(json.loads(body)["n"])

    def _read_head(self) -> tuple[bytes, int]:
        """Return what came of the body with the head, and the body's length."""
        data = self._receive()
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        return body, int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])

    def _receive(self) -> bytes:
        data = self._sock.recv(CHUNK_BYTES)
        if not data:
            raise ConnectionError("the server closed early")
        return data

    def close(self) -> None:
        self._sock.close()


class BareSocketClient:
    def __init__(self) -> None:
        # Each thread's own connection, under ``wire``.
        self._local = threading.local()

    def works(self) -> Mapping[str, Doing]:
        return {
            "get-1": Doing(
                lambda job: self._get_many(job.small, job.count), "sendall, recv, json.loads"
            ),
            "get-32": Doing(lambda job: on_threads(self._get_many, job), "32 sockets, 32 threads"),
            "oneshot": Doing(self._oneshot, "connect, sendall, recv, json.loads, close"),
            "download": Doing(self._download, "recv_into"),
            "upload": Doing(self._upload, "sendall"),
            "import": cold_start("import sys; pass"),
        }

    def _get_many(self, url: str, count: int) -> int:
        wire: Wire | None = getattr(self._local, "wire", None)
        if wire is None or wire.url != url:
            self._local.wire = wire = Wire(url)
        request = wire.request_bytes(url)
        return sum(wire.get_small(request) for _ in range(count))

    def _oneshot(self, job: Job) -> int:
        done = 0
        for _ in range(job.count):
            wire = Wire(job.url)
            done += wire.get_small(wire.request_bytes(job.small))
            wire.close()
        return done

    def _download(self, job: Job) -> int:
        wire = Wire(job.url)
        size = wire.get_big(job.megabytes)
        wire.close()
        return size // MIB

    def _upload(self, job: Job) -> int:
        wire = Wire(job.url)
        size = wire.post(job)
        wire.close()
        return size // MIB

    def close(self) -> None:
        """Leave the connections to the process's end: they belong to other threads."""


def open_client(loop: str | None) -> Client:
    return BareSocketClient()
