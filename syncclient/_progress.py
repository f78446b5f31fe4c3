"""Progress of transfers, told to a function or drawn as a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

#: ``(bytes done, bytes in all or None)``; called in the caller's thread.
ProgressHook = Callable[[int, int | None], object]

#: The block of a transfer, which gives the function to tell.
Reporting = AbstractContextManager[ProgressHook]


def reporting(
    progress: ProgressHook | bool | None, name: str, keyword: str = "progress"
) -> Reporting:
    """Return what ``progress`` asks for, made ready; True is a bar on stderr.

    Raises:
        TypeError: it is neither a function nor a bool.
        ImportError: it is True, and rich is not installed.
    """
    if callable(progress):
        return nullcontext(progress)
    if progress is True:
        return _rich_bar(name, keyword)
    if progress is None or progress is False:
        return nullcontext(_tell_nobody)
    raise TypeError(
        f"{keyword} must be a function, True, False or None, not {type(progress).__name__}"
    )


def _tell_nobody(done: int, total: int | None) -> None: ...


def _rich_bar(name: str, keyword: str) -> Reporting:
    try:
        from rich import progress as rich
        from rich.console import Console
    except ImportError:
        raise ImportError(
            f"{keyword}=True needs rich: pip install 'syncclient[progress]'"
        ) from None

    @contextmanager
    def drawn() -> Iterator[ProgressHook]:
        with rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.DownloadColumn(),
            rich.TransferSpeedColumn(),
            rich.TimeRemainingColumn(),
            console=Console(stderr=True),
        ) as bar:
            task = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    return drawn()


class UploadReport:
    """What is told of one request's body, in the thread that serves it."""

    def __init__(self, block: Reporting) -> None:
        self._block = block
        self._stack = ExitStack()
        self._hook: ProgressHook | None = None

    def __call__(self, sent: int, total: int | None) -> None:
        """Tell; the first call draws the bar."""
        if self._hook is None:
            self._hook = self._stack.enter_context(self._block)
        self._hook(sent, total)

    def begin(self) -> None:
        """Nothing to do: the first call begins."""

    def close(self, error: BaseException | None) -> None:
        """Take the bar down: the call is over."""
        self._stack.close()
