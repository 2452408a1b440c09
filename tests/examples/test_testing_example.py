"""The tests of examples/10_testing.py, as tests of ours."""

import runpy
from pathlib import Path

_example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "10_testing.py"))

server = _example["server"]
test_a_headline_has_no_full_stop = _example["test_a_headline_has_no_full_stop"]
test_a_busy_server_is_asked_again = _example["test_a_busy_server_is_asked_again"]
