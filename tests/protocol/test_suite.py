# SPDX-License-Identifier: ISC
"""The whole suite: SMTP in, POP3 out; start, reload, restart, stop; try."""
import contextlib
import json
import os
import pathlib
import poplib
import random
import re
import signal
import smtplib
import socket
import struct
import subprocess
import time
import uuid

import pytest

from smtp_peer import Peer
from suite import BIN, TOP, Suite, wait_for

ROLES = ["listen-smtp", "listen-pop3", "smtpd", "popup", "queued", "qmgr",
         "bounce", "pickup", "dial", "remote", "become", "userd", "dnsd"]


def send(suite, text, sender="alice@crepes.fr", to="bob@hamburger.edu"):
    with smtplib.SMTP(*suite.smtp, timeout=20) as s:
        s.sendmail(sender, to, text)


def read_all(suite, user="bob@hamburger.edu", password="hungry"):
    p = poplib.POP3(*suite.pop3, timeout=20)
    p.user(user)
    p.pass_(password)
    mail = [b"\n".join(p.retr(n + 1)[1]) for n in range(p.stat()[0])]
    p.quit()
    return mail


def arrives(suite, mark, **login):
    mark = mark.encode()
    return wait_for(
        lambda: [m for m in read_all(suite, **login) if mark in m], 20,
        f"the message with {mark!r}")[0]


def check_mail_flows(suite):
    mark = uuid.uuid4().hex
    send(suite, f"Subject: flows\n\n{mark}\n.\n..two\n")
    assert b"\n.\n..two" in arrives(suite, mark)


def test_in_over_smtp_out_over_pop3(suite):
    check_mail_flows(suite)


def test_all_roles_are_ready(suite):
    rows = [r.split() for r in open(
        f"{suite.folder}/run/postern/roles").read().splitlines()]
    assert rows[0][0] == "start"
    assert sorted(r[0] for r in rows[1:]) == sorted(ROLES)
    assert {r[4] for r in rows} == {"ready"}
    for name, pid, user, *_ in rows[1:]:
        uid = os.stat(f"/proc/{pid}").st_uid
        status = open(f"/proc/{pid}/status").read()
        uid = int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1))
        import pwd
        assert pwd.getpwuid(uid).pw_name == user, name
        if os.geteuid() == 0 and name != "become":
            assert user.startswith("postern")


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_role_is_back_within_a_second(suite, role):
    def took():
        old = suite.roles()[role]
        os.kill(old, signal.SIGKILL)
        begun = time.monotonic()
        wait_for(lambda: suite.is_back(role, old), 5, role)
        return time.monotonic() - begun

    assert any(took() < 1 for _ in range(3))  # the machine may stall, too
    check_mail_flows(suite)


def test_the_log_is_not_for_everybody(suite):
    assert os.stat(suite.env["LOG"]).st_mode & 0o007 == 0


def test_reload_costs_no_session(suite):
    with smtplib.SMTP(*suite.smtp, timeout=20) as s:
        s.ehlo()
        s.mail("alice@crepes.fr")
        os.kill(suite.roles()["start"], signal.SIGHUP)
        suite.wait_log("event=role-retired|event=reload ", 5)
        time.sleep(0.3)
        s.rcpt("bob@hamburger.edu")
        mark = uuid.uuid4().hex
        assert s.data(f"Subject: x\r\n\r\n{mark}\r\n")[0] == 250
        arrives(suite, mark)
    check_mail_flows(suite)


def test_reload_changes_settings_all_or_nothing(suite):
    path = f"{suite.folder}/etc/postern/databytes"

    def size_offered():
        with smtplib.SMTP(*suite.smtp, timeout=20) as s:
            s.ehlo()
            return s.esmtp_features["size"]

    def reload_with(value, wait):
        with open(path, "w") as f:
            f.write(value)
        n = suite.log().count(wait)
        os.kill(suite.roles()["start"], signal.SIGHUP)
        wait_for(lambda: suite.log().count(wait) > n, 5, wait)

    reload_with("12345\n", "event=reload ")
    wait_for(lambda: size_offered() == "12345", 5, "the new size")
    reload_with("a lot\n", "event=reload-refused")
    assert size_offered() == "12345"
    assert 'file=databytes line=1' in suite.log()
    os.unlink(path)
    os.kill(suite.roles()["start"], signal.SIGHUP)
    wait_for(lambda: size_offered() == "52428800", 5, "the default")


