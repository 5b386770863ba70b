"""How threads wait: set by the command line before PyTorch is loaded, and the user's word stands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hilum import waiting

TOLD = """
import os, sys
from hilum import cli
assert "torch" not in sys.modules, "PyTorch has read its environment before it is set"
sys.argv = ["hilum", "--version"]
try:
    cli.main()
except SystemExit:
    print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({}, waiting.SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_the_command_line_sets_it_first(given: dict[str, str], wanted: str) -> None:
    others = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    told = subprocess.run(
        [sys.executable, "-c", TOLD], env={**others, **given}, capture_output=True, text=True, check=True
    )
    assert told.stdout.split()[-1] == wanted, told.stderr
