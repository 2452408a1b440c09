"""lm-evaluation-harness on tasks of its own: by token ids, by text, by the server's tokenizer, and as a chat.

Usage: lm_eval_client.py FOLDER, where FOLDER has the model's tokenizer as transformers saves it.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # all it needs is here

import lm_eval
from lm_eval.tasks import TaskManager

URL = os.environ["HOSTLER_URL"]
os.environ["OPENAI_API_KEY"] = os.environ["HOSTLER_API_KEY"]
TOKENIZER = sys.argv[1]
MODEL = "smollm2-135m"
ROWS = [
    {"question": "The capital of France is", "choices": ["Paris", "a cheese", "Berlin, of course"], "answer": 0},
    {"question": "One, two, three,", "choices": ["four", "eleven"], "answer": 0},
    {"question": "Grass is", "choices": ["blue and made of steel", "green"], "answer": 1},
]

folder = tempfile.TemporaryDirectory()
data = Path(folder.name) / "rows.jsonl"
data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
dataset = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}, "test_split": "test"}
choose = dataset | {
    "task": "choose",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "acc"}],
}
write = dataset | {
    "task": "write",
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{choices[answer]}}",
    "generation_kwargs": {"until": ["\n", ".", "<|im_end|>", ";", "!", "?"], "max_gen_toks": 8, "do_sample": False},
    "metric_list": [{"metric": "exact_match"}],
}


def evaluate(tasks, model="local-completions", route="completions", **arguments):
    found = lm_eval.simple_evaluate(
        model=model,
        model_args={"model": MODEL, "base_url": f"{URL}/v1/{route}", "max_length": 2048, **arguments},
        tasks=tasks,
        task_manager=TaskManager(include_defaults=False),  # reading the thousands that it has takes half a minute
        apply_chat_template=model == "local-chat-completions",
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = {}
    for task, rows in found["samples"].items():
        for row in sorted(rows, key=lambda row: row["doc_id"]):
            for request, responses in zip(row["arguments"], row["resps"], strict=True):
                answer = responses[0]
                samples.setdefault(task, []).append({"request": list(request), "answer": answer})
    return samples


# With a base URL that names the model, its tokenizer is found beside it.
remote = {"base_url": f"{URL}/models/{MODEL}/v1/completions", "auth_token": os.environ["HOSTLER_API_KEY"]}
shown = {
    "by_ids": evaluate([choose, write], tokenizer=TOKENIZER, tokenizer_backend="huggingface"),
    "by_ids_in_batches": evaluate([choose], tokenizer=TOKENIZER, tokenizer_backend="huggingface", batch_size=3),
    "by_text": evaluate([choose], tokenizer=TOKENIZER, tokenizer_backend="huggingface", tokenized_requests=False),
    "by_remote_tokenizer": evaluate([choose, write], **remote),
    "by_chat": evaluate([write], model="local-chat-completions", route="chat/completions"),
}
folder.cleanup()
print(json.dumps(shown))
