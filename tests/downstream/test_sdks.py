"""The openai and anthropic packages on our transports, against a server that speaks their wire."""

import asyncio
import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.raw import RawConnection, RawServer, StartRawServer

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
door = pytest.importorskip("syncclient.httpx2")

JSON = ("Content-Type", "application/json")


def completion(text: str = "hello") -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


def chunk(**delta: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }


def message(text: str = "hello") -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def reply(conn: RawConnection, value: object, status: str = "200 OK", *more: Any) -> None:
    conn.respond(json.dumps(value).encode(), status=status, headers=[JSON, *more])


def events(conn: RawConnection, lines: Iterable[str], *, whole: bool = True) -> None:
    """Send events in chunks, one for each; without the end of the body unless `whole`."""
    conn.send_head(
        headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
    )
    for line in lines:
        conn.send_chunk(line.encode())
    if whole:
        conn.send_chunk(b"")


def data(values: Iterable[object]) -> list[str]:
    return [*(f"data: {json.dumps(value)}\n\n" for value in values), "data: [DONE]\n\n"]


TOOL_CALL = [
    chunk(
        role="assistant",
        tool_calls=[
            {
                "index": 0,
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": ""},
            }
        ],
    ),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city": '}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '"Bonn"}'}}]),
]

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def keep_answering(*answers: Callable[[RawConnection], None]) -> Callable[[RawConnection], None]:
    """A script with one answer for each request, over as many connections as come."""
    left = list(answers)

    def script(conn: RawConnection) -> None:
        while left:
            conn.read_request()
            left.pop(0)(conn)
        conn.read_to_end()

    return script


class Way:
    """The SDKs' clients of one kind, on our client of that kind."""

    http: Any
    sdks: dict[str, Any]

    @classmethod
    def client(cls, sdk: str, wire: RawServer, **options: Any) -> Any:
        timeout = {"timeout": options["timeout"]} if "timeout" in options else {}
        http = cls.http(base_url=wire.url, **timeout)
        return cls.sdks[sdk](api_key="k", base_url=wire.url, http_client=http, **options)


class Blocking(Way):
    """The blocking clients; `run` returns what they return."""

    http = door.Client
    sdks = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}  # noqa: RUF012

    @staticmethod
    def run(function: Callable[[], Any], close: Any) -> Any:
        try:
            value = function()
            return list(value) if hasattr(value, "__next__") else value
        finally:
            close()


class Async(Way):
    """The asynchronous clients; `run` returns what is awaited of them."""

    http = door.AsyncClient
    sdks = {"openai": openai.AsyncOpenAI, "anthropic": anthropic.AsyncAnthropic}  # noqa: RUF012

    @staticmethod
    def run(function: Callable[[], Any], close: Any) -> Any:
        async def main() -> Any:
            try:
                value = await function()
                return [each async for each in value] if hasattr(value, "__anext__") else value
            finally:
                await close()

        return asyncio.run(main())


@pytest.fixture(params=[Blocking, Async], ids=["blocking", "async"])
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


def ask_openai(way: Any, wire: RawServer, *, stream: bool = False, **options: Any) -> Any:
    client = way.client("openai", wire, **options)
    return way.run(lambda: client.chat.completions.create(stream=stream, **ASK), client.close)


def ask_anthropic(way: Any, wire: RawServer, *, stream: bool = False, **options: Any) -> Any:
    client = way.client("anthropic", wire, **options)
    return way.run(lambda: client.messages.create(stream=stream, max_tokens=9, **ASK), client.close)


def test_openai_completion(way: Any, raw_server: StartRawServer) -> None:
    """A chat completion is asked for and parsed."""
    wire = raw_server(keep_answering(lambda conn: reply(conn, completion())))
    assert ask_openai(way, wire).choices[0].message.content == "hello"
    assert wire.requests[0].header("Authorization") == "Bearer k"
    assert json.loads(wire.requests[0].body)["model"] == "m"


def test_openai_stream(way: Any, raw_server: StartRawServer) -> None:
    """A streamed completion comes chunk by chunk."""
    chunks = [chunk(content=part) for part in ("he", "l", "lo")]
    wire = raw_server(keep_answering(lambda conn: events(conn, data(chunks))))
    got = ask_openai(way, wire, stream=True)
    assert "".join(each.choices[0].delta.content for each in got) == "hello"


def test_openai_tool_call(way: Any, raw_server: StartRawServer) -> None:
    """The arguments of a streamed tool call come in parts."""
    wire = raw_server(keep_answering(lambda conn: events(conn, data(TOOL_CALL))))
    got = ask_openai(way, wire, stream=True)
    arguments = "".join(each.choices[0].delta.tool_calls[0].function.arguments for each in got)
    assert json.loads(arguments) == {"city": "Bonn"}


def too_many(conn: RawConnection) -> None:
    error = {"error": {"message": "slow down", "type": "rate_limit_error"}}
    reply(conn, error, "429 Too Many Requests", ("Retry-After", "0.01"))


def broken(conn: RawConnection) -> None:
    error = {"error": {"message": "broken", "type": "api_error"}}
    reply(conn, error, "500 Internal Server Error", ("Retry-After", "0.01"))


def silent(conn: RawConnection) -> None:
    conn.read_to_end()


@pytest.mark.parametrize("first", [too_many, broken], ids=["429", "500"])
def test_openai_tries_again(way: Any, raw_server: StartRawServer, first: Any) -> None:
    """A 429 with Retry-After, and a 500, are asked again by the SDK."""
    wire = raw_server(keep_answering(first, lambda conn: reply(conn, completion())))
    assert ask_openai(way, wire).choices[0].message.content == "hello"
    assert len(wire.requests) == 2


