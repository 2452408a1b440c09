#!/usr/bin/env bash
# What a server does, with curl alone: bash examples/09_curl.sh
set -euo pipefail

url=${HOSTLER_URL:-http://127.0.0.1:8000}
model=${MODEL:-smollm2-135m}
ask() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer ${HOSTLER_API_KEY:-any}" "$@"; echo; }
post() { ask -H 'Content-Type: application/json' "$url$1" -d "$2" "${@:3}"; }

ask "$url/health"
ask "$url/models/$model/info"
ask -X POST "$url/models/$model/plan"
ask -X POST "$url/models/$model/load"

post "/models/$model/generate" '{"text": "Once upon a time", "max_new_tokens": 20, "temperature": 0}'
post "/models/$model/chat" '{"message": "What is the capital of France?", "max_length": 40, "temperature": 0}'
post "/models/$model/chat" '{"message": "Tell me of horses.", "max_length": 20, "stream": true}' --no-buffer

post /v1/chat/completions '{
    "model": "'"$model"'",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "max_tokens": 40,
    "temperature": 0
}'

ask -X POST "$url/models/$model/unload"
