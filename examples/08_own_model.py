"""Serves a model of your own from the folder that `save_pretrained` wrote, and asks it something.

python examples/08_own_model.py path/to/folder "Once upon a time"
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hostler.client import Hostler

REGISTRY = """\
models:
  my-model:
    name: me/my-model
    type: text
    size: small
    description: A model of my own
    max_length: 1024
    source:
      folder: {folder}
"""


@contextlib.contextmanager
def server_of(registry: Path) -> Iterator[str]:
    """The address of a server with these models, which ends with the `with`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hostler = Path(sys.executable).with_name("hostler")
    serving = subprocess.Popen([hostler, "serve", "--config", registry, "--port", str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        serving.terminate()
        serving.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a model from a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("text", nargs="?", default="Once upon a time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        registry = Path(scratch) / "models.yaml"
        registry.write_text(REGISTRY.format(folder=arguments.folder.resolve()))
        # While the server starts it refuses connections, which a client tries again.
        key = os.environ.get("API_KEY")
        with server_of(registry) as url, Hostler(url, key, max_retries=10, retry_backoff_s=0.5) as client:
            print(client.info("my-model")["description"])
            answer = client.generate(arguments.text, model="my-model", max_new_tokens=20, temperature=0)
            print(answer["generated_text"][0])


if __name__ == "__main__":
    main()