def test_openai_gives_up(way: Any, raw_server: StartRawServer) -> None:
    """Without retries a 429 is the SDK's RateLimitError."""
    wire = raw_server(keep_answering(too_many))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        ask_openai(way, wire, max_retries=0)


def test_openai_cut_stream(way: Any, raw_server: StartRawServer) -> None:
    """A stream that is cut off raises the library's error out of the iteration."""
    httpx2 = pytest.importorskip("httpx2")

    def cut(conn: RawConnection) -> None:
        events(conn, data([chunk(content="he")])[:1], whole=False)
        conn.half_close()

    wire = raw_server(keep_answering(cut))
    with pytest.raises((httpx2.RemoteProtocolError, openai.APIConnectionError)):
        ask_openai(way, wire, stream=True)


def test_openai_timeout(way: Any, raw_server: StartRawServer) -> None:
    """A server that is silent is the SDK's APITimeoutError, after as many attempts as asked for."""
    wire = raw_server(silent)
    with pytest.raises(openai.APITimeoutError):
        ask_openai(way, wire, timeout=0.3, max_retries=0)


def test_openai_no_server(way: Any) -> None:
    """A server that is not there is the SDK's APIConnectionError, and no timeout."""

    class Nowhere:
        url = "http://127.0.0.1:1/"

    with pytest.raises(openai.APIConnectionError) as caught:
        ask_openai(way, Nowhere(), max_retries=0)  # type: ignore[arg-type]
    assert not isinstance(caught.value, openai.APITimeoutError)


def test_anthropic_message(way: Any, raw_server: StartRawServer) -> None:
    """A message is asked for and parsed."""
    wire = raw_server(keep_answering(lambda conn: reply(conn, message())))
    assert ask_anthropic(way, wire).content[0].text == "hello"
    assert wire.requests[0].header("Anthropic-Version")


def anthropic_events() -> list[str]:
    values: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message(), "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
            for text in ("he", "l", "lo")
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {value['type']}\ndata: {json.dumps(value)}\n\n" for value in values]


def test_anthropic_stream(way: Any, raw_server: StartRawServer) -> None:
    """A streamed message comes event by event."""
    wire = raw_server(keep_answering(lambda conn: events(conn, anthropic_events())))
    got = ask_anthropic(way, wire, stream=True)
    parts = [each.delta.text for each in got if each.type == "content_block_delta"]
    assert "".join(parts) == "hello"


def test_anthropic_tries_again(way: Any, raw_server: StartRawServer) -> None:
    """A 500, and then a 429, are asked again by the SDK."""
    wire = raw_server(keep_answering(broken, too_many, lambda conn: reply(conn, message())))
    assert ask_anthropic(way, wire).content[0].text == "hello"
    assert len(wire.requests) == 3


def test_anthropic_timeout(way: Any, raw_server: StartRawServer) -> None:
    """A server that is silent is the SDK's APITimeoutError."""
    wire = raw_server(silent)
    with pytest.raises(anthropic.APITimeoutError):
        ask_anthropic(way, wire, timeout=0.3, max_retries=0)


# -- mocks of others -------------------------------------------------------------------


def test_respx_mocks(raw_server: StartRawServer) -> None:
    """respx answers for a client of ours, blocking or not, and lets through what it is told to."""
    respx = pytest.importorskip("respx")
    ours = pytest.importorskip("syncclient.httpx")

    def real(conn: RawConnection) -> None:
        conn.read_request()
        reply(conn, {"real": True})

    async def awaited() -> int:
        async with ours.AsyncClient() as client:
            status: int = (await client.get("http://host.test/")).status_code
            return status

    with ours.Client() as client:
        with respx.mock as router:
            router.get("http://host.test/").respond(204)
            router.route(host="127.0.0.1").pass_through()
            assert client.get("http://host.test/").status_code == 204
            assert asyncio.run(awaited()) == 204
            assert router.calls.call_count == 2
            assert client.get(raw_server(real).url).json() == {"real": True}
        called = router.calls.call_count
        assert client.get(raw_server(real).url).json() == {"real": True}
        assert router.calls.call_count == called


def test_pytest_httpx_mocks(request: pytest.FixtureRequest) -> None:
    """pytest-httpx answers for a client of ours."""
    pytest.importorskip("pytest_httpx")
    httpx = pytest.importorskip("httpx")
    ours = pytest.importorskip("syncclient.httpx")
    mock = request.getfixturevalue("httpx_mock")
    mock.add_response(url="http://host.test/", status_code=204)
    mock.add_exception(httpx.ReadTimeout("slow"), url="http://slow.test/")
    with ours.Client() as client:
        assert client.get("http://host.test/").status_code == 204
        with pytest.raises(httpx.ReadTimeout):
            client.get("http://slow.test/")


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_vcrpy_records(name: str, raw_server: StartRawServer, tmp_path: Path) -> None:
    """vcrpy records a request of a client of ours, and plays it back."""
    vcr = pytest.importorskip("vcr")
    pytest.importorskip(name)
    ours = importlib.import_module(f"syncclient.{name}")
    wire = raw_server(keep_answering(lambda conn: reply(conn, {"recorded": True})))
    for _ in range(2):
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")), ours.Client() as client:
            assert client.get(wire.url).json() == {"recorded": True}
    assert len(wire.requests) == 1
