"""A script: does what its first argument names, and prints the imports on the way.

A line for each: the thread, what was imported, and who wanted it; a string that is compiled and
run counts as well. Nothing but syncclient is imported first, so that nothing is here by chance.
"""

import atexit
import sys

SEEN: list[str] = []


def show() -> None:
    sys.stdout.write("".join(SEEN))
    sys.stdout.flush()


atexit.register(show)  # before syncclient registers its own, hence run after it

import syncclient  # noqa: E402

# isort: split
import asyncio  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import threading  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from types import FrameType  # noqa: E402
from typing import Any  # noqa: E402

WHERE: dict[str, str] = json.loads(sys.argv[2])
URL, TLS, RAW = WHERE["app"], WHERE["tls"], WHERE["raw"]


def hook(event: str, arguments: tuple[object, ...]) -> None:
    if not recording:
        return
    if event == "import":
        name = str(arguments[0])
    elif event == "exec" and getattr(arguments[0], "co_filename", "").startswith("<"):
        name = "(a string)"
    else:
        return
    frames: list[str] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(frames) < 6:
        code = frame.f_code
        if "importlib" not in code.co_filename:
            frames.append(f"{'/'.join(code.co_filename.split('/')[-2:])}:{frame.f_lineno}")
        frame = frame.f_back
    SEEN.append(f"{threading.current_thread().name} {name} {' < '.join(frames)}\n")


