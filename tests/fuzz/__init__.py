"""What strangers send, made up: parsers under coverage-guided fuzzing, the gateway under raw bytes."""
