"""Searches sentences by what they mean: vectors are made once, a question is compared with all of them.

hostler serve --config examples/06_search.yaml
python examples/06_search.py "who looks after the horses?"
"""

import argparse
import os
from operator import itemgetter

from hostler.client import Hostler

URL = os.environ.get("HOSTLER_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("HOSTLER_API_KEY")
SENTENCES = [
    "The hostler feeds and brushes the horses at dawn.",
    "Paris is the capital of France and lies on the Seine.",
    "A foal can stand within an hour of its birth.",
    "The bakery sells rye bread on Tuesdays.",
    "Python 3.11 reports errors with the exact place in the line.",
    "The river froze over in the winter of 1963.",
    "A mare carries her young for about eleven months.",
    "Interest is paid at the end of each quarter.",
    "The train to Lyon leaves from platform nine.",
    "Too much sun fades the colours of a painting.",
]


def search(client: Hostler, model: str, question: str, sentences: list[str]) -> list[tuple[float, str]]:
    """The sentences with their scores, the nearest to the question first. The vectors have length 1, so their product
    is their cosine."""
    [asked, *read] = client.embed([question, *sentences], model=model)
    scores = [sum(map(float.__mul__, asked, vector)) for vector in read]
    return sorted(zip(scores, sentences, strict=True), key=itemgetter(0), reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Search sentences by what they mean.")
    parser.add_argument("question")
    parser.add_argument("--model", default="all-minilm-l6-v2")
    parser.add_argument("--num", type=int, default=3)
    arguments = parser.parse_args()
    with Hostler(URL, api_key=API_KEY) as client:
        for score, sentence in search(client, arguments.model, arguments.question, SENTENCES)[: arguments.num]:
            print(f"{score:.3f}  {sentence}")


if __name__ == "__main__":
    main()
