"""What the door stands on: requests and urllib3, installed and new enough."""

from __future__ import annotations

from importlib.metadata import version

try:
    import requests as requests
    import urllib3 as urllib3
except ImportError as exc:
    raise ImportError("syncclient.requests needs requests: pip install requests") from exc

#: The lowest versions, as the extra in pyproject.toml has them. requests 2.32.4 is the first
#: whose adapters choose connections by TLS settings and keep .netrc secrets to their host;
#: urllib3 2.6 the first whose decoders have a limit.
REQUESTS, URLLIB3 = (2, 32, 4), (2, 6)


def _numbers(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(".")[:3]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def refuse_old(name: str, installed: str, lowest: tuple[int, ...]) -> None:
    """Raise ImportError if the ``installed`` version of ``name`` is below ``lowest``."""
    if _numbers(installed) < lowest:
        wanted = ".".join(map(str, lowest))
        raise ImportError(
            f"syncclient.requests needs {name} {wanted} or newer, and {installed} is installed: "
            f"pip install --upgrade {name}"
        )


refuse_old("requests", version("requests"), REQUESTS)
refuse_old("urllib3", version("urllib3"), URLLIB3)
