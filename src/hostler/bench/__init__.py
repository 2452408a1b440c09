"""Load on a running server and what its answers' times amount to: for `hostler bench`, and for benchmarks of peers."""
