"""How the threads of a computation wait for each other: briefly in a loop, then asleep.

OpenMP's threads, as PyTorch uses them, meet after every operation. GNU's wait for the last of them in a loop of some
milliseconds, which takes from that last one the core that it needs as soon as another program runs, too: on two cores
beside one busy process a decoder learnt 3 studies a second, and 90 with a short loop (97 alone; ``docs/log.md``,
2026-11-27). A setting of the whole process, so it is the rim (the command line) that asks for it.
"""

from __future__ import annotations

import os

SPINS = "1000"
"""Turns of the loop, some microseconds. It costs some percent on a quiet machine, and passive waiting more."""


def asleep() -> None:
    """Has GNU OpenMP wait so, unless the user's environment says how. It is read when the library is loaded: to be
    called before PyTorch is imported."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
