"""Stored responses in an SQLite file, which any number of threads and processes may use at once.

Every function opens the file, does one transaction, and closes it again. That takes a quarter of
a millisecond, and leaves nothing to be closed with a session, to be inherited over a fork, or to
be locked by a thread that was interrupted. SQLite sees to it that a transaction is done as a whole
or not at all, whenever its process ends. It does not wait for the disk: a power cut may cost the
file, which is then begun anew.

Blocks, so it is called on worker threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from multidict import CIMultiDict

from .rules import Stored, Variant

try:
    import sqlite3
except ImportError:  # some builds of Python come without it, and do for all else
    if not TYPE_CHECKING:
        sqlite3 = None

#: In the header of the file: whose it is, and which form of it.
_APPLICATION, _FORM = 0x53594E43, 1

#: Seconds to wait for other processes.
_PATIENCE = 5.0

#: Seconds after which a use is noted again: a write for each read would take too long.
_NOTED = 60.0

#: To which part of its limit a file that has reached it is cut down.
_CUT = 0.9

#: How many variants of one URL are looked at, the newest first.
_VARIANTS = 100

#: Of what is stored with a body: SQLite's own, and the head.
_OVERHEAD = 512

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS heads (
    id INTEGER PRIMARY KEY,
    owner BLOB NOT NULL,
    url TEXT NOT NULL,
    variant TEXT NOT NULL,
    head TEXT NOT NULL,
    received REAL NOT NULL,
    used REAL NOT NULL,
    size INTEGER NOT NULL,
    UNIQUE (url, owner, variant)
);
CREATE INDEX IF NOT EXISTS by_use ON heads (used);
CREATE INDEX IF NOT EXISTS by_arrival ON heads (received);
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS total (bytes INTEGER NOT NULL);
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT * FROM total);
CREATE TRIGGER IF NOT EXISTS stored AFTER INSERT ON heads BEGIN
    UPDATE total SET bytes = bytes + NEW.size;
END;
CREATE TRIGGER IF NOT EXISTS deleted AFTER DELETE ON heads BEGIN
    UPDATE total SET bytes = bytes - OLD.size;
    DELETE FROM bodies WHERE id = OLD.id;
END;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORM};
COMMIT;
"""

#: The calls that are under way in this process.
_running: set[object] = set()
#: Whether this process was forked while another thread was within SQLite: it has inherited
#: SQLite's own locks as they were then, and would wait for them forever.
_cut_off = False


def _after_fork_in_child() -> None:
    global _cut_off
    _cut_off = _cut_off or bool(_running)
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Found(NamedTuple):
    """A stored response."""

    id: int
    stored: Stored
    body: bytes


