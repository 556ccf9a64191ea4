"""What is left of a burst in memory."""

import time

import processes
from bench import PATIENCE

LARGE = 10 << 20  # bytes of one result
MOST = 4 << 20  # bytes that may stay


def test_memory_of_large_results_goes_back_to_the_system_when_there_is_silence(bench):
    bench.fake("one")
    host = bench.host(bench.config())
    host.text("one__echo", {"text": "warm"})
    before = processes.resident_bytes(host.process.pid)
    for _ in range(4):
        assert len(host.text("one__payload", {"bytes": LARGE})) == LARGE
    assert processes.resident_bytes(host.process.pid) > before + LARGE, "or this would show nothing"
    deadline = time.monotonic() + PATIENCE
    while (resident := processes.resident_bytes(host.process.pid)) > before + MOST:
        assert time.monotonic() < deadline, f"{before} bytes before, {resident} afterwards"
        time.sleep(0.1)
