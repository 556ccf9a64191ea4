"""A million messages, many of them damaged, from both sides at once. `make fuzz` goes on for longer, with other seeds."""

import subprocess
import sys
from pathlib import Path

import places

MESSAGES = 1_000_000
SEED = 3


def test_a_million_damaged_messages_end_nothing_and_mix_nothing_up():
    program = Path(__file__).parent / "fuzz" / "fuzzing.py"
    run = subprocess.run(
        [sys.executable, str(program), places.mcpagg(), "--seed", str(SEED), "--messages", str(MESSAGES)],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
