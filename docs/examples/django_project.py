"""A Django project in one file, whose views call an API through one session.

python docs/examples/server.py                               # the API
python docs/examples/django_project.py runserver 8000        # in another terminal
curl http://localhost:8000/people/1
curl http://localhost:8000/dashboard
"""

import asyncio
import os
import sys
from collections.abc import Callable

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import syncclient

# One for the process, made at import: it costs nothing until its first request, every
# thread may use it, and a forked worker goes on with connections of its own.
session = syncclient.Session(
    os.environ.get("UPSTREAM", "http://localhost:8080/"),
    timeout=10,
    retry=syncclient.Retry(),
)


def person(request: HttpRequest, number: int) -> HttpResponse:
    with session.get(f"people/{number}") as response:
        if response.status == 404:
            return JsonResponse({"error": "there is no such person"}, status=404)
        response.raise_for_status()
        return JsonResponse(response.json())


def dashboard(request: HttpRequest) -> HttpResponse:
    """Several requests at a time from this thread, and two seconds for all."""
    urls = ["people", "items/1", "items/2"]
    with syncclient.timeout(2), session.map(urls, raise_for_status=True) as responses:
        people, *items = [response.json() for response in responses]
    return JsonResponse({"people": len(people), "items": items})


def export(request: HttpRequest) -> FileResponse:
    """Hand a file on as it comes, whatever its size. Django closes it at the end."""
    response = session.get("file/1000000", raise_for_status=True)
    result = FileResponse(response.content, as_attachment=True, filename="export.bin")
    result["Content-Length"] = str(response.content_length)
    return result


async def both(request: HttpRequest) -> HttpResponse:
    """An asynchronous view on the same session."""

    async def name_of(number: int) -> str:
        async with session.aio.get(f"people/{number}", raise_for_status=True) as response:
            found: str = (await response.json())["name"]
            return found

    return JsonResponse({"names": await asyncio.gather(name_of(1), name_of(2))})


def slow(request: HttpRequest) -> HttpResponse:
    """More than the API can do in half a second: see `UpstreamErrors`."""
    with session.get("delay/30", timeout=0.5) as response:
        return JsonResponse(response.json())


class UpstreamErrors:
    """A Django middleware: what goes wrong behind us is a 502 or a 504, not a 500."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, syncclient.ServerTimeoutError):  # whatever it was that timed out
            return JsonResponse({"error": "the API took too long"}, status=504)
        if isinstance(error, syncclient.ClientError):
            return JsonResponse({"error": "the API is out of order"}, status=502)
        return None


urlpatterns = [
    path("people/<int:number>", person),
    path("dashboard", dashboard),
    path("export", export),
    path("both", both),
    path("slow", slow),
]

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=[f"{__name__}.UpstreamErrors"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for an example only",
)
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
