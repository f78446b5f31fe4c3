"""A chat over WebSocket: a server for all, and clients at the terminal.

python docs/examples/chat.py serve
python docs/examples/chat.py join ada        # in another terminal
python docs/examples/chat.py join grace      # and in a third

Lines that are typed go to all others. Ctrl-D leaves.
"""

import argparse
import json
import sys
import threading

from aiohttp import WSMsgType, web

import syncclient


def join(url: str, name: str) -> None:
    """Two threads share one WebSocket: this one sends, and the other receives."""
    with syncclient.Session() as session:
        with session.ws_connect(url, params={"name": name}, heartbeat=20) as socket:
            reader = threading.Thread(target=show, args=(socket,))
            reader.start()
            try:
                for line in sys.stdin:
                    socket.send_json({"text": line.rstrip("\n")})
            except syncclient.ClientConnectionError:
                print("[the server has gone]")
            except KeyboardInterrupt:
                pass
            # Says goodbye to the server, and ends the loop of the reader.
            socket.close()
            reader.join()


def show(socket: syncclient.WebSocket) -> None:
    for message in socket:
        if message.type is syncclient.WSMsgType.TEXT:
            said = message.json()
            print(f"{said['name']}: {said['text']}", flush=True)
    print("[the chat is over]", flush=True)


# The server is an ordinary one of aiohttp's.

MEMBERS = web.AppKey("members", dict[web.WebSocketResponse, str])


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    members = request.app[MEMBERS]
    members[socket] = name = request.query.get("name", "somebody")
    await tell(request.app, "*", f"{name} is here, {len(members)} in all")
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await tell(request.app, name, json.loads(message.data)["text"], but=socket)
    finally:
        del members[socket]
        await tell(request.app, "*", f"{name} has left")
    return socket


async def tell(
    app: web.Application, name: str, text: str, but: web.WebSocketResponse | None = None
) -> None:
    for member in [each for each in app[MEMBERS] if each is not but]:
        try:
            await member.send_json({"name": name, "text": text})
        except ConnectionError:
            pass  # on its way out


async def announce(app: web.Application) -> None:
    print("the chat is open", flush=True)


async def dismiss(app: web.Application) -> None:
    members = app[MEMBERS]
    for member in tuple(members):
        await member.close(code=syncclient.WSCloseCode.GOING_AWAY)


def make_server() -> web.Application:
    app = web.Application()
    app[MEMBERS] = {}
    app.router.add_get("/chat", talk)
    app.on_startup.append(announce)
    app.on_shutdown.append(dismiss)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="Chat over WebSocket.")
    parser.add_argument("--port", type=int, default=8081)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the server")
    commands.add_parser("join", help="take part").add_argument("name")
    given = parser.parse_args()
    if given.command == "serve":
        web.run_app(make_server(), host="127.0.0.1", port=given.port, print=None)
    else:
        join(f"ws://127.0.0.1:{given.port}/chat", given.name)


if __name__ == "__main__":
    main()
