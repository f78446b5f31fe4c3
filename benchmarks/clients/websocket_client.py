"""websocket-client, with its defaults."""

from __future__ import annotations

from collections.abc import Mapping

import websocket

from benchmarks.clients.base import ECHO_TEXT, Client, Doing, Job, is_tick


class WebSocketClientClient:
    def __init__(self) -> None:
        self._ws: websocket.WebSocket | None = None

    def works(self) -> Mapping[str, Doing]:
        return {"ws-echo": Doing(self._echo, "send, recv"), "ws-burst": Doing(self._burst, "recv")}

    def _websocket(self, job: Job) -> websocket.WebSocket:
        if self._ws is None:
            self._ws = websocket.create_connection(job.websocket)
        return self._ws

    def _echo(self, job: Job) -> int:
        ws = self._websocket(job)
        done = 0
        for _ in range(job.count):
            ws.send(ECHO_TEXT)
            done += ws.recv() == ECHO_TEXT
        return done

    def _burst(self, job: Job) -> int:
        ws = self._websocket(job)
        ws.send(f"burst {job.count}")
        return sum(is_tick(ws.recv()) for _ in range(job.count))

    def close(self) -> None:
        if self._ws is not None:
            self._ws.close()


def open_client(loop: str | None) -> Client:
    return WebSocketClientClient()
