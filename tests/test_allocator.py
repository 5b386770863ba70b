from __future__ import annotations

import subprocess
import sys

import pytest

from hilum import allocator

CODE = """
from hilum import allocator
import numpy as np
assert allocator.keep_freed_memory() is %s
blocks = [np.ones(4_000_000) for _ in range(20)]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
full = resident()
del blocks
kept = resident()
allocator.release_holes()
print(kept / full > 0.9, resident() / full < 0.5)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_kept_until_its_holes_are_released() -> None:
    """In a process of its own: the setting cannot be taken back."""
    run = subprocess.run([sys.executable, "-c", CODE % "True"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True", "True"]


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    allocator._glibc.cache_clear()
    assert allocator.keep_freed_memory() is False
    allocator.release_holes()
    allocator._glibc.cache_clear()
