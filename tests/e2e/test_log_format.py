"""A real server that logs JSON: every line of every process, and nothing in them that is nobody's business."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hostler.config import Settings
from tests.e2e.server_process import END_TIMEOUT_S, HOSTLER

KEY = "the-key-of-the-gate"
TOKEN = "hf_" + "T" * 34
PROMPT = "the purple prompt"


@pytest.mark.long
def test_all_processes_log_json_and_follow_the_level_and_tell_no_secret(
    registry_file: Path, hostler_cache_dir: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    environment |= {"HOSTLER_CACHE_DIR": str(hostler_cache_dir), "HF_HUB_OFFLINE": "1", "LOG_FORMAT": "json"}
    environment |= {"API_KEY": KEY, "HF_TOKEN": TOKEN, "MAX_BATCH_SIZE": "4"}
    lines: list[dict[str, Any]] = []
    command: list[str | Path] = [HOSTLER, "serve", "--port", "0", "--config", registry_file]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stderr is not None
            while not lines or lines[-1].get("event") != "serving":
                lines.append(json.loads(server.stderr.readline()))
            url = f"http://127.0.0.1:{lines[-1]['port']}"
            with httpx2.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=60) as client:
                for level in ("WARNING", "INFO"):
                    assert client.post("/admin/log-level", json={"level": level}).status_code == 200
                    answer = client.post("/models/tiny-gpt2/generate", json={"text": PROMPT, "max_new_tokens": 3})
                    assert answer.status_code == 200
                    client.post("/models/tiny-gpt2/unload")
                client.post("/models/tiny-gpt2/generate", json={"text": PROMPT}, headers={"X-API-Key": f"not-{KEY}"})
            server.send_signal(signal.SIGTERM)
            out, rest = server.communicate(timeout=END_TIMEOUT_S)
        finally:
            server.kill()
    lines += [json.loads(line) for line in rest.splitlines()]
    assert out == ""
    loads = [line for line in lines if line["logger"] == "hostler.models.loader" and line["event"] == "weights_loaded"]
    assert [line["model"] for line in loads] == ["tiny-gpt2"], "a worker logs in its gateway's form and at its level"
    assert [line["status"] for line in lines if line.get("route", "").endswith("/generate")] == [200, 401]
    everything = json.dumps(lines)
    for secret in (KEY, TOKEN, PROMPT):
        assert secret not in everything
