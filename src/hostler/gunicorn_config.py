"""What gunicorn has to know: `gunicorn -c python:hostler.gunicorn_config`. Its command line wins."""

from hostler.catalogue import read_catalogue
from hostler.config import registry_path

_LAST_STEPS_S = 15
"""For what comes after the grace of running requests: their last bytes, the end of the models' processes."""

_settings, _ = read_catalogue(registry_path())  # what cannot be used is refused here, once, and not by each new worker

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
worker_class = "hostler.gunicorn_worker.GatewayWorker"
wsgi_app = "hostler.gunicorn_worker:GatewayWorker"  # gunicorn wants an application; this worker makes its own
timeout = 60
"""Seconds without a sign of life after which the worker is ended and another started."""
graceful_timeout = int(_settings.shutdown_grace_s) + _LAST_STEPS_S
