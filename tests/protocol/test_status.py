# SPDX-License-Identifier: ISC
"""`postern status`: the table, its exit code, and what it says when parts of
the suite do not answer, or nothing runs."""
import contextlib
import json
import os
import pathlib
import pty
import re
import signal
import smtplib
import subprocess

import pytest

from suite import BIN, wait_for


def run(folder, *args, prefix=()):
    return subprocess.run(
        [*prefix, str(BIN / "postern"), "status", *args],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        env={"PATH": os.environ["PATH"], "POSTERN_ROOT": str(folder)})


def status(suite, code, *texts):
    """Text and JSON; the exit code and the first line agree with it."""
    text = run(suite.folder)
    data = run(suite.folder, "--json")
    words = ["OK", "WARNING", "CRITICAL"]
    assert text.returncode == data.returncode == code, text
    assert text.stdout.startswith(f"{words[code]}: ") and not text.stderr
    assert max(map(len, text.stdout.splitlines())) <= 80, text.stdout
    for t in texts:
        assert t in text.stdout, text.stdout
    return text.stdout, json.loads(data.stdout)


@contextlib.contextmanager
def setting(suite, name, value):
    path = pathlib.Path(suite.folder, "etc/postern", name)
    old = path.read_text() if path.exists() else None
    path.write_text(value)
    try:
        yield
    finally:
        path.unlink() if old is None else path.write_text(old)


def reload(suite):
    os.kill(suite.roles()["start"], signal.SIGHUP)


def test_what_runs(suite):
    text, data = status(suite, 0, " roles are ready")
    for name, pid in suite.roles().items():
        assert re.search(rf"^{name} +{pid} +\S+ +ready +\S.* +0$", text, re.M)
    for part in ("queue", "agents", "rates", "disk", "errors"):
        assert re.search(rf"^{part} +\S", text, re.M), text
    assert data["status"] == "ok" and data["why"] == []
    assert {r["role"]: r["pid"] for r in data["roles"]} == suite.roles()
    assert data["disk"]["free_mb"] > data["disk"]["floor_mb"]
    assert "\033" not in text


def test_mail_is_counted(suite):
    def count(name):
        return status(suite, 0)[1]["queue"][name]
    arrived, delivered = count("arrived"), count("delivered")
    with smtplib.SMTP(*suite.smtp, timeout=20) as s:
        for i in range(3):
            s.sendmail("a@crepes.fr", "bob@hamburger.edu", f"Subject: {i}\n")
    wait_for(lambda: count("delivered") == delivered + 3, 10, "3 deliveries")
    assert count("arrived") == arrived + 3


def errors(suite):
    """While roles may be starting anew."""
    return json.loads(run(suite.folder, "--json").stdout)["errors"]


def test_the_last_errors(suite):
    before = errors(suite)["total"]
    # one of a role, which has only its channel
    with open(f"{suite.folder}/etc/postern/users/aliases", "w") as f:
        f.write("no colon here\n")
    try:
        reload(suite)
        wait_for(lambda: errors(suite)["total"] > before, 10, "the error")
        last = errors(suite)["last"][-1]
        assert (last["role"], last["event"]) == ("userd", "config-error")
        assert last["line"] in suite.log()
        assert "Z userd config-error\n    file=aliases line=1" in run(
            suite.folder).stdout
    finally:
        os.unlink(f"{suite.folder}/etc/postern/users/aliases")
    # 16 of them are kept, and all counted
    with setting(suite, "strict7bit", "maybe\n"):
        for _ in range(20):
            n = suite.log().count("reload-refused")
            reload(suite)
            wait_for(lambda: suite.log().count("reload-refused") > n, 5, "it")
    wait_for(lambda: errors(suite)["total"] >= before + 41, 10, "all errors")
    assert len(errors(suite)["last"]) == 16
    if os.geteuid() == 0:
        assert os.stat(f"{suite.folder}/run/postern/errors"
                       ).st_mode & 0o777 == 0o640


