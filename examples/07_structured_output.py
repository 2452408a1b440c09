"""Reads facts out of sentences, as JSON of a schema that every answer fits.

python examples/07_structured_output.py
"""

import json
import os

from hostler.client import Hostler

URL = os.environ.get("HOSTLER_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("HOSTLER_API_KEY")
MODEL = os.environ.get("MODEL", "smollm2-135m")
SCHEMA = {
    "type": "object",
    "properties": {
        "animal": {"type": "string", "maxLength": 20},
        "legs": {"type": "integer", "minimum": 0, "maximum": 8},
        "can_fly": {"type": "boolean"},
    },
    "required": ["animal", "legs", "can_fly"],
}
SENTENCES = ["The horse ran over the meadow.", "A hen sat on the fence.", "The spider waits in its web."]


def main() -> None:
    with Hostler(URL, api_key=API_KEY) as client:
        for sentence in SENTENCES:
            question = f"Which animal is it, how many legs has it, can it fly? Answer as JSON. {sentence}"
            answer = client.chat(question, model=MODEL, json_schema=SCHEMA, temperature=0, max_new_tokens=60)
            found = json.loads(answer["response"])
            print(f"{found['animal']}: {found['legs']} legs, {'flies' if found['can_fly'] else 'does not fly'}")
        verdict = client.chat("Is a horse larger than a dog?", model=MODEL, choice=["yes", "no"], temperature=0)
        print("A horse is larger than a dog:", verdict["response"])


if __name__ == "__main__":
    main()
