# SPDX-License-Identifier: ISC
"""What a person is told when something does not work: what it is, and what to
do; and with which exit code."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from suite import BIN, wait_for

ROOT = os.geteuid() == 0
ID = "0000000000000001"

INIT = "No such file or directory: run postern init first, or set POSTERN_ROOT"
DOWN = "the suite does not run: see postern status"

# the state, the command, its exit code, what it says on standard error
COMMANDS = [
    ("none", "nonsense", 100, "there is no command nonsense; see postern "
     "--help"),
    ("none", "show", 100, f"etc/postern: {INIT}"),
    ("none", "user list", 111, f"etc/postern/users: {INIT}"),
    ("none", "user del x@y.test", 111, f"etc/postern/users: {INIT}"),
    ("none", "alias add x@y.test z@y.test", 111, "cannot read control/me: run "
     "postern init"),
    ("none", "why x@y.test", 111, "cannot ask userd (see postern status): "
     "No such file"),
    ("none", "queue list", 111, DOWN),
    ("none", f"queue show {ID}", 111, DOWN),
    ("none", "queue fsck", 8, f"var/spool/postern: {INIT}"),
    ("none", "sandbox", 111, DOWN),
    ("none", "trace x@y.test", 111, "so its log is not known: give it with "
     "--log FILE"),
    ("none", "trace --log /nonexistent x@y.test", 111, "/nonexistent: No such "
     "file or directory: give the log with --log FILE"),
    ("down", "show nonsense", 100, "there is no setting nonsense; postern show"
     " lists all"),
    ("down", "user del x@y.test", 100, "no such user (see postern user list)"),
    ("down", "user add a", 100, "no system user of that name: make one "
     "(adduser), or give local@domain: a"),
    ("down", "user add daemon", 100, "not an ordinary user (uid 1000 and up): "
     "name a person"),
    ("down", "user add @", 100, "not an address (write it as bob@example.org)"),
    ("down", "alias add x@y.test", 100, "add wants a target: an address"),
    ("down", "alias add x@y.test |sh", 100, "name a user who has one"),
    ("down", "alias del x@y.test", 100, "no such alias (see postern alias "
     "list)"),
    ("down", "why a@", 100, "not an address (write it as bob@example.org)"),
    ("down", "queue list --nonsense", 100, "there is no option --nonsense; see"
     " postern queue --help"),
    ("down", "queue show xyz", 100, "xyz is no queue id (16 hexadecimal "
     "digits)"),
    ("down", "doctor --out", 100, "--out wants a domain, as example.com"),
    ("lockedout", "user list", 111, "Permission denied: run it as root, or as "
     "the user whose suite it is"),
    ("lockedout", "queue fsck", 8, "Permission denied: run it as root"),
    ("lockedout", "init", 100, "Operation not permitted: run it as root"),
    ("lockedout", "trace --log LOG x@y.test", 111, "Permission denied: look as"
     " root"),
]


def environment(root):
    return {"PATH": os.environ["PATH"], "POSTERN_ROOT": str(root)}


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    none = tmp_path_factory.mktemp("none")
    down = tmp_path_factory.mktemp("down")
    for folder in (none, down, *down.parents[:2]):
        os.chmod(folder, 0o755)
    subprocess.run([str(BIN / "postern"), "init"], env=environment(down),
                   check=True, stdout=subprocess.DEVNULL)
    (down / "log").write_text("")
    (down / "log").chmod(0o600)
    return {"none": none, "down": down, "lockedout": down}


@pytest.mark.parametrize("state,command,code,says", COMMANDS,
                         ids=lambda v: str(v).replace(" ", "-")[:40])
def test_commands(states, state, command, code, says):
    if state == "lockedout" and not ROOT:
        pytest.skip("needs a second user")
    root = states[state]
    words = [w.replace("LOG", str(root / "log")) for w in command.split()]
    prefix = ["runuser", "-u", "nobody", "--"] if state == "lockedout" else []
    out = subprocess.run(
        [*prefix, str(BIN / "postern"), *words], env=environment(root),
        input="password\n", capture_output=True, text=True, timeout=30)
    assert out.returncode == code, out
    assert says in out.stderr, out
    # in a line, and not as a line of the log
    assert len(out.stderr.splitlines()) == 1 and "level=" not in out.stderr


# ---- postern-start ----

def setting(name, text):
    def change(root):
        (root / "etc/postern" / name).write_text(text)
    return change


def taken_port(root):
    sock = socket.create_server(("127.0.0.1", 0))
    setting("smtplisten", f"127.0.0.1:{sock.getsockname()[1]}\n")(root)
    return sock


def no_spool(root):
    shutil.rmtree(root / "var/spool/postern")


def control_is_a_file(root):
    shutil.rmtree(root / "etc/postern")
    (root / "etc/postern").write_text("")


STARTS = [
    (no_spool, 100, 'reason="cannot open ', "run postern init first"),
    (control_is_a_file, 100, 'reason="cannot open ', "something else stands "
     "in its place: postern check says what must be there"),
    (taken_port, 100, 'reason="cannot listen"', "another program has the port "
     "(ss -ltnp shows which): stop it"),
    (setting("smtplisten", "192.0.2.1:2525\n"), 100, 'reason="cannot listen"',
     "this host has no such address: write one that ip addr shows"),
    (setting("smtplisten", "25\n"), 100, 'reason="wrong listening addresses"',
     "mend what config-error above names"),
    (setting("smtplisten", "# nothing\n"), 100, 'reason="no address to listen '
     'on"', "or write none into it"),
]


@pytest.fixture
def fresh(tmp_path):
    os.chmod(tmp_path, 0o755)
    subprocess.run([str(BIN / "postern"), "init"], env=environment(tmp_path),
                   check=True, stdout=subprocess.DEVNULL)
    for name in ("smtplisten", "pop3listen"):
        setting(name, "none\n")(tmp_path)
    return tmp_path


def start(root, *args, prefix=(), program=BIN / "postern-start"):
    return subprocess.run(
        [*prefix, str(program), *args], env=environment(root), timeout=60,
        stdin=subprocess.DEVNULL, capture_output=True, text=True)


def told(out, code, reason, todo):
    last = out.stderr.splitlines()[-1]
    assert out.returncode == code, out
    assert reason in last and re.search(rf' do="[^"]*{re.escape(todo)}', last), (
        last)


@pytest.mark.parametrize("change,code,reason,todo", STARTS,
                         ids=lambda v: str(v)[:24])
def test_start(fresh, change, code, reason, todo):
    kept = change(fresh)
    told(start(fresh), code, reason, todo)
    if kept is not None:
        kept.close()


def test_start_without_a_log(fresh):
    told(start(fresh, "--log", "/nonexistent/log"), 100, "cannot open the log",
         "name another file with --log")


def test_start_without_its_programs(fresh, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy2(BIN / "postern-start", alone)
    told(start(fresh, program=alone / "postern-start"), 100,
         "cannot open the program ", "install Postern again")


def test_a_second_start(fresh):
    with open(fresh / "log", "wb") as log:
        first = subprocess.Popen([str(BIN / "postern-start")], stderr=log,
                                 env=environment(fresh))
    try:
        wait_for(lambda: "event=start " in (fresh / "log").read_text(), 10,
                 "the first one")
        told(start(fresh), 111, "postern-start already runs in ",
             "to restart, stop that one first")
    finally:
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0


@pytest.mark.skipif(not ROOT, reason="needs a second user")
def test_start_as_somebody_else(fresh):
    told(start(fresh, prefix=["runuser", "-u", "nobody", "--"]), 100,
         "cannot ", "run it as root, or as the user whose suite it is")


@pytest.mark.skipif(not ROOT, reason="mounts")
def test_start_without_its_users(fresh):
    lines = pathlib.Path("/etc/passwd").read_text().splitlines(True)
    (fresh / "passwd").write_text("".join(
        line for line in lines if not line.startswith("posternn:")))
    told(start(fresh, prefix=["unshare", "-m", "sh", "-c",
                              f"mount --bind {fresh}/passwd /etc/passwd && "
                              'exec "$0" "$@"']),
         100, "there is no user posternn", "run install/users")


@pytest.mark.skipif(not ROOT, reason="mounts")
def test_start_on_a_full_disk(fresh):
    out = start(fresh, prefix=[
        "unshare", "-m", "sh", "-c",
        f"mkdir -p {fresh}/run && mount -t tmpfs -o nr_inodes=2 none "
        f"{fresh}/run && "
        f'mkdir {fresh}/run/postern && exec "$0" "$@"'])
    told(out, 100, "cannot open the lock in ", "the disk is full: make room")


@pytest.mark.parametrize("role", ["queued", "smtpd"])
def test_a_role_by_hand(fresh, role):
    out = start(fresh, *(["--template"] if role == "smtpd" else []),
                program=BIN / f"postern-{role}")
    told(out, 100, "is run by postern-start, not by hand",
         "run postern-start, which starts all roles")
