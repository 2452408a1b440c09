"""Goes once through what a server does: health, list, info, load, generate, chat, unload.

python examples/03_basic_client.py smollm2-135m
"""

import os
import sys

from hostler.client import Hostler, LoadProgress, ServerConnectionError
from hostler.errors import HostlerError

URL = os.environ.get("HOSTLER_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("HOSTLER_API_KEY")


def tell(progress: LoadProgress) -> None:
    print(f"  {progress.stage}", f"{progress.percent}%" if progress.percent is not None else "", progress.text)


def walk(client: Hostler, model: str) -> None:
    print("health:", client.health()["status"])
    for model_id, row in client.models().items():
        print(f"  {model_id:24} {row['state']:10} {row['description']}")

    print("plan:", client.plan(model)["text"])
    client.load(model, on_progress=tell)
    details = client.info(model)
    print(f"{model} is {details['state']} on {details['device']} and takes {details['memory_bytes'] / 2**20:.0f} MiB")

    answer = client.generate("Once upon a time", model=model, max_new_tokens=20, temperature=0)
    print("generate:", answer["generated_text"][0])

    talk = client.conversation(model, system="Answer in one sentence.", temperature=0, max_new_tokens=40)
    print("chat:", talk.ask("What is the capital of France?"))
    print("chat:", talk.ask("And of Spain?"))

    print(client.unload(model)["message"])


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"
    try:
        with Hostler(URL, api_key=API_KEY) as client:
            walk(client, model)
    except (HostlerError, ServerConnectionError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
