# SPDX-License-Identifier: ISC
"""install/try where a newcomer slips: wrong options, a second run, Ctrl-C."""
import fcntl
import os
import pathlib
import poplib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from suite import BIN, TOP, Suite, wait_for

TRY = str(TOP / "install/try")


def run(*args, **more):
    return subprocess.run(
        [TRY, *map(str, args)], env={**os.environ, "POSTERN_BIN": str(BIN)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=60, **more)


def is_free(folder):
    """Whether no postern-start runs there."""
    try:
        with open(f"{folder}/run/postern/lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False


def login(env, user, password):
    host, port = env["POP3"].rsplit(":", 1)
    p = poplib.POP3(host, int(port), timeout=20)
    p.user(user)
    p.pass_(password)
    p.quit()


def test_wrong_settings_are_all_said_and_the_next_try_works(tmp_path):
    user = ["--user", "bob@hamburger.edu:hungry"]
    out = run(tmp_path, "--background", *user, "--control", "databytes=x",
              "--control", "queuelifetime=y", "--control", "nonsense=1")
    assert out.returncode != 0 and is_free(tmp_path)
    assert "databytes:1:" in out.stdout and "queuelifetime:1:" in out.stdout
    with Suite("--no-first-message", *user, "--control", "databytes=99999",
               "--control", "queuelifetime=60", folder=str(tmp_path)) as s:
        login(s.env, "bob@hamburger.edu", "hungry")


def test_a_password_given_again_is_the_new_one(tmp_path):
    with Suite("--no-first-message", "--user", "bob@hamburger.edu:hungry",
               "--user", "al@hamburger.edu:x", folder=str(tmp_path)) as s:
        s.stop()
        s.options = ["--user", "bob@hamburger.edu:th'irsty"]
        s.start()
        text = (tmp_path / "try.env").read_text()
        assert text.count("USER_") == 2 and "hungry" not in text
        login(s.env, "bob@hamburger.edu", "th'irsty")
        login(s.env, "al@hamburger.edu", "x")


def test_a_failed_first_message_leaves_no_suite(tmp_path):
    out = run(tmp_path, "--user", "bob@hamburger.edu:hungry",
              "--control", "locals=elsewhere.test")
    assert out.returncode != 0 and "SMTP failed" in out.stdout
    assert is_free(tmp_path)


def heed_signals():
    """What nohup(1) ignores, or a shell for its background jobs, would stay
    ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM,
                                    signal.SIGHUP, signal.SIGKILL])
def test_cut_short_it_leaves_no_suite(tmp_path, number):
    for wait in (0.08, 0.13, 0.18, 0.23, 0.3):
        folder = tmp_path / str(wait)
        one = subprocess.Popen(
            [TRY, str(folder)], env={**os.environ, "POSTERN_BIN": str(BIN)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=heed_signals)
        time.sleep(wait)
        os.killpg(one.pid, number)
        one.wait(20)
        wait_for(lambda: is_free(folder), 5, "the end of the suite")


def test_two_at_once_below_one_folder(tmp_path):
    both = [subprocess.Popen(
        [TRY, str(tmp_path), "--background"], stdin=subprocess.DEVNULL,
        env={**os.environ, "POSTERN_BIN": str(BIN)}, stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE, text=True) for _ in "ab"]
    texts = [one.communicate(timeout=60)[0] for one in both]
    try:
        assert sorted(one.returncode for one in both) == [0, 1], texts
        assert "already runs" in "".join(texts)
    finally:
        run(tmp_path, "--stop")


def test_stop_and_status_make_no_folder(tmp_path):
    assert run(tmp_path / "x", "--stop").returncode == 0
    out = run(tmp_path / "x", "--status")
    assert out.returncode != 0 and "no suite" in out.stdout
    assert not (tmp_path / "x").exists()


def test_a_path_with_a_space_and_a_quote(tmp_path):
    folder = tmp_path / "it's $a place"
    with Suite("--user", "bob@hamburger.edu:hungry",
               folder=str(folder)) as s:
        assert "queue" in s.try_("--status")
        out = subprocess.run(
            ["sh", "-c", '. "$0"; ls -d "$SPOOL" "$CONTROL" "$MAILDIR_1"',
             str(folder / "try.env")], stdout=subprocess.PIPE, text=True)
        assert out.returncode == 0 and out.stdout.count(str(folder)) == 3


def test_it_builds_below_a_path_with_a_space(tmp_path):
    """make takes no name with a space: what it is told must have none."""
    fake = tmp_path / "make"
    fake.write_text(
        '#!/bin/sh\nfor a; do case $a in B=*) b=${a#B=} ;; esac; done\n'
        'case $b in *[!A-Za-z0-9/._-]*) exit 3 ;; esac\n'
        'echo "$b" >"$b/told"\nexit 2\n')
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    env.pop("POSTERN_BIN", None)
    for name in ("plain", "with a space"):
        out = subprocess.run(
            [TRY, str(tmp_path / name), "--background"], env=env, timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert "the build failed" in out.stderr, out
        assert (tmp_path / name / "build/told").exists(), out


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_another_users_suite_is_left_alone(tmp_path):
    """As root it would change owners, and the other could not go on."""
    with Suite("--no-first-message", folder=str(tmp_path)) as s:
        s.stop()
        control = tmp_path / "etc/postern"
        os.chown(control / "me", 65534, 65534)
        os.chown(control, 65534, 65534)
        out = run(tmp_path, "--background")
        assert out.returncode != 0 and "nobody's" in out.stdout
        assert is_free(tmp_path) and control.stat().st_uid == 65534


def test_from_a_link_to_it(tmp_path):
    link = tmp_path / "try"
    link.symlink_to(TRY)
    with Suite("--no-first-message", folder=str(tmp_path / "d")) as s:
        s.stop()
        out = subprocess.run(
            [str(link), s.folder, "--background"], timeout=60,
            env={**os.environ, "POSTERN_BIN": str(BIN)}, text=True,
            stdin=subprocess.DEVNULL, capture_output=True)
        assert out.returncode == 0, out


@pytest.mark.parametrize("args", [
    ["--domain", ""], ["--domain", "a b"], ["--domain", "-"],
    ["--route", "foo"], ["--route", "foo=bar"], ["--resolver", "127.0.0.1"],
    ["--resolver", "host:53"], ["--port-base", "0"], ["--port-base", "65535"],
    ["--port-base", "x"], ["--control", "../x=1"], ["--control", "users=1"],
    ["--system-user", "no-such-account"]])
def test_wrong_options_are_refused_in_words(tmp_path, args):
    out = run(tmp_path, "--background", *args)
    assert out.returncode == 1
    assert out.stdout.splitlines()[-1].startswith("install/try: ")
    assert not pathlib.Path(tmp_path, "try.env").exists()


def test_who_may_not_sudo_is_told_what_to_install():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        script = shutil.copy(TOP / "install/deps", folder)
        for name, text in (("dpkg-query", "echo"), ("sudo", "exit 1")):
            path = pathlib.Path(folder, name)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        other = ["setpriv", "--reuid=65534", "--clear-groups"]
        out = subprocess.run(
            [*(other if os.geteuid() == 0 else []), script], timeout=20,
            env={"PATH": f"{folder}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert out.returncode == 100, out
        assert "as root, run: apt-get install gcc" in out.stderr


def test_odd_surroundings(tmp_path):
    """CDPATH makes cd talk; a machine without IPv6 has no /proc/net/tcp6."""
    cat = tmp_path / "bin/cat"
    cat.parent.mkdir()
    cat.write_text('#!/bin/sh\n[ "$2" != /proc/net/tcp6 ] || exit 1\n'
                   'exec /bin/cat "$@"\n')
    cat.chmod(0o755)
    env = {**os.environ, "POSTERN_BIN": str(BIN), "CDPATH": "/",
           "PATH": f"{cat.parent}:{os.environ['PATH']}"}
    for args in (["--background", "--no-first-message"], ["--stop"]):
        out = subprocess.run(
            [TRY, "run", *args], env=env, cwd=tmp_path, timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert out.returncode == 0, out
    assert (tmp_path / "run/try.env").exists()


def test_what_it_says_to_do_next_can_be_typed(tmp_path):
    one = subprocess.Popen(
        [TRY, tmp_path / "it's"], env={**os.environ, "POSTERN_BIN": str(BIN)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    said = iter(one.stdout.readline, "Ctrl-C stops it.\n")
    text = "".join(said).split("What to do next:\n")[1]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        input="a password\n", capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done
    for part in ("listen-pop3", "added carol@example.test", "Subject: It works", "delivered to"):
        assert part in done.stdout, done
    assert one.wait(20) == 0 and "Stopped." in one.stdout.read()
    one.stdout.close()


def test_in_the_foreground_it_says_when_start_died(tmp_path):
    one = subprocess.Popen(
        [TRY, str(tmp_path), "--no-first-message"], text=True,
        env={**os.environ, "POSTERN_BIN": str(BIN)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True)
    for line in one.stdout:
        if line.startswith("Ctrl-C"):
            break
    roles = (tmp_path / "run/postern/roles").read_text().split()
    assert roles[0] == "start"
    os.kill(int(roles[1]), signal.SIGKILL)
    assert "postern-start died" in one.stdout.read()
    assert one.wait(20) == 1
