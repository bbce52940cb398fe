# SPDX-License-Identifier: ISC
"""The short form of `make check-power`: every kind of cut, and both controls."""
import os
import pathlib
import subprocess
import sys

import pytest

from suite import BUILD

POWER = pathlib.Path(__file__).resolve().parent / "power.py"
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount"),
    pytest.mark.skipif(not os.path.exists("/dev/loop-control") or
                       not os.path.exists("/dev/fuse"),
                       reason="no loop devices or no FUSE here"),
]


def power(*args):
    done = subprocess.run(
        [sys.executable, str(POWER), "--seconds", "1.5", *args], stdout=subprocess.PIPE,
        env={**os.environ, "POSTERN_BUILD": str(BUILD)},
        stderr=subprocess.STDOUT, text=True, timeout=220)
    print(done.stdout)
    return done


def test_power_cuts():
    done = power("--cuts", "4", "--images", "30", "--no-controls")
    assert done.returncode == 0
    assert done.stdout.count("ext4") == done.stdout.count("xfs") == 8


def test_what_loses_mail_is_caught():
    done = power("--cuts", "0", "--images", "0")
    assert done.returncode == 0
    assert done.stdout.count("caught, as it must be") == 6
