# SPDX-License-Identifier: ISC
"""--help, --version and wrong arguments of every program."""
import os
import subprocess

import pytest

from suite import BIN

PROGRAMS = sorted(p.name for p in BIN.glob("postern*"))
COMMANDS = ["status", "queue", "queue list", "queue delete", "trace", "why", "user",
            "user add", "user passwd a@b.c", "user list", "alias", "alias add",
            "alias list", "show", "show me", "check", "sandbox", "init", "doctor",
            "layout"]


def run(*args):
    return subprocess.run(
        [str(BIN / args[0]), *args[1:]], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=10,
        env={**os.environ, "POSTERN_ROOT": "/nonexistent/postern"})


def fits(text):
    return max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program):
    out = run(program, "--help")
    assert out.returncode == 0 and not out.stderr, out
    assert program in out.stdout and fits(out.stdout)
    out = run(program, "--version")
    assert out.returncode == 0 and out.stdout.startswith("postern "), out
    out = run(program, "--nonsense")
    # as fsck(8) and sysexits(3)
    wrong = {"postern-fsck": 16, "postern-sendmail": 64}.get(program, 100)
    assert out.returncode == wrong and not out.stdout, out
    assert len(out.stderr.splitlines()) == 1 and "\\x" not in out.stderr, out


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    out = run("postern", *command.split(), "--help")
    assert out.returncode == 0 and not out.stderr, out
    assert f"postern {command.split()[0]}" in out.stdout and fits(out.stdout)


def test_parts_with_a_help_of_their_own():
    out = run("postern", "queue", "fsck", "--help")
    assert out.returncode == 0 and "--repair" in out.stdout, out
    out = run("postern", "show", "--help-settings")
    assert out.returncode == 0 and fits(out.stdout), out
    # what no part is called is told in a line
    out = run("postern", "queue", "lsit")
    assert out.returncode == 100 and out.stderr.splitlines() == [
        "postern queue: there is no lsit; see postern queue --help"], out
