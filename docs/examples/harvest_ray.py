"""A harvest: every address of a Parquet file, on a Ray cluster, politely.

python docs/examples/harvest_ray.py addresses.parquet harvest/

Stop it, or let it be killed, and run it again: it continues where it stopped.
"""

import argparse
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import ray
from protego import Protego

from syncclient import URL, RateLimit, Response, Retry, Session

AGENT = "example-harvest"
COLUMNS = {
    "url": "string",
    "status": "Int32",
    "error": "string",
    "title": "string",
    "attempts": "Int32",
}


def host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


# Ray runs a task again if its worker dies. A task waits most of the time, so four share a core.
@ray.remote(num_cpus=0.25, max_retries=-1)
def visit(session: Session, urls: list[str], folder: Path, rows: int) -> int:
    """Fetch what is missing of these addresses, and return how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / "_begun"
    if begun.exists():
        time.sleep(1.0)  # a worker that has died may have sent requests in this second
    begun.touch()
    files = {start: folder / f"{start:010}.parquet" for start in range(0, len(urls), rows)}
    missing = {start: file for start, file in files.items() if not file.exists()}
    with session:  # a copy: Ray has pickled it
        robots = rules(session, urls) if missing else {}
        for start, file in missing.items():
            outcomes = fetch(session, urls[start : start + rows], robots)
            half = folder / "_writing"
            pd.DataFrame(outcomes, columns=list(COLUMNS)).astype(COLUMNS).to_parquet(half)
            half.rename(file)  # whole or not at all, whenever this worker is killed
    return len(urls)


def origin(url: str) -> URL | None:
    try:
        return URL(url).origin()
    except ValueError:
        return None


def rules(session: Session, urls: list[str]) -> dict[URL, Protego]:
    """Return the robots.txt of each server. Servers that fail are left out."""
    origins = {found for url in urls if (found := origin(url)) is not None}
    asked = [{"url": each / "robots.txt", "tag": each} for each in origins]
    robots = {}
    with session.map(asked, return_exceptions=True, ordered=False) as outcomes:
        for response in outcomes:
            if isinstance(response, Response) and response.status < 500:
                text = response.text(errors="replace") if response.ok else ""
                robots[response.tag] = Protego.parse(text)
    return robots


def fetch(
    session: Session, urls: list[str], robots: dict[URL, Protego]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each address. A failure is a row, too."""
    allowed = []
    for url in urls:
        found = origin(url)
        if found is None:
            yield {"url": url, "error": "not a URL"}
        elif found in robots and robots[found].can_fetch(url, AGENT):
            allowed.append({"url": url, "tag": url})
        else:
            yield {"url": url, "error": "not allowed"}
    with session.map(allowed, return_exceptions=True, ordered=False, concurrency=100) as outcomes:
        for outcome in outcomes:
            row = {"url": getattr(outcome, "tag")}  # noqa: B009  -- errors have one too
            if isinstance(outcome, Response):
                row.update(status=outcome.status, title=title(outcome))
                yield {**row, "attempts": len(outcome.attempts)}
            else:
                yield {**row, "error": repr(outcome)}


def title(response: Response) -> str | None:
    _, found, rest = response.text(errors="replace").partition("<title>")
    return rest.partition("</title>")[0].strip() if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("addresses", help="Parquet with a column url")
    parser.add_argument("into", type=Path, help="a folder that all workers can reach")
    parser.add_argument("--per-host", type=int, default=5, help="requests a second; default: 5")
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1000, help="written at a time; default: 1000")
    options = parser.parse_args()
    frame = pd.read_parquet(options.addresses, columns=["url"]).dropna().drop_duplicates()
    frame = frame.sort_values("url")  # in each run the same files have the same addresses
    frame["host"] = frame.url.map(host)
    frame["task"] = frame.host.map(lambda name: zlib.crc32(name.encode()) % options.tasks)
    # The hosts of a task take turns: one that is slow or limited holds up no other.
    frame["turn"] = frame.groupby("host").cumcount()
    frame = frame.sort_values("turn", kind="stable")
    session = Session(
        middlewares=[RateLimit(None, 1.0, per_host=options.per_host)],
        retry=Retry(attempts=3, budget=100),
        timeout=30,
        max_body=2_000_000,
        headers={"User-Agent": AGENT},
    )
    ray.init()  # the cluster that RAY_ADDRESS names, or one on this machine
    results = options.into.absolute() / "results"
    running = [
        visit.remote(session, part.url.tolist(), results / f"part={number}", options.rows)
        for number, part in frame.groupby("task")
    ]
    session.close()
    total = 0
    while running:
        done, running = ray.wait(running)
        total += sum(ray.get(done))
        print(f"{total} addresses, {len(running)} tasks left", flush=True)
    print(pd.read_parquet(results).status.value_counts(dropna=False).to_string())


if __name__ == "__main__":
    main()
