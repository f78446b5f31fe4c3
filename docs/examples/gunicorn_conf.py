"""Settings of gunicorn for flask_app.py, which it imports once and then forks.

gunicorn -c docs/examples/gunicorn_conf.py flask_app:app
"""

import os
from pathlib import Path

chdir = str(Path(__file__).parent)
bind = os.environ.get("BIND", "localhost:8000")

preload_app = True
worker_class = "gthread"
workers = 2
threads = 8

# Seconds that a worker has, once told to stop, to answer what it has begun.
graceful_timeout = 15
