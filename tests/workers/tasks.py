"""Tasks that ask through a session at the module's level, used before any worker is forked."""

import os

import celery

import syncclient

session = syncclient.Session(os.environ["UPSTREAM"])
session.get("/json").raise_for_status()

folder = os.environ["BROKER_FOLDER"]
# Celery's broker in memory serves threads of one process; files serve forked workers, too.
app = celery.Celery("tests.workers.tasks", broker="filesystem://", backend=f"file://{folder}")
app.conf.broker_transport_options = {
    "data_folder_in": folder,
    "data_folder_out": folder,
    "control_folder": os.path.join(folder, "control"),
    "polling_interval": 0.05,
}
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = True


@app.task  # type: ignore[untyped-decorator]  # Celery ships no types
def ask(question: str) -> "tuple[int, str]":
    """Ask the upstream through the session; tell who did, and the answer."""
    with session.post("/anything", data=question) as response:
        return os.getpid(), response.json()["text"]
