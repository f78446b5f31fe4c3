"""PartialFile: the received part of a download, and the note next to it. Blocking."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
from io import FileIO
from pathlib import Path

from .._async.download_versions import Known, is_validator
from .._file_names import NOTE, PART, stem_of_part

if sys.platform != "win32":
    import fcntl

#: Bytes read at a time to compute a digest.
_BLOCK = 2**20
#: Maximum size of a note in bytes: an entity tag is as long as a header may be.
_NOTE_LIMIT = 2**18

#: Follow no link, and wait for no pipe.
_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class PartialFile:
    """``NAME.part`` next to the target, and ``NAME.part.json``, a note that identifies the version.

    The note is removed before the file is emptied, and written afterwards; otherwise the file is
    only appended to. So if the process is killed at any time, the file contains the first bytes
    of the version that the note names, or there is no valid note.

    Args:
        target: the path of the complete file.
        source: the resource. A part of another resource is useless, because entity tags and
            dates identify the versions of one resource only.
        replaces: whether to replace an existing file.

    Raises:
        FileExistsError: the target exists, and must not be replaced.
        BlockingIOError: another download to the target is running.
        OSError: the target exists and is not a file.
    """

    def __init__(self, target: Path, source: str = "", *, replaces: bool = True) -> None:
        self.target = target
        # A digest, because others may read the note, and the source may be secret.
        self._source = hashlib.blake2b(source.encode(), digest_size=16).hexdigest()
        self._replaces = replaces
        #: The owner of the file. A child forked during the download shares the descriptor, and
        #: with it the position and the lock.
        self._pid = os.getpid()
        self._check_target()
        stem = stem_of_part(target.name)
        self._path = target.with_name(f"{stem}{PART}")
        self._note = target.with_name(f"{stem}{NOTE}")
        #: Whether another download can continue from the part.
        self._keep = True
        self._file = self._open()
        #: The number of bytes in the part.
        self.offset = os.fstat(self._file.fileno()).st_size
        try:
            self._check_target()  # again: another download may have finished in the meantime
            self._take_mode()
        except BaseException:
            self.close()
            raise

    def _check_target(self) -> None:
        try:
            there = self.target.lstat()
            if self._replaces and stat.S_ISLNK(there.st_mode):
                there = self.target.stat()  # /dev/stdout is a link
        except (FileNotFoundError, NotADirectoryError):
            return
        if not self._replaces:
            raise self._taken()
        if stat.S_ISDIR(there.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(self.target))
        if not stat.S_ISREG(there.st_mode):
            raise OSError(
                errno.EINVAL,
                "is a device, pipe or socket, which a download would replace: "
                "read response.content instead",
                os.fspath(self.target),
            )

    def _taken(self) -> FileExistsError:
        return FileExistsError(
            errno.EEXIST,
            "the server chose the name of an existing file; "
            "to replace it, pass the path of the file instead of the directory",
            os.fspath(self.target),
        )

    def _open(self) -> FileIO:
        """Return the part, opened and locked."""
        mode = 0o600 if self._mode() is not None else 0o666
        for _ in range(100):
            file = _open_file(self._path, "r+", os.O_RDWR | os.O_CREAT, mode)
            try:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "is not a regular file", os.fspath(self._path))
                self._lock(file)
                if self._is_at_path(file):
                    if status.st_nlink == 1:
                        return file
                    # A hard link to another file, which must not be written to.
                    self._path.unlink()
            except BaseException:
                file.close()
                raise
            # Another download has finished, and we have opened its file.
            file.close()
        raise self._busy()

    def _lock(self, file: FileIO) -> None:
        if sys.platform == "win32":
            return  # one download cannot rename the file while another has it open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._busy() from None
        except OSError:
            pass  # a file system without locks

    def _is_at_path(self, file: FileIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.lstat())
        except FileNotFoundError:
            return False

    def _busy(self) -> BlockingIOError:
        return BlockingIOError(
            f"another download to {self.target} is running, and uses {self._path}"
        )

    # -- the bytes and the note -------------------------------------------------------

    def known(self) -> Known:
        """Return the state recorded in the file and its note; empty if they do not match."""
        try:
            note = json.loads(self._read_note())
            known = Known(self.offset, note["validator"], note["total"])
            if note.get("source", self._source) != self._source:
                return Known()
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return Known()
        if not is_validator(known.validator) or not isinstance(known.total, int | None):
            return Known()
        if known.total is not None and known.offset > known.total:
            return Known()
        return known

    def _read_note(self) -> bytes:
        with _open_file(self._note, "r", os.O_RDONLY) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("not a regular file")
            return file.read(_NOTE_LIMIT) or b""

    def restart(self, known: Known) -> None:
        """Empty the file, and write a note that it will be a part of ``known``."""
        self._note.unlink(missing_ok=True)
        self._file.seek(0)
        self._file.truncate()
        self.offset = 0
        self._keep = known.validator is not None
        if self._keep:
            note = {"validator": known.validator, "total": known.total, "source": self._source}
            # If the process is killed here, the note is not valid JSON, and is ignored.
            with _open_file(self._note, "w", os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                file.write(json.dumps(note).encode("ascii"))

    def append(self, data: bytes | memoryview) -> None:
        """Append ``data``. Raises OSError, with the name, on a full disk."""
        if self._pid != os.getpid():
            return
        try:
            self._file.seek(self.offset)
            view = memoryview(data)
            while view:
                written = self._file.write(view)
                self.offset += written
                view = view[written:]
        except OSError as exc:
            exc.filename = exc.filename or os.fspath(self._path)
            raise

    def update(self, digest: hashlib._Hash) -> None:
        """Feed ``digest`` with the whole file."""
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            digest.update(block)

    # -- the end ---------------------------------------------------------------------

    def finish(self) -> None:
        """Flush the file to the disk, and then rename it to its target.

        Raises FileExistsError if the target exists by now and must not be replaced: you may then
        set ``target`` to another path, and call this again.
        """
        if not self._file.closed:
            os.fsync(self._file.fileno())
            if not self._is_at_path(self._file):
                raise FileNotFoundError(
                    errno.ENOENT,
                    "was removed or replaced during the download",
                    os.fspath(self._path),
                )
            self._take_mode(whole=True)
            if sys.platform == "win32":
                self._file.close()
        if self._replaces:
            self._path.replace(self.target)
        else:
            try:
                _move(self._path, self.target)
            except FileExistsError:
                raise self._taken() from None
        self._keep = True
        if not os.path.lexists(self._path):  # otherwise the note belongs to another download
            self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the file and its note."""
        is_ours = self._is_at_path(self._file)
        if sys.platform == "win32":
            self._file.close()
        if is_ours:
            self._note.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Unlock the file for other downloads; remove it if none could continue from it."""
        if self._file.closed:
            return
        if self._pid == os.getpid():
            with contextlib.suppress(OSError):
                if not (self._keep and self.offset):
                    self.discard()
                if sys.platform != "win32":
                    # A child forked during the download has the file open too.
                    fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()

    # -- the mode --------------------------------------------------------------------

    def _mode(self) -> os.stat_result | None:
        """Return the status of the file that will be replaced; None if there is none."""
        try:
            status = self.target.lstat()
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _take_mode(self, *, whole: bool = False) -> None:
        """Set the owner and mode of the part to those of the file that it will replace.

        Until it is ``whole``, the owner may always write to it.
        """
        old = self._mode()
        if old is None or sys.platform == "win32":
            return
        descriptor = self._file.fileno()
        for owner in (old.st_uid, -1):
            with contextlib.suppress(OSError):
                os.fchown(descriptor, owner, old.st_gid)
                break
        mode = stat.S_IMODE(old.st_mode) & 0o777
        if os.fstat(descriptor).st_gid != old.st_gid:
            mode &= ~0o070  # meant for another group
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, mode if whole else mode | 0o600)


def _open_file(path: Path, mode: str, flags: int, permissions: int = 0o666) -> FileIO:
    """Open ``path``, unbuffered, without following a link or waiting for a pipe.

    The descriptor passes from ``os.open`` to the file within C: an interrupt between two
    lines of Python, or in an ``opener=``, would leave a descriptor that nothing closes.
    """
    descriptors = map(os.open, (path,), (flags | _CAREFUL,), (permissions,))
    try:
        return next(map(FileIO, descriptors, (mode,)))
    except IsADirectoryError as exc:
        # FileIO refuses a directory, and leaves its descriptor open; the error has its number.
        if not isinstance(exc.filename, int):
            raise
        os.close(exc.filename)
        raise IsADirectoryError(exc.errno, exc.strerror, os.fspath(path)) from None


def _move(path: Path, target: Path) -> None:
    """Rename ``path`` to ``target``; raises FileExistsError if ``target`` exists."""
    if sys.platform == "win32":
        path.rename(target)
        return
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # perhaps a file system without hard links
        # First claim the name with an empty file, which is then replaced.
        _open_file(target, "w", os.O_WRONLY | os.O_CREAT | os.O_EXCL).close()
        try:
            path.replace(target)
        except BaseException:
            target.unlink()
            raise
    else:
        path.unlink()
