"""The demonstration tells its story to the end, and what it shows to try works as it is printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("network")

DEMO = Path(__file__).resolve().parents[1] / "demo" / "demo.py"
LAST = re.compile(r"accepted (\d+), delivered \1, waiting 0, held 0, other 0, lost 0, "
                  r"duplicated \d+, in flight \d+")


def test_the_story_ends_with_everything_in_its_place():
    done = subprocess.run([sys.executable, DEMO, "--messages", "120"], capture_output=True, text=True,
                          timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert LAST.fullmatch(done.stdout.splitlines()[-1]), done.stdout[-2000:]
    assert "a mailbox (JMAP)" in done.stdout
