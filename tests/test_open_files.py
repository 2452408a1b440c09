"""The limit of open files, tried in processes of their own."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from hostler.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(allow_open_files({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "wanted", "holds"),
    [(100, 200, 200), (100, 50, 100), (100, 5000, 300)],
    ids=["raised", "left", "as far as it may"],
)
def test_the_limit_is_raised_as_far_as_is_wanted_and_allowed(soft: int, wanted: int, holds: int) -> None:
    program = PROGRAM.format(soft=soft, hard=300, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(holds), str(holds)]