@pytest.mark.parametrize("name, value", [
    ("me", "two words"), ("helohost", "two words"), ("bouncefrom", "x" * 1000),
    ("postmaster", "x" * 1000), ("smtpgreeting", "x" * 1000)])
def test_lines_that_would_end_a_role_change_nothing(suite, name, value):
    path = pathlib.Path(suite.folder, "etc/postern", name)
    old = path.read_text() if path.exists() else None
    path.write_text(f"{value}\n")
    n, roles = suite.log().count("reload-refused"), suite.roles()
    os.kill(roles["start"], signal.SIGHUP)
    wait_for(lambda: suite.log().count("reload-refused") > n, 5, "the refusal")
    assert f"event=config-error file={name} line=1" in suite.log()
    assert suite.roles() == roles
    path.unlink() if old is None else path.write_text(old)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's roles are it")
def test_settings_that_only_root_can_read_change_nothing(suite):
    """Roles that begin anew at a reload would end at once, for good."""
    folder = pathlib.Path(suite.folder, "etc/postern")
    for path in (folder / "me", folder / "rcpthosts", folder):
        there, mode = path.exists(), path.stat().st_mode if path.exists() else 0
        if not there:
            path.touch()
        path.chmod(0o700 if path == folder else 0o600)
        n, roles = suite.log().count("reload-refused"), suite.roles()
        os.kill(roles["start"], signal.SIGHUP)
        wait_for(lambda: suite.log().count("reload-refused") > n, 5, path)
        assert f"event=config-error file={path if path == folder else path.name}" in suite.log()
        assert suite.roles() == roles
        path.chmod(mode) if there else path.unlink()
    check_mail_flows(suite)


def test_status_show_check_sandbox(suite):
    # the reload of the test before may still be starting roles
    wait_for(lambda: suite.postern("status", check=False).returncode == 0, 10,
             "every role")
    status = suite.postern("status").stdout
    assert max(map(len, status.splitlines())) <= 80
    assert "queue " in status and "listen-smtp" in status
    data = json.loads(suite.postern("status", "--json").stdout)
    assert data["status"] == "ok" and len(data["roles"]) == len(ROLES) + 1
    wait_for(lambda: json.loads(suite.postern("status", "--json").stdout)[
        "queue"]["messages"] == 0, 10, "an empty queue")
    show = suite.postern("show").stdout
    assert re.search(r"^me +file +hamburger.edu$", show, re.M)
    assert re.search(r"^databytes +default +52428800$", show, re.M)
    assert re.search(r"^filter +default +\(none\)$", show, re.M)
    for line in suite.postern("show", "--json").stdout.splitlines():
        json.loads(line)
    check = suite.postern("check")
    assert check.stdout == "0 mistakes, 0 warnings\n"
    sandbox = suite.postern("sandbox").stdout
    for role in ROLES:
        assert re.search(rf"^{role} ", sandbox, re.M)


def test_check_shows_every_mistake_at_once(suite):
    control = f"{suite.folder}/etc/postern"
    wrong = {"databytes": "many\n", "relayclients": "10.0.0.0/8\nhere\n",
             "smtplisten": open(f"{control}/smtplisten").read() + "25\n",
             "timeoutsmtpd": "0\n", "databyte": "1\n",
             "rcpthosts": "hamburger.edu\nrelayed.test\n"}
    old = {}
    try:
        for name, value in wrong.items():
            path = f"{control}/{name}"
            old[path] = open(path).read() if os.path.exists(path) else None
            with open(path, "w") as f:
                f.write(value)
        out = suite.postern("check", check=False)
        assert out.returncode == 1
        for place in ("databytes:1:", "relayclients:2:", "smtplisten:2:",
                      "timeoutsmtpd:1:", "databyte:", "rcpthosts:2:"):
            assert f"/{place}" in out.stdout, out.stdout
        assert out.stdout.endswith("5 mistakes, 1 warning\n")
    finally:
        for path, text in old.items():
            if text is None:
                os.unlink(path)
            else:
                with open(path, "w") as f:
                    f.write(text)


