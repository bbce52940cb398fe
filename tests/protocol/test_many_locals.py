# SPDX-License-Identifier: ISC
"""As many system users at a time as concurrencylocal may say."""
import os
import pathlib
import re
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from local_harness import Become  # noqa: E402
from suite import TOP  # noqa: E402

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes users")


def limit(name):
    source = (TOP / "common/limits.h").read_text()
    return int(re.search(rf"\b{name} = (\d+)", source)[1])


def copy_of_etc(folder):
    """Locks of who adds a user may go away while they are copied."""
    try:
        shutil.copytree("/etc", f"{folder}/etc", symlinks=True)
    except shutil.Error as e:
        if any(os.path.lexists(name) for name, _, _ in e.args[0]):
            raise
    return f"{folder}/etc"


@needs_root
def test_none_waits_for_those_that_stay_for_more():
    """qmgr keeps idle locals beside those that have a place.  Were become full
    because of them, the mail of others would wait for their end."""
    count = limit("LIMIT_LOCALS") + limit("LIMIT_PARKED")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        # of passwd alone it would lose sight when another test adds a user
        etc = copy_of_etc(folder)
        with open(f"{etc}/passwd", "a") as passwd:
            for i in range(count):
                home, uid = f"{folder}/{i}", 3000000 + i
                os.mkdir(home, 0o700)
                os.chown(home, uid, uid)
                passwd.write(f"many{i}:x:{uid}:{uid}::{home}:/bin/sh\n")
        with Become(etc=etc) as become:
            answers = [become.ask(f"many{i}") for i in range(count)]
            assert [a[1:] for a in answers if a[0] != "A"] == []
            assert len(become.locals()) == count
