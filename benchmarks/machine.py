"""What the figures were measured on: without it they say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path


def describe() -> dict[str, object]:
    """Return the machine and its present load, the interpreter, the source's revision."""
    gil_enabled = getattr(sys, "_is_gil_enabled", None)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": _system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gil": True if gil_enabled is None else bool(gil_enabled()),
        "revision": _revision(),
        "load": load(),
    }


def load() -> float | None:
    """Return the last minute's load average, or None where the system keeps none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _system() -> str:
    # Without what follows the kernel's number, which is its builder's affair.
    kernel = platform.release().partition("-")[0]
    return " ".join(
        part
        for part in (platform.system(), kernel, platform.machine(), *platform.libc_ver())
        if part
    )


def _cpu_model() -> str:
    try:
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        ):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # Not Linux: the platform module knows a little.
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """Return the commit the tree stands on, "+" if changed since; None without git or a commit."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
