"""gunicorn: threads, because a release waits for the log and then streams, and both are waiting."""

import os

# The container's own networks; Caddy alone can reach it.
bind = "0.0.0.0:8000"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "16"))
preload_app = False  # Each worker opens its own database connections and threads.

# gthread's timeout watches the worker's loop, not a request: a long download does not end it.
timeout = 60
graceful_timeout = 50
keepalive = 75

# Workers are renewed now and then, so that no leak grows for ever.
max_requests = 20000
max_requests_jitter = 2000

limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190

# The heartbeat file is in memory: a slow disk must not kill a worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn makes its file there with a random name.
accesslog = "-"
# No address of a page: tickets and invitations stand in it, and must never reach a log.
access_log_format = "%(h)s %(m)s %(s)s %(B)s %(M)sms"
# Caddy is the only peer; the portal itself decides how many proxies it trusts (SEALGATE_TRUSTED_PROXIES).
forwarded_allow_ips = "*"

# Nobody steers the server from inside its container.
control_socket_disable = True
