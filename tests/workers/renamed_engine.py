"""Use a session on an aiohttp in whose sources a private name has another one.

Arguments: the name, the URL of the test server, and what to do besides.
"""

import importlib.machinery
import io
import re
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType


class _Renaming(importlib.machinery.SourceFileLoader):
    """Loads a module of aiohttp with the name changed; without the cache of its code."""

    name_gone = ""

    def get_code(self, fullname: str) -> CodeType | None:
        """Compile the changed source; with no change, take the cached code."""
        source = self.get_data(self.path).decode()
        changed = re.sub(rf"\b{self.name_gone}\b", f"{self.name_gone}_renamed", source)
        if changed == source:
            return super().get_code(fullname)
        return compile(changed, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds aiohttp's modules, as the first of the finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "aiohttp":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Renaming(spec.loader.name, spec.loader.path)
        return spec


def rename(name: str) -> None:
    """Change the name in what is imported of aiohttp from now on."""
    _Renaming.name_gone = name
    sys.meta_path.insert(0, _Finder())


def main(name: str, url: str) -> None:
    """Get, stream, upload, redirect, and talk over a WebSocket."""
    rename(name)
    import syncclient

    with syncclient.Session(url) as session:
        assert session.get("/get").json()["method"] == "GET"
        with session.get("/bytes/3000000") as response:
            assert sum(map(len, response.content.iter_chunked(2**16))) == 3_000_000
        with session.get("/gzip") as response:
            assert response.text()
        form = syncclient.FormData()
        form.add_field("file", io.BytesIO(b"x" * 1000), filename="a.txt")
        assert session.post("/upload", data=form).json()["length"] > 1000
        assert session.post("/post", data={"a": "b"}).ok
        assert session.get("/redirect/2").ok
        whole_seconds = syncclient.ClientTimeout(total=60, ceil_threshold=1)
        assert session.get("/redirect/2", timeout=whole_seconds).ok  # by the engine's session
        with session.ws_connect("/echo") as socket:
            socket.send_str("hello")
            assert socket.receive_str(timeout=10) == "hello"
        session.get("/get").json()
    sys.stdout.write("worked\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
