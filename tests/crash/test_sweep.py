# SPDX-License-Identifier: ISC
"""The short form of `make check-crash`: one stop for each role and call."""
import os
import pathlib
import subprocess
import sys

import pytest

from suite import BUILD

SWEEP = pathlib.Path(__file__).resolve().parent / "sweep.py"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can run each role as its own user")


def sweep(*args):
    done = subprocess.run(
        [sys.executable, str(SWEEP), *args], stdout=subprocess.PIPE,
        env={**os.environ, "POSTERN_BUILD": str(BUILD)},
        stderr=subprocess.STDOUT, text=True, timeout=200)
    print(done.stdout)
    return done


def test_one_stop_for_each_role_and_call():
    done = sweep("--sample", "1")
    assert done.returncode == 0
    assert " 0 failed" in done.stdout
