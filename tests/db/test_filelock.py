import subprocess
import sys
from pathlib import Path

import pytest

from db.filelock import exclusive

REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from db.filelock import exclusive
with exclusive(Path(sys.argv[1]), 10):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


def test_one_holder_at_a_time_also_within_a_process(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock", 1), pytest.raises(TimeoutError), exclusive(tmp_path / "lock", 0.1):
        pass
    with exclusive(tmp_path / "lock", 0.1):
        pass


def test_a_holder_that_was_killed_holds_no_more(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError), exclusive(tmp_path / "lock", 0.1):
            pass
        holder.kill()
        holder.wait()
        with exclusive(tmp_path / "lock", 0.1):
            pass
