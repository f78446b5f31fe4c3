"""The process in which one client is measured: ``python -m benchmarks.child NAME``.

Talks with the runner in lines of JSON: first a hello with the works the client can do, then one
answer for each turn it is asked to do, until its stdin ends. Standard library only, besides the
client's own module.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module, metadata
from typing import TextIO

from benchmarks.clients import CLIENTS, ClientSpec
from benchmarks.clients.base import Client, Job, OpenClient
from benchmarks.descriptors import raise_descriptor_limit


def open_client(spec: ClientSpec) -> Client:
    """Import the client's module and make the client.

    Raises ModuleNotFoundError if a library is not installed.
    """
    module = import_module(f"benchmarks.clients.{spec.module}")
    opener: OpenClient = module.open_client
    return opener(spec.loop)


def versions(spec: ClientSpec) -> dict[str, str]:
    found = {}
    for name in spec.distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # Importable all the same: a source tree on the path.
            found[name] = "source tree"
    return found


def cpu_seconds() -> float:
    """CPU time of this process, all its threads, and the children it has waited for."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def take_turn(client: Client, order: Mapping[str, object]) -> dict[str, object]:
    """Warm the work up, then do and time it once."""
    name, url = str(order["work"]), str(order["url"])
    doing = client.works()[name]
    warm, job = (Job(url, int(str(order[key]))) for key in ("warm", "count"))
    try:
        doing.run(warm)
        gc.collect()
        cpu, began = cpu_seconds(), time.perf_counter()
        done = doing.run(job)
        seconds, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    finally:
        doing.after()
    if done != job.count:
        raise ValueError(f"{done} of {job.count} units came back")
    return {"seconds": seconds, "cpu": cpu}


def serve(spec: ClientSpec, answers: TextIO) -> None:
    def say(message: Mapping[str, object]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        client = open_client(spec)
        works = {name: doing.how for name, doing in client.works().items()}
    except Exception as exc:
        # A missing submodule is no library that is not there, but a broken one.
        if isinstance(exc, ModuleNotFoundError) and "." not in (exc.name or "."):
            say({"skipped": f"{exc.name} is not installed"})
            return
        say({"failed": _told(exc)})
        return
    say({"works": works, "versions": versions(spec), "python": sys.version.split()[0]})
    try:
        for line in sys.stdin:
            try:
                say(take_turn(client, json.loads(line)))
            except Exception as exc:
                traceback.print_exc()
                say({"failed": _told(exc)})
    finally:
        client.close()


def _told(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"


def main() -> None:
    spec = next(spec for spec in CLIENTS if spec.name == sys.argv[1])
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    raise_descriptor_limit()
    # Windows sends Ctrl-C to every process of the console; the parent tells the user.
    with suppress(KeyboardInterrupt):
        serve(spec, answers)


if __name__ == "__main__":
    main()