class CacheFile:
    """The file at ``path``, which holds up to ``max_size`` bytes for up to ``max_age`` seconds.

    Raises:
        ValueError: there is something else at ``path``.
        OSError: it cannot be made, or be written to.
    """

    def __init__(self, path: Path, max_size: int, max_age: float) -> None:
        if sqlite3 is None:
            raise RuntimeError("HTTPCache needs sqlite3, which this build of Python lacks")
        self._path = path
        self._max_size = max_size
        self._max_age = max_age
        path.parent.mkdir(parents=True, exist_ok=True)
        # The stored responses are private to the user.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._prepare()

    def _prepare(self) -> None:
        try:
            with self._open() as connection:
                application, form, tables = (
                    connection.execute(query).fetchone()[0]
                    for query in (
                        "PRAGMA application_id",
                        "PRAGMA user_version",
                        "SELECT count(*) FROM sqlite_schema",
                    )
                )
                if tables and application != _APPLICATION:
                    raise ValueError(f"{self._path} is a database of something else")
                if form not in (0, _FORM):
                    raise ValueError(f"{self._path} was made by another version: delete it")
                if (application, form) != (_APPLICATION, _FORM):
                    connection.executescript(_SCHEMA)
                connection.execute("SELECT bytes FROM total").fetchone()
        except sqlite3.OperationalError as exc:
            raise OSError(f"{self._path} cannot be used as a cache: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            raise ValueError(f"{self._path} is no cache, or a broken one: {exc}") from exc

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if _cut_off:
            raise RuntimeError(
                "this process was forked while SQLite was at work in another thread, "
                "and cannot use it"
            )
        me = object()
        _running.add(me)
        try:
            with contextlib.closing(
                sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
            ) as connection:
                yield connection
        finally:
            _running.discard(me)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def find(
        self,
        url: str,
        owners: Sequence[bytes],
        choose: Callable[[list[Stored]], int | None],
        now: float,
    ) -> Found | None:
        """Return a response stored for one of ``owners``; None where there is none to the purpose.

        Args:
            url: of the request.
            owners: whose responses are looked at.
            choose: returns the index of the one wanted.
            now: seconds since the epoch.
        """
        with self._open() as connection:
            marks = ", ".join("?" * len(owners))
            rows = connection.execute(
                "SELECT id, head, variant, used FROM heads "
                f"WHERE url = ? AND owner IN ({marks}) AND received > ? "
                "ORDER BY received DESC LIMIT ?",
                (url, *owners, now - self._max_age, _VARIANTS),
            ).fetchall()
            index = choose([_unpacked(head, variant) for _, head, variant, _ in rows])
            if index is None:
                return None
            number, head, variant, used = rows[index]
            body = connection.execute("SELECT body FROM bodies WHERE id = ?", (number,)).fetchone()
            if body is None:
                return None  # deleted in the meantime
            if now - used > _NOTED:
                connection.execute("UPDATE heads SET used = ? WHERE id = ?", (now, number))
            return Found(number, _unpacked(head, variant), body[0])

    def store(self, url: str, owner: bytes, stored: Stored, body: bytes) -> None:
        """Keep a response, in place of the one for the same owner, URL and variant."""
        head, now = _packed(stored), time.time()
        variant = json.dumps(stored.variant)
        size = len(body) + len(head) + len(variant) + len(url) + _OVERHEAD
        with self._writing() as connection:
            # Not INSERT OR REPLACE, which would skip the trigger for the replaced row.
            connection.execute(
                "DELETE FROM heads WHERE url = ? AND owner = ? AND variant = ?",
                (url, owner, variant),
            )
            if size > self._max_size:
                return
            number = connection.execute(
                "INSERT INTO heads (owner, url, variant, head, received, used, size) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (owner, url, variant, head, stored.received, now, size),
            ).lastrowid
            connection.execute("INSERT INTO bodies (id, body) VALUES (?, ?)", (number, body))
            self._cut_down(connection, stored.received)

    def _cut_down(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("DELETE FROM heads WHERE received <= ?", (now - self._max_age,))
        (held,) = connection.execute("SELECT bytes FROM total").fetchone()
        if held <= self._max_size:
            return
        left = held - int(self._max_size * _CUT)
        oldest = connection.execute("SELECT id, size FROM heads ORDER BY used, id")
        victims = []
        for number, size in oldest:
            if left <= 0:
                break
            victims.append((number,))
            left -= size
        connection.executemany("DELETE FROM heads WHERE id = ?", victims)

    def update(self, number: int, stored: Stored) -> None:
        """Replace the head of a stored response, if that is still there."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE heads SET head = ?, received = ?, used = ? WHERE id = ?",
                (_packed(stored), stored.received, time.time(), number),
            )

    def drop(self, number: int) -> None:
        """Forget one response."""
        with self._writing() as connection:
            connection.execute("DELETE FROM heads WHERE id = ?", (number,))

    def delete(self, urls: Sequence[str], partition: bytes) -> None:
        """Remove everything stored for ``urls`` in one partition, with any credentials."""
        with self._writing() as connection:
            connection.executemany(
                "DELETE FROM heads WHERE url = ? AND substr(owner, 1, ?) = ?",
                [(url, len(partition), partition) for url in urls],
            )

    def clear(self) -> None:
        """Forget everything, and give the space back."""
        with self._open() as connection:
            connection.execute("DELETE FROM heads")
            connection.execute("VACUUM")

    def measure(self) -> tuple[int, int]:
        """Return how many responses are stored, and how many bytes they take."""
        with self._open() as connection:
            (count,) = connection.execute("SELECT count(*) FROM heads").fetchone()
            (held,) = connection.execute("SELECT bytes FROM total").fetchone()
            return count, held


def _packed(stored: Stored) -> str:
    # Not the variant, which has a column of its own.
    return json.dumps([*stored[:3], list(stored.headers.items()), *stored[4:6]])


def _unpacked(head: str, variant: str) -> Stored:
    status, reason, version, headers, requested, received = json.loads(head)
    parts: Variant = tuple((name, value) for name, value in json.loads(variant))
    version = (version[0], version[1])
    return Stored(status, reason, version, CIMultiDict(headers), requested, received, parts)
