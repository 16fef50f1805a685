"""What a training runs on."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from autopanoptic.panoptic.training.hardware import keep_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        step = [torch.ones(size * 2**20) for size in (1, 4, 2, 1, 8)]  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(1)
print(faults(10))
kept = keep_memory()
faults(1)
print(faults(10) if kept else -1)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_freed_memory_is_kept() -> None:
    found = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    given_back, kept = map(int, found.stdout.split())
    assert given_back > 100  # pages, of whatever size they are
    assert 0 <= kept < given_back / 3