def failing(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as exc:
        str(exc), repr(exc)
    else:
        raise AssertionError("no error")


def plain() -> None:
    with syncclient.Session() as session:
        session.get(f"{URL}/get", params={"ä": "ö"}).json()
        session.post(f"{URL}/post", json={"a": 1}).text()
        session.post(f"{URL}/post", data={"ü": "ß"}).text()
        session.head(f"{URL}/get")
        session.get(f"{URL}/redirect/2", timeout=3).text()
        repr(session.get(f"{URL}/links").links)
        syncclient.get(f"{URL}/get")


def tls() -> None:
    with syncclient.Session() as session:
        session.get(f"{TLS}/get", ssl=False).read()
        failing(lambda: session.get(f"{TLS}/get"))
        failing(lambda: session.get(f"{TLS}/get", ssl=syncclient.Fingerprint(bytes(32))))
        failing(lambda: session.get(f"{URL.replace('http:', 'https:')}/get", ssl=False))
    with syncclient.Session(connector=syncclient.TCPConnector(ssl=False)) as session:
        session.get(f"{TLS}/get").read()


def uploads() -> None:
    form = syncclient.FormData()
    form.add_field("file", b"x", filename="ä.txt", content_type="text/plain")
    form.add_field("other", "text")
    with syncclient.Session() as session, open(__file__, "rb") as file:
        session.post(f"{URL}/post", data=form).read()
        session.post(f"{URL}/post", data=file).read()
        file.seek(0)
        session.post(f"{URL}/post", data={"f": file}).read()
        session.post(f"{URL}/post", data=(b"x" for _ in range(3))).read()
        session.post(f"{URL}/post", data=b"x", compress=True).read()
        session.post(f"{URL}/post", data=session.get(f"{URL}/get").content).read()
        with syncclient.BodyWriter() as body:
            future = session.submit("POST", f"{URL}/post", data=body)
            body.write(b"x")
        future.result().read()


def many() -> None:
    with syncclient.Session(timings=True) as session:
        future = session.submit("GET", f"{URL}/get")
        future.add_done_callback(lambda future: future.result())
        repr(future.result().timings)
        list(session.map([f"{URL}/get"] * 3))
        failing(lambda: list(session.map(["http://127.0.0.1:1/"])))


def errors() -> None:
    with syncclient.Session(trust_env=True, raise_for_status=True) as session:
        for status in (401, 404, 500):
            failing(partial(session.get, f"{URL}/status/{status}"))
        failing(lambda: session.get("http://127.0.0.1:1/"))
        failing(lambda: session.get("http://nowhere.invalid/"))
        failing(lambda: session.get("http://bücher.invalid/"))
        failing(lambda: session.get("http://a..b/"))
        failing(lambda: session.get("http://[bad/"))
        failing(lambda: session.get(f"{URL}/delay/9", timeout=0.05))
        failing(
            lambda: session.get(f"{URL}/delay/9", timeout=syncclient.ClientTimeout(sock_read=0.05))
        )
        failing(lambda: session.get(f"{RAW}/rubbish"))
        failing(lambda: session.get(f"{RAW}/short").read())
        failing(lambda: session.get(f"{RAW}/badchunk").read())
        failing(lambda: session.get(f"{RAW}/badgzip").read())
        failing(lambda: session.get(f"{URL}/redirect/5", max_redirects=2))
        with syncclient.timeout(0.05):
            failing(lambda: session.get(f"{URL}/delay/9"))
    failing(lambda: session.get(URL))


def bodies() -> None:
    with syncclient.Session() as session:
        for coding in ("gzip", "deflate", "brotli", "zstd"):
            session.get(f"{URL}/{coding}").read()
        for charset in (
            "utf-8",
            "latin-1",
            "shift_jis",
            "koi8-r",
            "utf-16",
            "gb2312",
            "windows-1252",
            "euc-kr",
            "big5",
        ):
            response = session.get(f"{RAW}/charset/{charset}")
            try:
                response.text(errors="replace")
            except LookupError:
                pass
        response = session.get(f"{RAW}/disposition")
        repr((response.content_disposition, response.charset, response.cookies))
        list(session.get(f"{URL}/get").content)
        response = session.get(f"{RAW}/stream")
        response.content.readline()
        response.read()


def proxies() -> None:
    with syncclient.Session() as session:
        session.get(f"{URL}/get", proxy=WHERE["socks"]).read()
        session.get(f"{URL}/get", proxy=WHERE["socks"].replace("5:", "5h:")).read()
        failing(lambda: session.get(f"{URL}/get", proxy="socks5://127.0.0.1:1"))
        session.get(f"{TLS}/get", proxy=WHERE["http"], ssl=False).read()
        session.get(f"{RAW}/charset/utf-8", proxy=WHERE["http"]).read()
        failing(lambda: session.get(f"{URL}/get", proxy="http://127.0.0.1:1"))


def environment() -> None:
    os.environ["http_proxy"] = WHERE["http"]
    os.environ["NETRC"] = WHERE["netrc"]
    with syncclient.Session(trust_env=True) as session:
        session.get(f"{RAW}/charset/utf-8").read()


def names() -> None:
    connector = syncclient.TCPConnector(
        resolver=syncclient.AsyncResolver(nameservers=["127.0.0.1"])
    )
    with syncclient.Session(connector=connector) as session:
        failing(lambda: session.get("http://nowhere.invalid/", timeout=0.2))
    with syncclient.Session(
        connector=syncclient.TCPConnector(resolver={"xn--bcher-kva.test": "127.0.0.1"})
    ) as session:
        session.get(URL.replace("127.0.0.1", "bücher.test") + "/get").read()
        session.get(URL.replace("127.0.0.1", "localhost") + "/get").read()


def sockets() -> None:
    with syncclient.Session() as session:
        with session.ws_connect(f"{URL}/echo", compress=15, heartbeat=20) as socket:
            socket.send_str("hello")
            socket.receive()
            socket.send_json({})
            socket.receive_json()
            socket.ping()
            failing(lambda: socket.receive(timeout=0.05))
        failing(lambda: session.ws_connect(f"{URL}/get"))
        with session.sse(f"{RAW}/events") as events:
            next(events)
        for socket in session.ws_connect_forever(f"{URL}/echo"):
            socket.close()
            break


def files() -> None:
    with syncclient.Session() as session:
        session.download(
            f"{URL}/range/200000", WHERE["folder"] + "/a", progress=lambda done, total: None
        )
        session.download(f"{URL}/range/200000", WHERE["folder"] + "/b", connections=2)
    jar = syncclient.CookieJar()
    jar.save(WHERE["folder"] + "/cookies")
    jar.load(WHERE["folder"] + "/cookies")


def middlewares() -> None:
    shipped: list[Any] = [
        syncclient.DigestAuthMiddleware("user", "pass"),
        syncclient.RequestLog(),
        syncclient.RateLimit(1000),
        lambda request, handler: handler(request),
    ]
    with syncclient.Session(middlewares=shipped, retry=syncclient.Retry()) as session:
        session.get(f"{URL}/digest-auth/auth/user/pass").read()


def unix() -> None:
    with syncclient.Session(connector=syncclient.UnixConnector("/nowhere")) as session:
        failing(lambda: session.get("http://localhost/"))


def awaited() -> None:
    async def main() -> None:
        async with syncclient.Session().aio as session:
            async with session.get(f"{URL}/get") as response:
                await response.json()
            await (await session.post(f"{URL}/post", data=b"x" * 10)).text()
            async with session.ws_connect(f"{URL}/echo") as socket:
                await socket.send_str("hello")
                await socket.receive()

    asyncio.run(main())


def children() -> None:
    with syncclient.Session() as session:
        session.get(f"{URL}/get").read()
        pid = os.fork()
        if pid == 0:
            session.get(f"{URL}/get").read()
            show()
            os._exit(0)
        os.waitpid(pid, 0)


def dropped() -> None:
    session = syncclient.Session()
    held = session.get(f"{RAW}/stream")
    held.content.readline()


HELD: list[object] = []


def left_open() -> None:
    session = syncclient.Session()
    held = session.get(f"{RAW}/stream")
    held.content.readline()
    future = session.submit("GET", f"{URL}/delay/30")
    HELD.extend((session, held, future, session.ws_connect(f"{URL}/echo")))


recording = False
if __name__ == "__main__":
    sys.addaudithook(hook)
    recording = True
    globals()[sys.argv[1]]()