def test_check_tells_of_a_postmaster_without_a_mailbox(suite):
    path = f"{suite.folder}/etc/postern/postmaster"
    old = open(path).read()

    def told(code, text):
        os.kill(suite.roles()["start"], signal.SIGHUP)
        out = suite.postern("check", check=False)
        return out.returncode == code and text in out.stdout

    try:
        with open(path, "w") as f:
            f.write("nobody@hamburger.edu\n")
        wait_for(lambda: told(1, "postmaster of this domain has no mailbox"),
                 10, "the mistake")
    finally:
        with open(path, "w") as f:
            f.write(old)
        wait_for(lambda: told(0, "0 mistakes"), 10, "its end")


def test_check_tells_of_aliases_that_lead_nowhere(suite):
    users = [line.split()[0] for line in
             suite.postern("user", "list").stdout.splitlines()]
    for alias, *targets in (("team", users[0], "nobody", "x@elsewhere.test"),
                            ("one", "two"), ("two", "one")):
        out = suite.postern("alias", "add", f"{alias}@hamburger.edu", *(
            t if "@" in t else f"{t}@hamburger.edu" for t in targets))
        warned = [line.split()[3] for line in out.stderr.splitlines()]
        assert warned == {
            "team": ["nobody@hamburger.edu:"],
            "one": ["two@hamburger.edu:"],
            "two": ["two@hamburger.edu:", "one@hamburger.edu:"]}[alias], out
    try:
        out = suite.postern("check").stdout
        warnings = [line for line in out.splitlines() if "aliases" in line]
        assert len(warnings) == 3, out
        assert "its target nobody@hamburger.edu: 5.1.1" in out
        assert out.count("refused, ") == 2 and out.count("5.4.6") == 2, out
    finally:
        for alias in ("team", "one", "two"):
            suite.postern("alias", "del", f"{alias}@hamburger.edu")


def test_check_tells_of_a_full_disk(suite):
    path = f"{suite.folder}/etc/postern/spoolfloormb"
    try:
        with open(path, "w") as f:
            f.write("1000000000\n")
        out = suite.postern("check").stdout
        assert re.search(r"spoolfloormb: the spool's disk has \d+ MiB left, "
                         "and below 1000000000 no new mail is taken", out), out
    finally:
        os.unlink(path)


def test_a_second_start_is_refused(suite):
    out = subprocess.run(
        [str(BIN / "postern-start")], capture_output=True, text=True,
        env={"POSTERN_ROOT": suite.folder, "PATH": os.environ["PATH"]})
    assert out.returncode == 111 and "already runs" in out.stderr


def test_stop_and_start_again_keeps_everything():
    with Suite("--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry", "--control",
               "databytes=100000") as s:
        check_mail_flows(s)
        before = dict(s.env)
        mail = read_all(s)
        pids = s.roles()
        begun = time.monotonic()
        s.stop()
        assert time.monotonic() - begun < 10
        for role, pid in pids.items():
            assert ended(pid), role
        with pytest.raises(OSError):
            socket.create_connection(s.smtp, timeout=2)
        assert s.postern("status", check=False).returncode == 2
        s.options = []
        s.start()
        assert s.env == before
        assert read_all(s) == mail
        assert re.search(r"^databytes +file +100000$",
                         s.postern("show").stdout, re.M)
        check_mail_flows(s)


def test_a_clean_run_logs_no_warning():
    """But of resolvers without signatures and a kernel without Landlock."""
    with Suite("--no-first-message", "--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry") as s:
        check_mail_flows(s)
        s.stop()
        loud = [line for line in s.log().splitlines()
                if "level=info" not in line and "event=dnssec " not in line
                and "event=no-landlock" not in line]
        assert loud == []


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


def greetings(suite, n):
    """What n clients at a time are told first."""
    socks = [socket.create_connection(suite.smtp, timeout=10)
             for _ in range(n)]
    out = [s.recv(3) for s in socks]
    for s in socks:
        reset(s)
    return sorted(out)


