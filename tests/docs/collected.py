"""The tests of this repository by their names, so that what names one can be checked."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

from tests.conftest import CHECKOUT


@functools.cache
def node_ids() -> frozenset[str]:
    """The node ids of all tests, slow ones too, each also without its parameters."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow or not slow", "-p", "no:cacheprovider"],
        cwd=CHECKOUT, env={k: v for k, v in os.environ.items() if k not in ("LAUNCHER_TEST_NETWORK", "PYTEST_ADDOPTS")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    found = [line for line in done.stdout.splitlines() if "::" in line]
    return frozenset(found) | {name.partition("[")[0] for name in found}
