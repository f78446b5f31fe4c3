"""A Django project in one file, with a session at the module's level, used before any fork."""

import os
import sys

import django.conf
import django.core.handlers.wsgi
import django.core.wsgi
import django.http
import django.urls

import syncclient

session = syncclient.Session(os.environ["UPSTREAM"])
session.get("/json").raise_for_status()


def ask(request: django.http.HttpRequest) -> django.http.HttpResponse:
    """Ask the upstream through the session, and tell who did."""
    with session.post("/anything", data=request.GET["q"]) as response:
        return django.http.JsonResponse({"pid": os.getpid(), "answer": response.json()["text"]})


urlpatterns = [django.urls.path("", ask)]

django.conf.settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="for a test")
app = django.core.wsgi.get_wsgi_application()

if __name__ == "__main__":
    import django.core.management

    django.core.management.execute_from_command_line(sys.argv)
