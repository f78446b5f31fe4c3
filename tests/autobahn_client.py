"""The client side of the Autobahn TestSuite, spoken through the public API.

    python -m tests.autobahn_client ws://127.0.0.1:9001 [agent]

The suite's fuzzing server is asked how many cases it has; each is then run by echoing every
message until the server closes, and at the end it is told to write its report.
"""

import sys
from urllib.parse import quote

import syncclient

# The largest messages of section 9 have 16 MiB.
MAX_MESSAGE = 32 * 1024 * 1024

# Bits of the window; the compression cases need the extension to be offered.
COMPRESS = 15


def case_count(session: syncclient.Session, url: str) -> int:
    """How many cases the server has."""
    with session.ws_connect(f"{url}/getCaseCount") as socket:
        return int(socket.receive_str(timeout=10))


def run_case(session: syncclient.Session, url: str, number: int, agent: str) -> None:
    """Echo all that the server sends in one case, then close."""
    case = f"{url}/runCase?case={number}&agent={quote(agent)}"
    with session.ws_connect(case, max_msg_size=MAX_MESSAGE, compress=COMPRESS) as socket:
        for message in socket:
            try:
                if message.type is syncclient.WSMsgType.TEXT:
                    socket.send_str(message.data)
                elif message.type is syncclient.WSMsgType.BINARY:
                    socket.send_bytes(message.data)
                else:
                    break  # an error: the server broke the rules, as many cases do
            except syncclient.ClientConnectionError:
                # The server closed behind the message that we have just received.
                break


def update_reports(session: syncclient.Session, url: str, agent: str) -> None:
    """Have the server write its report."""
    with session.ws_connect(f"{url}/updateReports?agent={quote(agent)}") as socket:
        for _ in socket:
            pass


def main(arguments: list[str]) -> int:
    """Run every case; return the exit status."""
    if not 1 <= len(arguments) <= 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    url = arguments[0].rstrip("/")
    agent = arguments[1] if len(arguments) > 1 else "syncclient"
    with syncclient.Session() as session:
        count = case_count(session, url)
        for number in range(1, count + 1):
            sys.stdout.write(f"\rcase {number} of {count}")
            sys.stdout.flush()
            run_case(session, url, number, agent)
        update_reports(session, url, agent)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
