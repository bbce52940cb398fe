# SPDX-License-Identifier: ISC
"""The short form of `make check-crash`: one stop for each role and call."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from suite import BIN, BUILD

SWEEP = pathlib.Path(__file__).resolve().parent / "sweep.py"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can run each role as its own user")


def sweep(*args):
    """What it printed, and its exit code."""
    with subprocess.Popen(
            [sys.executable, str(SWEEP), *args], stdout=subprocess.PIPE,
            env={**os.environ, "POSTERN_BUILD": str(BUILD)},
            stderr=subprocess.STDOUT, text=True) as child:
        try:
            text = child.communicate(timeout=200)[0]
        except BaseException:
            child.terminate()  # it clears up
            raise
    print(text)
    return text, child.returncode


def test_one_stop_for_each_role_and_call():
    text, code = sweep("--sample", "1")
    assert code == 0
    assert " 0 failed" in text


# ---- controls: a sweep that finds nothing proves nothing ----

def with_fault(folder, program, tool):
    """All programs, one of them with the fault of control_*.c."""
    shutil.copytree(BIN, folder)
    shutil.copy(BUILD / "tool" / tool, folder / program)
    return folder


def failures(log):
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [r for r in rows if r["result"] == "failed"]


@pytest.mark.parametrize("tool, role, call, says", [
    ("queued-answers-first", "queued", "pwritev2", "is lost"),
    ("local-renames-first", "local", "write", "after the stop")])
def test_a_planted_fault_is_found(tmp_path, tool, role, call, says):
    log = tmp_path / "log"
    text, code = sweep(
        "--bin", str(with_fault(tmp_path / "bin", f"postern-{role}", tool)),
        "--workload", "accept", "--role", role, "--call", call, "--sample",
        "3", "--scope", "all", "--when", "entry", "--jobs", "1", "--log",
        str(log))
    assert code == 1
    found = failures(log)
    # without a stop nothing is amiss: only stops are in the log
    assert "rounds without a stop failed" not in text
    assert any(says in r["why"] for r in found), found