def children_of(suite, role):
    pid = suite.roles()[role]
    return [int(x) for x in pathlib.Path(
        f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_places_come_back():
    """However clients, spares and sessions go: no place is lost or made."""
    steps = (b"", b"EHLO x\r\n", b"MAIL FROM:<a@b.fr>\r\n",
             b"RCPT TO:<bob@hamburger.edu>\r\n", b"DATA\r\n", b"x\r\n" * 99)
    with Suite("--no-first-message", "--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry", "--control",
               "concurrencyperip=20") as s:
        for i in range(1500):
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                c = socket.create_connection(s.smtp, timeout=10)
                if i % 7:
                    c.recv(100)
                c.sendall(b"".join(steps[:i % 7]))
            reset(c)
            if i % 50 == 0:
                pid = random.choice(children_of(s, "smtpd") or [None])
                with contextlib.suppress(TypeError, ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        wait_for(lambda: greetings(s, 25) == [b"220"] * 20 + [b"421"] * 5,
                 10, "20 places, and no more")
        # the newest waits behind nobody who says nothing
        held = [socket.create_connection(s.smtp) for _ in range(25)]
        with socket.create_connection(s.smtp, timeout=5, source_address=(
                "127.0.0.9", 0)) as other:
            assert other.recv(3) == b"220"
        for c in held:
            reset(c)
        wait_for(lambda: greetings(s, 20) == [b"220"] * 20, 10, "places")

        def flows():
            try:
                check_mail_flows(s)
                return True
            except smtplib.SMTPConnectError:
                return False  # the last 20 are not quite gone
        wait_for(flows, 10, "a place, and mail")
        assert "session-crashed" not in s.log()


def test_sigterm_with_sessions_open():
    with Suite("--no-first-message") as s:
        connections = [socket.create_connection(a, timeout=20)
                       for a in (s.smtp, s.pop3) for _ in range(5)]
        for c in connections:
            assert c.recv(200)
        # one of them in the middle of a mailbox
        p = poplib.POP3(*s.pop3, timeout=20)
        p.user(s.env["USER_1"])
        p.pass_(s.env["PASSWORD_1"])
        begun = time.monotonic()
        s.stop()
        assert time.monotonic() - begun < 10
        left = subprocess.run(["pgrep", "-f", f"^postern-.*"],
                              capture_output=True, text=True).stdout.split()
        ours = [pid for pid in left if os.path.exists(f"/proc/{pid}/environ")
                and s.folder.encode() in environ(pid)]
        assert not ours
        for c in connections:
            c.settimeout(5)
            rest = c.recv(200)
            assert rest == b"" or rest.startswith((b"421 ", b"-ERR"))


def ended(pid):
    """Gone, or a zombie that its new parent has not reaped yet."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def environ(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return f.read()
    except OSError:
        return b""


def test_start_killed_takes_its_roles_along_and_starts_again():
    with Suite("--no-first-message", "--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry") as s:
        pids = s.roles()
        os.kill(pids["start"], signal.SIGKILL)
        wait_for(lambda: all(map(ended, pids.values())), 5, "the end")
        s.options = []
        s.start()
        check_mail_flows(s)


def test_try_options():
    with Suite("--no-first-message", "--domain", "crepes.fr", "--domain",
               "hamburger.edu", "--user", "alice@crepes.fr:wonder", "--user",
               "bob@hamburger.edu:hun'gry x", "--route",
               "elsewhere.test=127.0.0.1:2599", "--resolver",
               "127.0.0.1:5399", "--control", "relayclients=127.0.0.1",
               "--control", "relayclients=10.0.0.0/8") as s:
        control = f"{s.folder}/etc/postern"
        assert open(f"{control}/smtproutes").read() == \
            "elsewhere.test:127.0.0.1:2599\n"
        assert open(f"{control}/resolvers").read() == "127.0.0.1@5399\n"
        assert open(f"{control}/locals").read() == "crepes.fr\nhamburger.edu\n"
        assert open(f"{control}/relayclients").read() == \
            "127.0.0.1\n10.0.0.0/8\n"
        assert s.env["USER_1"] == "alice@crepes.fr"
        out = subprocess.run(
            ["sh", "-c", '. "$0/try.env"; echo "$PASSWORD_2"', s.folder],
            capture_output=True, text=True)
        assert out.stdout == "hun'gry x\n"
        mark = uuid.uuid4().hex
        send(s, f"Subject: x\n\n{mark}\n", sender="bob@hamburger.edu",
             to="alice@crepes.fr")
        arrives(s, mark, user="alice@crepes.fr", password="wonder")
        files = os.listdir(os.path.join(s.env["MAILDIR_1"], "new")) + \
            os.listdir(os.path.join(s.env["MAILDIR_1"], "cur"))
        assert len(files) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="making an account needs root")
def test_system_user():
    name = f"ptest{os.getpid() % 100000}"
    subprocess.run(["useradd", "-m", name], check=True)
    try:
        with Suite("--no-first-message", "--domain", "hamburger.edu",
                   "--system-user", name) as s:
            assert s.env["USER_1"] == f"{name}@hamburger.edu"
            assert s.env["MAILDIR_1"] == f"/home/{name}/Maildir"
            mark = uuid.uuid4().hex
            send(s, f"Subject: x\n\n{mark}\n", to=s.env["USER_1"])
            arrives(s, mark, user=s.env["USER_1"],
                    password=s.env["PASSWORD_1"])
            assert arrives(s, mark, user=name, password=s.env["PASSWORD_1"])
            owner = os.stat(f"/home/{name}/Maildir/new").st_uid
            assert owner == os.stat(f"/home/{name}").st_uid
    finally:
        subprocess.run(["userdel", "-r", name], stderr=subprocess.DEVNULL)


@pytest.mark.skipif(os.geteuid() != 0, reason="making an account needs root")
def test_a_new_account_is_known_at_once():
    name = f"pnew{os.getpid() % 100000}"
    with Suite("--no-first-message", "--domain", "hamburger.edu") as s:
        assert s.postern("why", f"{name}@hamburger.edu",
                         check=False).returncode == 1
        subprocess.run(["useradd", "-m", name], check=True)
        try:
            wait_for(lambda: s.postern(
                "why", f"{name}@hamburger.edu", check=False).returncode == 0,
                5, "the new account")
        finally:
            subprocess.run(["userdel", "-r", name], stderr=subprocess.DEVNULL)


def test_try_in_the_foreground_until_ctrl_c():
    import tempfile
    folder = tempfile.mkdtemp(prefix="postern-test-")
    try:
        run = subprocess.Popen(
            [str(TOP / "install/try"), folder],
            env={**os.environ, "POSTERN_BIN": str(BIN)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)
        lines = []
        for line in run.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        text = "".join(lines)
        assert "C: MAIL FROM:<" in text and "Subject: It works" in text, text
        os.killpg(run.pid, signal.SIGINT)  # what a terminal does
        rest = run.stdout.read()
        assert run.wait(20) == 0 and "Stopped." in rest
    finally:
        subprocess.run(["rm", "-rf", folder])


def test_usage():
    for args in (["--user", "bob"], ["--nonsense"], ["a", "b"], ["--domain"]):
        out = subprocess.run([str(TOP / "install/try"), *args],
                             capture_output=True, text=True, cwd="/tmp")
        assert out.returncode != 0 and out.stderr, args
    for args, code in (([], 100), (["--help"], 0), (["nosuch"], 100),
                       (["--version"], 0), (["show", "nosuch"], 100)):
        out = subprocess.run([str(BIN / "postern"), *args],
                             capture_output=True, text=True)
        assert out.returncode == code, (args, out)


def test_a_stop_makes_no_copies():
    """What the next hop is about to answer is marked before the end."""
    taken = []

    def slowly(conn, line):
        taken.append(time.monotonic())
        time.sleep(1)
        return b"250 2.0.0 taken\r\n"

    with Peer({"BODY": slowly}) as peer, Suite(
            "--no-first-message", "--control", "relayclients=127.0.0.1",
            "--route", f"far.test=127.0.0.1:{peer.address[1]}") as s:
        with smtplib.SMTP(*s.smtp) as smtp:
            smtp.sendmail("a@b.test", "bob@far.test", "Subject: one\n\nx\n")
        wait_for(lambda: taken, 10, "the message at the next hop")
        s.stop()
        s.start()
        s.wait_log("event=scheduling messages=0", count=2)
        assert len(taken) == 1
