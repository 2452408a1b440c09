"""The command `llm`, with Hostler's models in its extra-openai-models.yaml."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

URL = os.environ["HOSTLER_URL"]
KEY = os.environ["HOSTLER_API_KEY"]
QUESTION = "What is the capital of France?"
MODELS = f"""
- model_id: hostler
  model_name: smollm2-135m
  api_base: {URL}/v1
  api_key_name: hostler
- model_id: hostler-completion
  model_name: smollm2-135m
  api_base: {URL}/v1
  api_key_name: hostler
  completion: true
- model_id: nobody
  model_name: nobody
  api_base: {URL}/v1
  api_key_name: hostler
"""

folder = tempfile.TemporaryDirectory()
(Path(folder.name) / "extra-openai-models.yaml").write_text(MODELS)
(Path(folder.name) / "keys.json").write_text(json.dumps({"hostler": KEY}))


def llm(*arguments):
    command = [Path(sys.executable).with_name("llm"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LLM_USER_PATH": folder.name})
    return {"status": done.returncode, "answer": done.stdout, "stderr": done.stderr}


greedy = ["-o", "temperature", "0", "-o", "max_tokens", "20", "--usage"]
shown = {
    "models": llm("models", "list")["answer"],
    "streamed": llm("-m", "hostler", *greedy, QUESTION),
    "whole": llm("-m", "hostler", "--no-stream", *greedy, QUESTION),
    "continued": llm("-m", "hostler", "-c", *greedy, "And of Italy?"),
    "with_system": llm("-m", "hostler", "-s", "Answer in one word.", *greedy, "-o", "seed", "1", QUESTION),
    "with_options": llm(
        "-m",
        "hostler",
        *greedy,
        "-o",
        "stop",
        " Paris",
        "-o",
        "top_p",
        "0.9",
        "-o",
        "logit_bias",
        '{"30": -5}',
        QUESTION,
    ),
    "completion_streamed": llm("-m", "hostler-completion", *greedy, "The capital of France is"),
    "completion_whole": llm("-m", "hostler-completion", "--no-stream", *greedy, "The capital of France is"),
    "unknown_model": llm("-m", "nobody", QUESTION),
}
folder.cleanup()
print(json.dumps(shown))