def test_a_hanging_qmgr_is_a_warning(suite):
    wait_for(lambda: run(suite.folder).returncode == 0, 10, "every role")
    pid = suite.roles()["qmgr"]
    os.kill(pid, signal.SIGSTOP)
    try:
        out = run(suite.folder)
        assert out.returncode == 1, out
        assert out.stdout.startswith("WARNING: qmgr does not answer: it is")
        assert "\nqueue   qmgr does not answer" in out.stdout
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_role_that_is_not_ready(suite):
    """As start writes it down."""
    path = pathlib.Path(suite.folder, "run/postern/roles")
    old = path.read_text()
    pid = suite.roles()["userd"]
    line = re.search(rf"^userd {pid} .*$", old, re.M).group()
    words = line.split()
    try:
        words[3:5] = ["0", "starting"]
        path.write_text(old.replace(line, " ".join(words)))
        assert status(suite, 1, "WARNING: userd is starting\n")[1][
            "why"] == ["userd is starting"]
        words[1], words[3:5] = "0", ["7", "down"]
        path.write_text(old.replace(line, " ".join(words)))
        status(suite, 2, "CRITICAL: userd is down (7 restarts): its error")
    finally:
        path.write_text(old)


def test_a_full_disk_is_critical(suite):
    with setting(suite, "spoolfloormb", "1000000000\n"):
        status(suite, 2, "CRITICAL: no new mail is taken, for the spool's disk"
               " is full: make room")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_what_an_ordinary_user_sees(suite):
    os.chmod(suite.folder, 0o755)
    out = run(suite.folder, prefix=["runuser", "-u", "nobody", "--"])
    assert out.returncode == 0 and not out.stderr, out
    assert "queue   only root may ask qmgr\n" in out.stdout
    assert "errors  only root may see them\n" in out.stdout
    assert "listen-smtp" in out.stdout


def test_colours_on_a_terminal_only(suite):
    def on_terminal(**env):
        near, far = pty.openpty()
        done = subprocess.run(
            [str(BIN / "postern"), "status"], stdin=far, stdout=far,
            stderr=far, timeout=30, env={"PATH": os.environ["PATH"],
                                         "POSTERN_ROOT": suite.folder, **env})
        os.close(far)
        out = b""
        with contextlib.suppress(OSError):  # EIO: all was read
            while part := os.read(near, 65536):
                out += part
        os.close(near)
        assert done.returncode == 0, out
        return out
    assert b"\033[32mready" in on_terminal(TERM="xterm")
    assert b"\033" not in on_terminal(TERM="dumb")
    assert b"\033" not in on_terminal(TERM="xterm", NO_COLOR="1")


def test_nothing_runs(suite):
    """The last test of this suite: it stops it."""
    suite.stop()
    text, data = status(suite, 2, "CRITICAL: the suite does not run: start it "
                        "with ", "\nqueue   at most 0 messages in files")
    assert data["status"] == "down" and data["roles"] == []
    assert data["queue"] is None and data["spoolfiles"] == 0
    if os.path.isdir(f"{suite.folder}/var/spool/postern-drop/new"):
        with open(f"{suite.folder}/var/spool/postern-drop/new/x", "w"):
            assert status(suite, 2, "drop    1 message in the drop box\n"
                          )[1]["dropped"] == 1
        os.unlink(f"{suite.folder}/var/spool/postern-drop/new/x")
    # why it did not start is told, too
    with setting(suite, "smtplisten", "192.0.2.1:2525\n"):
        out = subprocess.run(
            [str(BIN / "postern-start")], capture_output=True, text=True,
            timeout=60, env={"POSTERN_ROOT": suite.folder,
                             "PATH": os.environ["PATH"]})
        assert out.returncode == 100, out
    text, data = status(suite, 2, " in its last run")
    assert "address=192.0.2.1:2525" in "".join(
        e["line"] for e in data["errors"]["last"])


def test_no_suite_at_all(tmp_path):
    tmp_path = tmp_path / ("long" * 30)  # a path is never cut
    tmp_path.mkdir()
    out = run(tmp_path)
    assert out.returncode == 2
    assert f"there is no suite in {tmp_path}/etc/postern: postern init" in \
        out.stdout
    (tmp_path / "run").mkdir()
    (tmp_path / "run/postern").write_text("no folder")
    out = run(tmp_path)
    assert out.returncode == 3 and "look as root" in out.stderr, out
