"""The tests that httpx's source distribution carries, run on our transports: `nox -s downstream`.

httpx2's own source distributions carry no tests. It is httpx's fork, so httpx's tests are run on
it, with the names changed. What fails on httpx2's own transport is left out: the two have grown
apart. The same goes for httpx, some of whose tests depend on what else is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

#: What has to do with clients and transports; the rest of their tests never comes near them.
FILES = ("client", "test_api.py", "test_config.py", "test_exceptions.py", "test_timeouts.py")

_HERE = Path(__file__).parent


def download(name: str, folder: Path) -> Path:
    """Download the source distribution of `name` from the registry, and unpack it."""
    command = ["download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *command, name], check=True)
    [archive] = folder.glob(f"{name}-*.tar.gz")
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
        else:
            tar.extractall(folder)
    return folder / archive.name.removesuffix(".tar.gz")


def renamed(source: Path, target: Path) -> None:
    """Copy httpx's tests, made into tests of httpx2."""
    for path in source.rglob("*"):
        there = target / path.relative_to(source)
        if path.is_dir():
            there.mkdir(parents=True, exist_ok=True)
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".py":
            shutil.copy(path, there)
        else:
            text = re.sub(r"\b(httpx|httpcore)\b", r"\g<1>2", path.read_text(encoding="utf-8"))
            there.write_text(text, encoding="utf-8")


def run(name: str, folder: Path) -> int:
    """Run the tests in `folder` on `name`'s own transport, and then on ours."""
    record = folder / "fails-on-its-own.txt"
    command = [sys.executable, "-m", "pytest", "-p", "door_plugin", "-p", "no:cacheprovider"]
    command += ["-q", "--timeout=60", "-p", "no:randomly", "--no-header", "-o", "addopts="]
    command += [f"tests/{each}" for each in FILES]
    search = os.pathsep.join([str(_HERE), str(_HERE.parents[1])])
    environment = {**os.environ, "PYTHONPATH": search, "DOOR": name}
    own = {**environment, "DOOR_RECORD": str(record)}
    sys.stderr.write(f"-- {name}, on its own transport\n")
    subprocess.run([*command, "--tb=no"], cwd=folder, env=own, check=False)
    sys.stderr.write(f"-- {name}, on ours\n")
    ours = {**environment, "DOOR_LEAVE_OUT": str(record)}
    return subprocess.run([*command, "-rfs"], cwd=folder, env=ours, check=False).returncode


def main(folder: Path) -> int:
    """Run all; the exit code is that of the first run that failed."""
    httpx = download("httpx", folder)
    failed = run("httpx", httpx)
    if sys.version_info >= (3, 11):  # which httpx2 asks for
        httpx2 = download("httpx2", folder)
        if not (httpx2 / "tests").is_dir():
            renamed(httpx / "tests", httpx2 / "tests")
            shutil.copy(httpx / "pyproject.toml", httpx2)  # pytest's settings
        failed = run("httpx2", httpx2) or failed
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
