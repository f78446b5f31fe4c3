"""Running the works: a process for each client, turns interleaved, everything counted.

A machine's speed drifts while a run lasts. So no client does all its rounds in a row: in every
round each client has one turn, in an order drawn anew, and ratios are taken within rounds.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.child_process import ChildError, ChildProcess
from benchmarks.clients import CLIENTS, ClientSpec
from benchmarks.environments import NotInstalled, interpreter
from benchmarks.gauges import Gauge, take
from benchmarks.results import Scoreboard, Series, Turn, WorkResult
from benchmarks.servers.launch import Server, start_server
from benchmarks.works import Work

HELLO_SECONDS = 60.0
TURN_SECONDS = 300.0


@dataclass(frozen=True)
class Plan:
    """What a run is asked to do."""

    works: Sequence[Work]
    clients: Sequence[ClientSpec] = CLIENTS
    gauges: Sequence[Gauge] = ()
    server: str = "raw"
    quick: bool = False
    rounds: int | None = None
    """Rounds of every work; None for each work's own number."""
    seed: int = 0

    def count(self, work: Work) -> int:
        return work.quick if self.quick else work.count

    def rounds_of(self, work: Work) -> int:
        return self.rounds or (3 if self.quick else work.rounds)


class MeasuredClient:
    """A client's process, kept from work to work; a new one is started after a failure."""

    def __init__(self, spec: ClientSpec) -> None:
        self.spec = spec
        self.works: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.absent: str | None = None
        self.broken = False
        self._child: ChildProcess | None = None
        self._start()

    def _start(self) -> None:
        python = sys.executable
        if self.spec.environment:
            try:
                python = interpreter(self.spec.environment)
            except NotInstalled as exc:
                self.absent = str(exc)
                return
        self._child = ChildProcess(
            self.spec.name, [python, "-m", "benchmarks.child", self.spec.name]
        )
        try:
            hello = self._child.receive(HELLO_SECONDS)
        except ChildError as exc:
            hello = {"failed": str(exc)}
        works, versions = hello.get("works"), hello.get("versions")
        if isinstance(works, dict) and isinstance(versions, dict):
            self.works, self.versions = works, versions
            return
        self.broken = "failed" in hello
        self.absent = str(hello.get("skipped") or hello.get("failed"))
        self.stop()

    def take_turn(self, work: Work, count: int, server: Server) -> Turn:
        """Have the client do the work once.

        Raises ChildError, after which the process is a new one.
        """
        if self._child is None:
            raise ChildError(self.absent or "stopped")
        server_before, began = server.cpu_seconds(), time.perf_counter()
        try:
            self._child.send(
                {
                    "work": work.name,
                    "url": server.url,
                    "count": count,
                    "warm": min(work.warm, count),
                }
            )
            answer = self._child.receive(TURN_SECONDS)
            if "failed" in answer:
                raise ChildError(str(answer["failed"]))
        except ChildError:
            self.stop()
            self._start()
            raise
        whole, server_after = time.perf_counter() - began, server.cpu_seconds()
        spent = (
            None if server_before is None or server_after is None else server_after - server_before
        )
        return Turn(float(str(answer["seconds"])), float(str(answer["cpu"])), whole, spent)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None


def run(plan: Plan, machine: dict[str, object], tell: Callable[[str], None]) -> Scoreboard:
    """Do what the plan says and return the results.

    ``tell`` receives a line of progress now and then.

    Raises ChildError if a server does not start; a client that fails is told in the results.
    """
    servers: list[Server] = []
    clients: list[MeasuredClient] = []
    try:
        servers.append(start_server(plan.server))
        if servers[0].works is not None:
            servers.append(start_server("raw"))
        for spec in plan.clients:
            clients.append(MeasuredClient(spec))  # noqa: PERF401  (a failure must find the earlier ones)
        board = Scoreboard(
            machine=machine,
            versions={
                client.spec.name: client.versions for client in clients if client.absent is None
            },
            absent={
                client.spec.name: client.absent for client in clients if client.absent is not None
            },
            broken=any(client.broken for client in clients),
            quick=plan.quick,
        )
        dice = random.Random(plan.seed)
        for work in plan.works:
            able = [client for client in clients if work.name in client.works]
            if able:
                server = next(
                    each for each in servers if each.works is None or work.name in each.works
                )
                for size in work.body_sizes(plan.count(work)):
                    server.prepare(size)
                tell(f"{work.name}: {plan.rounds_of(work)} rounds of {len(able)} clients")
                board.results.append(_run_work(plan, work, able, server, dice))
            else:
                tell(f"{work.name}: no client can do it")
        for client in clients:
            client.stop()
        for gauge in plan.gauges:
            tell(f"{gauge.name}: {gauge.title}")
            board.gauges.append(take(gauge, servers[-1].url, quick=plan.quick))
        return board
    finally:
        for client in clients:
            client.stop()
        for server in servers:
            server.stop()


def _run_work(
    plan: Plan, work: Work, clients: Sequence[MeasuredClient], server: Server, dice: random.Random
) -> WorkResult:
    count = plan.count(work)
    series = {
        client.spec.name: Series(client.spec.name, client.works[work.name], count)
        for client in clients
    }
    for _ in range(plan.rounds_of(work)):
        for client in dice.sample(clients, len(clients)):
            mine = series[client.spec.name]
            if mine.failure is not None:
                continue
            try:
                mine.turns.append(client.take_turn(work, count, server))
            except ChildError as exc:
                mine.failure = str(exc)
                mine.turns.clear()
    return WorkResult(work, count, server.software, list(series.values()))
