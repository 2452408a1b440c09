"""The same with OpenAI's client, which needs nothing changed but the base URL.

pip install openai, then python examples/02_openai_client.py
"""

import os

from openai import OpenAI

URL = os.environ.get("HOSTLER_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("HOSTLER_API_KEY", "any")
MODEL = os.environ.get("MODEL", "smollm2-135m")


def main() -> None:
    with OpenAI(base_url=f"{URL}/v1", api_key=API_KEY) as client:
        print("models:", ", ".join(model.id for model in client.models.list()))
        stream = client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "system", "content": "Answer in one sentence."},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            temperature=0,
            max_tokens=40,
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            if chunk.choices:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
            if chunk.usage is not None:
                print(f"\n{chunk.usage.prompt_tokens} tokens asked, {chunk.usage.completion_tokens} answered")


if __name__ == "__main__":
    main()
