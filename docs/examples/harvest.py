"""A harvest: every address of a Parquet file, on a Dask cluster, politely.

python docs/examples/harvest.py addresses.parquet harvest/ --workers 4

Stop it, or let it be killed, and run it again: it goes on where it stopped.
"""

import argparse
import functools
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from dask import dataframe as dd
from distributed import Client, LocalCluster, progress, wait
from protego import Protego

from syncclient import URL, ClientError, HTTPCache, RateLimit, Response, Retry, Session
from syncclient.dask import fetch

AGENT = "example-harvest"

#: What `record` returns.
COLUMNS = {"title": pa.string(), "length": pa.int64(), "attempts": pa.int32()}


def record(response: Response) -> Mapping[str, Any]:
    """What is kept of a page."""
    text = response.text(errors="replace")
    title = re.search("<title>(.*?)</title>", text, re.DOTALL)
    return {
        "title": title and title[1].strip(),
        "length": len(text),
        "attempts": len(response.attempts),
    }


@functools.lru_cache(10_000)
def rules(session: Session, origin: URL) -> Protego | None:
    """The robots.txt of a server; None where it cannot be had, and so nothing may be."""
    try:
        with session.get(origin / "robots.txt") as response:
            if response.status >= 500:
                return None
            return Protego.parse(response.text(errors="replace") if response.ok else "")
    except ClientError:
        return None


def allow(session: Session, url: str) -> bool:
    """Whether the server lets us ask for this (RFC 9309)."""
    robots = rules(session, URL(url).origin())
    return robots is not None and robots.can_fetch(url, AGENT)


def open_session(cache: str | None, per_host: int) -> Session:
    """The session that every task gets a copy of."""
    limit = RateLimit(None, 1.0, per_host=per_host)
    return Session(
        middlewares=[limit] if cache is None else [HTTPCache(cache), limit],
        retry=Retry(attempts=3, budget=100),
        timeout=30,
        max_body=2_000_000,
        headers={"User-Agent": AGENT},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("addresses", help="Parquet with a column url")
    parser.add_argument("into", help="a folder")
    parser.add_argument("--cache", help="a file on the worker's own disk")
    parser.add_argument("--per-host", type=int, default=5, help="requests a second; default: 5")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1000, help="written at a time; default: 1000")
    parser.add_argument("--dashboard", help="such as :8787; needs bokeh")
    options = parser.parse_args()
    with (
        LocalCluster(
            n_workers=options.workers,
            threads_per_worker=4,  # tasks at a time: each waits for its hosts
            processes=True,
            dashboard_address=options.dashboard,
        ) as cluster,
        Client(cluster) as client,
        open_session(options.cache, options.per_host) as session,
    ):
        futures = fetch(
            options.addresses,
            session,
            options.into,
            record=record,
            columns=COLUMNS,
            allow=allow,
            tasks=options.tasks,
            rows=options.rows,
            client=client,
        )
        progress(futures, notebook=False)
        wait(futures)
        print(f"\n{sum(client.gather(futures))} addresses")
        results = dd.read_parquet(f"{options.into}/results")
        print(results.status.value_counts(dropna=False).compute().to_string())


if __name__ == "__main__":
    main()
