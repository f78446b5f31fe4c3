"""Progress of transfers, reported to a function or drawn as a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

#: Called with ``(bytes done, bytes in total or None)``, in the caller's thread.
ProgressHook = Callable[[int, int | None], object]

#: The ``with`` block of a transfer, which yields the function to call.
Reporting = AbstractContextManager[ProgressHook]


def reporting(
    progress: ProgressHook | bool | None, name: str, keyword: str = "progress"
) -> Reporting:
    """Return the block for ``progress``; True draws a bar on stderr.

    Raises:
        TypeError: ``progress`` is neither a function nor a bool.
        ImportError: ``progress`` is True, and rich is not installed.
    """
    if callable(progress):
        return nullcontext(progress)
    if progress is True:
        return _rich_bar(name, keyword)
    if progress is None or progress is False:
        return nullcontext(_ignore)
    raise TypeError(
        f"{keyword} must be a function, True, False or None, not {type(progress).__name__}"
    )


def _ignore(done: int, total: int | None) -> None: ...


def _rich_bar(name: str, keyword: str) -> Reporting:
    try:
        from rich import progress as rich
        from rich.console import Console
    except ImportError:
        raise ImportError(f"{keyword}=True needs rich: pip install rich") from None

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
    """Reports the progress of one request's body, in the thread that serves it."""

    def __init__(self, block: Reporting) -> None:
        self._block = block
        self._stack = ExitStack()
        self._hook: ProgressHook | None = None

    def __call__(self, sent: int, total: int | None) -> None:
        """Report; the first call draws the bar."""
        if self._hook is None:
            self._hook = self._stack.enter_context(self._block)
        self._hook(sent, total)

    def begin(self) -> None:
        """Do nothing: the first report begins."""

    def close(self, error: BaseException | None) -> None:
        """Remove the bar: the call is over."""
        self._stack.close()
