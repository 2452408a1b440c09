"""Asks a question and prints the answer as it comes.

python examples/01_quickstart.py "What is the capital of France?"
"""

import os
import sys

from hostler.client import Hostler

URL = os.environ.get("HOSTLER_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("HOSTLER_API_KEY")


def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is the capital of France?"
    with Hostler(URL, api_key=API_KEY) as client:
        for piece in client.stream_chat(question, temperature=0, max_new_tokens=40):
            print(piece["text"], end="", flush=True)
    print()


if __name__ == "__main__":
    main()
