"""Environments of their own for clients that cannot share ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_SECONDS = 300.0


class NotInstalled(Exception):
    """The environment could not be made; says why."""


def cache_folder() -> Path:
    """Return the folder in which environments are kept from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "syncclient-benchmarks"


def interpreter(requirements: Sequence[str], cache: Path | None = None) -> str:
    """Return the interpreter of an environment with ``requirements``, made with the first call.

    It is an environment of this very Python, so that the interpreters do not differ. Blocks for
    as long as the installing takes. Raises NotInstalled.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    folder = (cache or cache_folder()) / f"{'-'.join(requirements)}-{version}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    # Written last: without it the environment is half made.
    done = folder / "complete"
    if not done.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *requirements])
        done.touch()
    return str(python)


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as exc:
        said = (exc.stderr or exc.stdout).strip().splitlines() or [f"status {exc.returncode}"]
        raise NotInstalled(f"could not be installed: {said[-1]}") from None
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NotInstalled(f"could not be installed: {exc}") from None
