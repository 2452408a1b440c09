"""Whether the server of this container is ready: exit status 0, else 1. For images, which have no curl."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=4)
try:
    connection.request("GET", "/health/ready")
    sys.exit(connection.getresponse().status != 200)
except OSError:
    sys.exit(1)
