"""runtime/children.py: functions in processes of their own."""

import subprocess
import sys

CODE = """
import os, signal, sys
from objstore.runtime.children import results_of
def die(): os.kill(os.getpid(), signal.SIGKILL)
def fail(): raise ValueError("no")
found = results_of([lambda: {"a": 1}, os.getpid, die, fail, lambda: "x" * 200_000, lambda: {1, 2}])
assert found[0] == {"a": 1}, found
assert found[1] != os.getpid(), found
assert found[2:4] == [None, None], found
assert len(found[4]) == 200_000
assert found[5] is None
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("none is left")
"""


def test_each_result_comes_back_and_none_of_who_died():
    """In a process of its own: this one may have a hub and threads."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "none is left\n"), done.stderr
    assert "ValueError: no" in done.stderr
