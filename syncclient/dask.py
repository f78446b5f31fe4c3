"""Fetch millions of URLs on a Dask cluster: with Dask and pyarrow.

The work is divided by host. All URLs of a host are fetched by one task, so a ``RateLimit`` with
``per_host``, and whatever else a session counts, holds for the host on any number of workers.
When and where the tasks run is Dask's business.
"""

from __future__ import annotations

import copy
import posixpath
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import Response, Session

try:
    import fsspec
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from dask import dataframe as dd
    from distributed import Client, default_client
except ImportError as _missing:
    raise ImportError(
        f"syncclient.dask: {_missing}: pip install 'dask[dataframe]' distributed pyarrow"
    ) from _missing

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["fetch"]

#: What each row of the results begins with.
_OUTCOME = (("url", pa.string()), ("status", pa.int32()), ("error", pa.string()))


def fetch(
    addresses: dd.DataFrame | pd.DataFrame | str | PathLike[str],
    session: Session,
    into: str | PathLike[str],
    *,
    record: Callable[[Response], Mapping[str, Any]] | None = None,
    columns: Mapping[str, pa.DataType] | None = None,
    allow: Callable[[Session, str], bool] | None = None,
    column: str = "url",
    tasks: int = 256,
    rows: int = 1000,
    concurrency: int = 100,
    pause: float = 1.0,
    client: Client | None = None,
) -> list[Future[int]]:
    """GET every address once, and write the results as Parquet.

    Blocks until the addresses are divided, not until they are fetched: give the futures to
    ``distributed.progress`` or ``distributed.wait``. The result of each is its number of rows.
    Read them by ``dask.dataframe.read_parquet(f"{into}/results")``: ``url``, ``status``,
    ``error`` (null where there was a response), and the columns of ``record``.

    A failure is a row, never an error of the task. A worker that takes over from one that died
    continues after the rows that are written, so up to ``rows`` of each task are asked for
    twice. A call with the same ``into`` fetches the missing rows.

    Args:
        addresses: a dataframe, or a path of Parquet files.
        session: each task gets a copy. Not used here.
        into: a folder that all workers can reach, or a URL that fsspec knows.
        record: returns further columns from a response that was read. Called on the workers;
            its exception is the row's ``error``.
        columns: the names and types of what ``record`` returns.
        allow: returns whether a URL may be asked for, by the session given. Called on the
            workers; a URL it forbids has the error "not allowed".
        column: of the addresses in the dataframe.
        tasks: into how many parts the hosts are divided: some times the number of workers.
        rows: how many rows are written at a time.
        concurrency: requests in flight for each task.
        pause: seconds that a task waits before it takes over from another: the period of the
            session's RateLimit, which then holds across both.
        client: of the cluster; None is Dask's default client.
    """
    client = client or default_client()
    files, root = fsspec.url_to_fs(str(into))
    if not files.exists(f"{root}/divided"):
        _divide(addresses, column, tasks, str(into), client)
        files.touch(f"{root}/divided")
    schema = pa.schema([*_OUTCOME, *(columns or {}).items()])
    visit = _Visit(session, str(into), column, record, schema, allow, rows, concurrency, pause)
    found = (posixpath.basename(path) for path in files.ls(f"{root}/addresses", detail=False))
    parts = sorted(name for name in found if name.startswith("part="))
    keys = [f"fetch-{root}-{part}" for part in parts]
    futures: list[Future[int]] = client.map(visit, parts, key=keys)
    return futures


def _divide(
    addresses: dd.DataFrame | pd.DataFrame | str | PathLike[str],
    column: str,
    tasks: int,
    folder: str,
    client: Client,
) -> None:
    """Write the addresses anew, those of each part of the hosts together."""
    if isinstance(addresses, pd.DataFrame):
        addresses = dd.from_pandas(addresses, npartitions=1)
    elif not isinstance(addresses, dd.DataFrame):
        addresses = dd.read_parquet(str(addresses), columns=[column])
    frame = addresses[[column]].dropna()
    part = frame[column].map(lambda url: _part(url, tasks), meta=("part", "int64"))
    writing = frame.assign(part=part).to_parquet(
        f"{folder}/addresses", partition_on=["part"], write_index=False, compute=False
    )
    client.compute(writing).result()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _part(url: str, tasks: int) -> int:
    return zlib.crc32(_host(url).encode()) % tasks


@dataclass(frozen=True)
class _Visit:
    """Fetches a part of the hosts. Called on a worker, by several threads maybe."""

    session: Session
    folder: str
    column: str
    record: Callable[[Response], Mapping[str, Any]] | None
    schema: pa.Schema
    allow: Callable[[Session, str], bool] | None
    rows: int
    concurrency: int
    pause: float

    def __call__(self, part: str) -> int:
        """Fetch the missing rows of the part, and return the number of its rows."""
        files, root = fsspec.url_to_fs(self.folder)
        results = f"{root}/results/{part}"
        files.makedirs(results, exist_ok=True)
        if files.exists(f"{results}/_begun"):
            time.sleep(self.pause)
        files.touch(f"{results}/_begun")
        urls = self._addresses(f"{self.folder}/addresses/{part}")
        with copy.copy(self.session) as session:
            for start in range(0, len(urls), self.rows):
                path = f"{results}/{start:010}.parquet"
                if not files.exists(path):
                    outcomes = list(self._outcomes(session, urls[start : start + self.rows]))
                    # Whole or not at all, whenever this worker is killed.
                    with files.open(f"{results}/_writing", "wb") as file:
                        pq.write_table(pa.Table.from_pylist(outcomes, self.schema), file)
                    files.mv(f"{results}/_writing", path)
        return len(urls)

    def _addresses(self, folder: str) -> list[str]:
        """The URLs of a part, the hosts by turns: one that is slow or limited holds up no other."""
        urls = pd.read_parquet(folder, columns=[self.column])[self.column].drop_duplicates()
        urls = urls.sort_values()
        turns = urls.groupby(urls.map(_host)).cumcount()
        return [str(url) for url in urls.iloc[turns.argsort(kind="stable")]]

    def _outcomes(self, session: Session, urls: list[str]) -> Iterator[dict[str, Any]]:
        # Side by side: to know whether it may, it may have to ask the host.
        with ThreadPoolExecutor(min(self.concurrency, 32)) as pool:
            faults = list(pool.map(partial(self._fault, session), urls))
        judged = list(zip(urls, faults, strict=True))
        yield from ({"url": url, "error": fault} for url, fault in judged if fault is not None)
        asked = [{"url": url, "tag": url} for url, fault in judged if fault is None]
        options: dict[str, Any] = {"concurrency": self.concurrency, "ordered": False}
        with session.map(asked, return_exceptions=True, **options) as outcomes:
            yield from map(self._row, outcomes)

    def _fault(self, session: Session, url: str) -> str | None:
        """Why a URL is not asked for; None if it is."""
        try:
            return None if self.allow is None or self.allow(session, url) else "not allowed"
        except Exception as exc:
            return repr(exc)

    def _row(self, outcome: Response | Exception) -> dict[str, Any]:
        row: dict[str, Any] = {"url": getattr(outcome, "tag")}  # noqa: B009  -- errors have one too
        if isinstance(outcome, Exception):
            return {**row, "error": f"{type(outcome).__name__}: {outcome}"}
        row["status"] = outcome.status
        try:
            return {**row, **(self.record(outcome) if self.record is not None else {})}
        except Exception as exc:
            return {**row, "error": repr(exc)}
