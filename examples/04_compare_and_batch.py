"""Asks several models the same at once, then many prompts of one model, with asyncio.

python examples/04_compare_and_batch.py smollm2-135m distilgpt2
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from hostler.client import AsyncHostler

URL = os.environ.get("HOSTLER_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("HOSTLER_API_KEY")
PROMPTS = [f"The most useful thing about a {animal} is" for animal in ("horse", "dog", "hen", "cow", "bee", "cat")]


async def compare(client: AsyncHostler, models: Sequence[str]) -> None:
    for answer in await client.compare(models, "The horse is", max_new_tokens=20, temperature=0):
        if answer["error"] is not None:
            print(f"{answer['model_id']}: {answer['error']['detail']}")
        else:
            print(f"{answer['model_id']}: {answer['answer']!r} after {answer['total_s']:.2f} s")


async def batch(client: AsyncHostler, model: str) -> None:
    """Answers come in the order of the prompts; one that fails does not keep the others from theirs."""
    for item in await client.batch(model, PROMPTS, concurrency=4, progress=True, max_new_tokens=10, temperature=0):
        print(item.error or item.answer["generated_text"][0])


async def main() -> None:
    models = sys.argv[1:] or ["smollm2-135m"]
    async with AsyncHostler(URL, api_key=API_KEY) as client:
        await compare(client, models)
        await batch(client, models[0])


if __name__ == "__main__":
    asyncio.run(main())
