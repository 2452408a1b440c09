#!/bin/sh
# A registry that is mounted takes the place of the one that comes with Hostler.
set -eu
registry=$PWD/app/config/models.yaml
if [ -z "${MODEL_CONFIG_PATH:-}" ] && [ -f "$registry" ]; then
    export MODEL_CONFIG_PATH="$registry"
fi
exec "$@"
