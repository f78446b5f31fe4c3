"""Celery tasks that call an API, in forked workers that share no connection.

python docs/examples/server.py                               # the API
celery --workdir docs/examples -A celery_tasks worker        # in another terminal
python docs/examples/celery_tasks.py                         # sends tasks, shows the results

The broker is a folder, so that no other server is needed; `FOLDER` names it.
"""

import os
import tempfile
from pathlib import Path

from celery import Celery, group
from celery.exceptions import SoftTimeLimitExceeded

import syncclient

folder = Path(os.environ.get("FOLDER", Path(tempfile.gettempdir()) / "celery-example"))
(folder / "control").mkdir(parents=True, exist_ok=True)

app = Celery("celery_tasks", broker="filesystem://", backend=folder.as_uri())
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.1,  # seconds
    },
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
)

# Imported by the worker before it forks its children; each of them connects for itself.
session = syncclient.Session(
    os.environ.get("UPSTREAM", "http://localhost:8080/"),
    timeout=10,
)


@app.task(
    # Short faults are the session's to retry; these wait longer, and hold no worker.
    autoretry_for=(syncclient.ClientConnectionError,),  # timeouts are among them
    retry_backoff=True,
    max_retries=5,
)
def name_of(number: int) -> str:
    with session.get(f"people/{number}", retry=syncclient.Retry()) as response:
        response.raise_for_status()
        name: str = response.json()["name"]
        return name


@app.task
def names_of(numbers: list[int]) -> list[str]:
    """One task for many requests, which are under way at the same time."""
    urls = [f"people/{number}" for number in numbers]
    with session.map(urls, concurrency=20, raise_for_status=True) as responses:
        return [response.json()["name"] for response in responses]


@app.task(soft_time_limit=1)
def patient(seconds: float) -> str:
    """The time limit reaches the code that waits, and withdraws its request."""
    try:
        with session.get(f"delay/{seconds}", timeout=None) as response:
            return str(response.status)
    except SoftTimeLimitExceeded:
        return "gave up"


def main() -> None:
    one_by_one = group(name_of.s(number) for number in (1, 2, 3)).apply_async()
    print(one_by_one.get(timeout=20, interval=0.05))
    print(names_of.delay([3, 2, 1]).get(timeout=20, interval=0.05))
    print(patient.delay(30).get(timeout=20, interval=0.05))


if __name__ == "__main__":
    main()
