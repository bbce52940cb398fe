# SPDX-License-Identifier: ISC
"""postern-become and postern-local: what qmgr sees, and what is in Maildirs."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from local_harness import (Agent, Become, OWNER, ROOT, User, body_fd, new,
                           packet, text, u32, u64, wait_until)

BOB = ("bob@hamburger.edu", "hamburger.edu/bob")
needs_root = pytest.mark.skipif(not ROOT, reason="makes users: needs root")


def ident():
    return int(time.time() * 1e6)


@pytest.fixture
def become():
    with Become() as b:
        yield b


@pytest.fixture
def user():
    with User() as u:
        yield u


def delivered(path):
    """The contents of new/, in the order of names."""
    return [pathlib.Path(path, "new", n).read_bytes() for n in new(path)]


# ---- virtual users ----

def test_virtual_delivery(become):
    a = become.local()
    i = ident()
    assert a.deliver(i, *BOB, body=b"Subject: x\n\none\ntwo\n") == (
        "K", "2.0.0 delivered")
    box = become.mail + "/hamburger.edu/bob"
    content = (b"Return-Path: <alice@crepes.fr>\n"
               b"Delivered-To: bob@hamburger.edu\n"
               b"Subject: x\n\none\ntwo\n")
    assert delivered(box) == [content]
    name, = new(box)
    seconds, unique, _ = name.split(".", 2)
    assert int(seconds) == i // 1000000
    assert unique.startswith(f"Q{i:016x}R")
    assert name.endswith(f",S={len(content)},W={len(content) + 6}")
    for part in ("", "/tmp", "/new", "/cur", "/.."):
        st = os.stat(box + part)
        assert (st.st_mode & 0o7777, st.st_uid) == (0o700, OWNER.pw_uid)
    assert os.stat(f"{box}/new/{name}").st_mode & 0o7777 == 0o600
    assert os.listdir(box + "/tmp") == []


def test_null_sender(become):
    a = become.local()
    a.deliver(ident(), *BOB, sender="")
    got, = delivered(become.mail + "/hamburger.edu/bob")
    assert got.startswith(b"Return-Path: <>\n")


def test_several_recipients_of_one_job(become):
    a = become.local()
    i = ident()
    a.job(i, [(n, f"u{n}@x.org", f"x.org/u{n}") for n in range(100)])
    seen = {}
    while len(seen) < 100:
        kind, got, items = a.receive()
        assert (kind, got) == ("R", i)
        seen.update({idx: verdict for idx, verdict, _ in items})
    assert seen == {n: "K" for n in range(100)}
    for n in range(100):
        got, = delivered(f"{become.mail}/x.org/u{n}")
        assert b"Delivered-To: u%d@x.org\n" % n in got


def test_many_jobs_in_flight(become):
    a = become.local()
    base = ident()
    for n in range(60):
        a.job(base + n, [(n, f"u{n % 7}@x.org", f"x.org/u{n % 7}")],
              body=b"\n%d\n" % n)
    done = {}
    while len(done) < 60:
        kind, i, items = a.receive()
        assert kind == "R"
        done[i - base] = items
        a.acknowledge(i, *[item[0] for item in items])
    assert all(done[n] == [(n, "K", "2.0.0 delivered")] for n in range(60))
    assert sum(len(new(f"{become.mail}/x.org/u{k}")) for k in range(7)) == 60


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200001])
def test_sizes_and_offset(become, size):
    """The body is `size` bytes from an offset, whatever lies around it."""
    a = become.local()
    body = (b"\n" + b"0123456789abcde\n" * (size // 16 + 1))[:size]
    fd = body_fd(b"before" * 100 + body + b"behind")
    assert a.deliver(ident(), *BOB, fd=fd, offset=600, size=size)[0] == "K"
    os.close(fd)
    box = become.mail + "/hamburger.edu/bob"
    got, = delivered(box)
    assert got.split(b"Delivered-To: bob@hamburger.edu\n")[1] == body
    octets = f",W={len(got) + got.count(10)}" if got.endswith(b"\n") else ""
    assert new(box)[0].endswith(f",S={len(got)}{octets}")


def test_fifty_megabytes(become):
    a = become.local()
    body = b"\n" + b"x" * 75 + b"\n"
    body = body * (50 * 1024 * 1024 // len(body))
    assert a.deliver(ident(), *BOB, body=body)[0] == "K"
    got, = delivered(become.mail + "/hamburger.edu/bob")
    assert got.endswith(body)


def test_body_shorter_than_said(become):
    a = become.local()
    assert a.deliver(ident(), *BOB, body=b"\nshort\n", size=1000) == (
        "Z", "4.3.0 the queue gave less of the message than it said")
    assert not os.path.exists(become.mail + "/hamburger.edu/bob/new") or \
        new(become.mail + "/hamburger.edu/bob") == []


# ---- loops ----

@pytest.mark.parametrize("field,verdict,before", [
    (b"Delivered-To: bob@hamburger.edu\n", "D", 0),
    (b"delivered-to:  BOB@Hamburger.EDU \n", "D", 0),
    (b"X: y\nDelivered-To: bob@hamburger.edu\n", "D", 0),
    (b"Delivered-To: bobby@hamburger.edu\n", "K", 0),
    (b"X-Delivered-To: bob@hamburger.edu\n", "K", 0),
    (b"\nDelivered-To: bob@hamburger.edu\n", "K", 0),
    (b"Delivered-To: bob@hamburger.edu\n", "D", 200000),
])
def test_loop(become, field, verdict, before):
    a = become.local()
    field = b"X: y\n" * (before // 5) + field
    got = a.deliver(ident(), *BOB, body=field + b"Subject: x\n\nhello\n")
    assert got[0] == verdict
    if verdict == "D":
        assert got[1].startswith("5.4.6 ")


# ---- the same message again ----

def test_same_job_twice_is_one_copy(become):
    a = become.local()
    i = ident()
    assert a.deliver(i, *BOB)[0] == "K"
    assert a.deliver(i, *BOB)[0] == "K"
    assert a.deliver(i, *BOB, flags=4)[0] == "K"
    assert len(new(become.mail + "/hamburger.edu/bob")) == 1
    # another message, and another recipient, are others
    assert a.deliver(i + 1, *BOB)[0] == "K"
    assert a.deliver(i, "bob-x@hamburger.edu", BOB[1])[0] == "K"
    assert len(new(become.mail + "/hamburger.edu/bob")) == 3


def test_same_job_twice_at_once(become):
    a = become.local()
    i = ident()
    for _ in range(5):
        a.job(i, [(0, *BOB), (1, *BOB), (2, "x" + BOB[0], BOB[1])])
    verdicts = []
    while len(verdicts) < 15:
        verdicts += [item[1] for item in a.receive()[2]]
    assert set(verdicts) == {"K"}
    assert len(new(become.mail + "/hamburger.edu/bob")) == 2


def test_found_in_cur(become):
    a = become.local()
    i = ident()
    a.deliver(i, *BOB)
    box = become.mail + "/hamburger.edu/bob"
    name, = new(box)
    os.rename(f"{box}/new/{name}", f"{box}/cur/{name}:2,S")
    assert a.deliver(i, *BOB, flags=4)[0] == "K"
    assert new(box) == []
    # delivered while this local lived, moved after it had looked
    assert a.deliver(i + 1, *BOB, flags=4)[0] == "K"
    name, = new(box)
    os.rename(f"{box}/new/{name}", f"{box}/cur/{name}:2,RS")
    assert a.deliver(i + 1, *BOB, flags=4)[0] == "K"
    assert new(box) == []


def test_torn_copy_is_replaced(become):
    """A file system that lost data which it had acknowledged."""
    a = become.local()
    i = ident()
    a.deliver(i, *BOB)
    box = become.mail + "/hamburger.edu/bob"
    name, = new(box)
    whole = pathlib.Path(box, "new", name).read_bytes()
    for flags in (0, 4):
        os.truncate(f"{box}/new/{name}", 10)
        assert a.deliver(i, *BOB, flags=flags)[0] == "K"
        assert delivered(box) == [whole]
    assert "torn-delivery" in become.log()


def test_leftover_in_tmp(become):
    a = become.local()
    i = ident()
    a.deliver(i, *BOB)
    box = become.mail + "/hamburger.edu/bob"
    name, = new(box)
    tmp = name.split(".vm")[0] if ".vm" in name else \
        ".".join(name.split(".")[:2])
    os.unlink(f"{box}/new/{name}")
    pathlib.Path(box, "tmp", tmp).write_text("half of it")
    os.chown(f"{box}/tmp/{tmp}", OWNER.pw_uid, OWNER.pw_gid)
    assert a.deliver(i, *BOB)[0] == "K"
    assert new(box) == [name] and os.listdir(box + "/tmp") == []


def test_stale_tmp_is_removed(become):
    a = become.local()
    a.deliver(ident(), *BOB)
    box = become.mail + "/hamburger.edu/bob"
    for name, age in (("old", 37 * 3600), ("young", 35 * 3600)):
        path = f"{box}/tmp/{name}"
        pathlib.Path(path).write_text("x")
        os.utime(path, (time.time() - age,) * 2)
    for _ in range(64):  # one box in so many is cleaned
        a.deliver(ident(), *BOB)
    assert os.listdir(box + "/tmp") == ["young"]


# ---- what stands in the way ----

def test_symbolic_links_are_not_followed(become):
    outside = os.path.join(become.folder, "outside")
    for part in ("", "/tmp", "/new", "/cur"):
        os.makedirs(outside + part, exist_ok=True)
        os.chown(outside + part, OWNER.pw_uid, OWNER.pw_gid)
    mail = become.mail
    a = become.local()
    os.symlink(outside, f"{mail}/link")
    os.makedirs(f"{mail}/real")
    os.symlink(outside + "/new", f"{mail}/real/new")
    os.symlink(outside + "/tmp", f"{mail}/real/tmp")
    os.makedirs(f"{mail}/half/tmp")
    os.symlink("../../outside/new", f"{mail}/half/new")
    for path in ("real", "half", "half/tmp"):
        os.chown(f"{mail}/{path}", OWNER.pw_uid, OWNER.pw_gid)
    for target in ("link", "real", "half", "link/../outside", "../outside",
                   "/etc", "", "a//b", "./a", "a/.", "a/../b"):
        verdict, words = a.deliver(ident(), BOB[0], target)
        assert verdict == "Z", (target, words)
        assert words.startswith(("4.2.1 ", "4.3.5 ")), words
    assert [f for _, _, files in os.walk(outside) for f in files] == []
    assert sorted(os.listdir(become.folder)) == ["control", "log", "mail",
                                                 "outside"]


def test_mailbox_that_is_a_file(become):
    pathlib.Path(become.mail, "file").write_text("x")
    assert become.local().deliver(ident(), BOB[0], "file")[0] == "Z"


@needs_root
def test_disk_full(tmp_path):
    """A tmpfs of 256 KiB: deferred, nothing half there, and well again."""
    mail = str(tmp_path / "mail")
    os.makedirs(mail)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "postern-test",
                    mail], check=True)
    try:
        for parent in tmp_path.parents:
            if parent.name:
                os.chmod(parent, 0o755) if parent.stat().st_uid == 0 and \
                    str(parent).startswith("/tmp/pytest") else None
        os.chmod(tmp_path, 0o755)
        with Become(mail=mail) as b:
            a = b.local()
            body = b"\n" + b"x" * 150000 + b"\n"
            assert a.deliver(ident(), *BOB, body=body)[0] == "K"
            verdict, words = a.deliver(ident(), *BOB, body=body)
            assert (verdict, words) == (
                "Z", "4.3.1 no space left on the mailbox's disk")
            box = mail + "/hamburger.edu/bob"
            assert len(new(box)) == 1 and os.listdir(box + "/tmp") == []
            assert a.deliver(ident(), *BOB)[0] == "K"
            os.unlink(f"{box}/new/{new(box)[0]}")
            assert a.deliver(ident(), *BOB, body=body)[0] == "K"
    finally:
        subprocess.run(["umount", "-l", mail], check=True)


@pytest.mark.parametrize("packet", [
    b"J", b"J" + b"\0" * 33, b"Q", b"J" + u64(1) * 4 + b"\0" + u32(1 << 31),
    b"J" + u64(1) * 4 + b"\0" + u32(0) + u32(2 ** 32 - 1),
    b"J" + u64(1) * 4 + b"\0" + text("a\nb") + u32(0),
    b"J" + u64(1) * 4 + b"\0" + text("a@b") + u32(1) + u32(0) +
    text("a\nb@c") + text("x"),
    b"J" + u64(1) * 4 + b"\0" + text("x" * 255) + u32(0),
    b"J" + u64(1) + u64(1) + u64(1 << 63) + u64(1) + b"\0" + text("") + u32(0),
])
@pytest.mark.parametrize("with_fd", [0, 1, 2])
def test_hostile_packets(become, packet, with_fd):
    """A job that makes no sense costs its socket, never the process."""
    a = become.local()
    fds = [body_fd(b"x") for _ in range(with_fd)]
    socket.send_fds(a.sock, [packet], fds)
    for fd in fds:
        os.close(fd)
    assert a.receive() is None
    b = become.local()
    assert b.deliver(ident(), *BOB)[0] == "K"
    assert len(become.locals()) == 1


# ---- links and processes ----

def test_one_local_for_a_user(become):
    a = become.local()
    first = become.locals()
    b = become.local()
    assert become.locals() == first and len(first) == 1
    assert a.receive() is None  # the older socket is dropped
    assert b.deliver(ident(), *BOB)[0] == "K"


def test_more_requests_do_not_keep_answers_back(become):
    """Those that were started are told of while others still ask."""
    userd, count = become.link("userd"), 60
    near, far = socket.socketpair()
    fds = [far.fileno()] * 3
    for key in range(count + 1):  # the last one is refused at once
        user = "" if key < count else "no.such.user"
        socket.send_fds(userd, [
            b"P" + u64(key) + text(user) + text("x.org/bob") +
            text("sid") + text("127.0.0.1") + text("bob") + text("")], fds)
    far.close()
    answers = [packet(userd, 20).type for _ in range(count + 1)]
    near.close()
    assert sorted(answers) == ["K"] * count + ["Z"]
    assert answers[0] == "K"


def test_logins_do_not_take_the_room_of_deliveries(become):
    userd, count = become.link("userd"), 2000
    near, far = socket.socketpair()
    for key in range(count):
        socket.send_fds(userd, [
            b"P" + u64(key) + text("") + text("x.org/bob") + text("sid") +
            text("127.0.0.1") + text("bob") + text("")], [far.fileno()] * 3)
        assert packet(userd, 20).type == "K"
    far.close()
    assert become.local().deliver(ident(), *BOB)[0] == "K"
    near.close()


def test_local_ends_when_its_socket_is_closed(become):
    a = become.local()
    a.deliver(ident(), *BOB)
    a.sock.close()
    wait_until(lambda: become.locals() == [])
    assert become.local().deliver(ident(), *BOB)[0] == "K"


def test_the_template_may_die(become):
    """A local outlives it; the next one comes of another."""
    a = become.local()
    first, = become.processes("template")
    os.kill(first, signal.SIGKILL)
    assert a.deliver(ident(), *BOB)[0] == "K"
    a.sock.close()
    wait_until(lambda: become.locals() == [])
    assert become.local().deliver(ident(), *BOB)[0] == "K"
    second, = become.processes("template")
    assert second != first


@pytest.mark.parametrize("number,stays", [(signal.SIGABRT, False),
                                          (signal.SIGTERM, True)])
def test_a_crash_costs_the_template(become, number, stays):
    """An address layout is not tried twice."""
    a = become.local()
    first = become.processes("template")
    os.kill(become.locals()[0], number)
    assert a.receive() is None
    wait_until(lambda: "event=child-died" in become.log())
    assert become.local().deliver(ident(), *BOB)[0] == "K"
    wait_until(lambda: len(become.processes("template")) == 1)
    assert (become.processes("template") == first) == stays


def test_a_template_is_not_used_for_ever(become):
    """After a thousand locals another one takes over; none is lost."""
    become.local().sock.close()
    first = become.processes("template")
    for _ in range(1000):
        for pid in become.locals():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        become.local().sock.close()
    assert become.processes("template") != first


def test_reports_survive_a_new_qmgr(become):
    a = become.local()
    base = ident()
    for n in range(3):
        a.job(base + n, [(n, *BOB)])
    reports = [a.receive() for _ in range(3)]
    a.acknowledge(base + 1, 1)
    assert a.deliver(base + 3, *BOB)[0] == "K"  # so the K has been read
    a.sock.close()
    become.qmgr.close()
    become.qmgr = become.link("qmgr")
    _, sock = become.answer(0, "", resumed=1)
    assert packet(become.qmgr).type == "E"
    again = Agent(sock)
    got = [again.receive() for _ in range(2)]
    assert sorted(got) == sorted([reports[0], reports[2]])
    assert again.receive() == ("E",)
    # sent again by a careful qmgr: nothing is delivered, one report each
    again.job(base, [(0, *BOB)], flags=4)
    assert again.deliver(base + 4, *BOB)[0] == "K"
    again.acknowledge(base, 0)
    again.acknowledge(base + 2, 2)
    assert len(new(become.mail + "/hamburger.edu/bob")) == 5


def test_refused_users(become):
    for name in ("root", "daemon", "nobody", "posternm", "no-such-user-here",
                 "-x", "a/b", "a\0b", "a:b"):
        kind, verdict, words = become.ask(name)
        assert kind == "F"
        if ROOT:
            assert verdict == "D" and words.startswith("5."), (name, words)
    assert become.locals() == []


def test_bad_packet_costs_become_a_link_only(become):
    become.qmgr.send(b"L" + u64(1) + text("x" * 100))
    assert packet(become.qmgr) is None
    become.qmgr = become.link("qmgr")
    assert packet(become.qmgr).type == "E"
    assert become.local().deliver(ident(), *BOB)[0] == "K"


def test_kill_and_redeliver_is_one_copy(become):
    """kill -9 at any moment; whatever was not reported comes again."""
    box = become.mail + "/x.org/u"
    base, count = ident(), 40
    body = b"\n" + b"x" * 3000 + b"\n"
    for attempt in range(15):
        a = become.local()
        pid, = become.locals()
        for n in range(count):
            try:
                a.job(base + n, [(n, "u@x.org", "x.org/u")], body=body,
                      flags=4 if attempt else 0)
            except OSError:
                break
        time.sleep(attempt * 0.0007)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: become.locals() == [])
        a.sock.close()
        for name in new(box) if os.path.isdir(box + "/new") else []:
            st = os.stat(f"{box}/new/{name}")
            assert f",S={st.st_size}," in name  # whole, or not there
            if len(name) % 3 == 0:
                os.rename(f"{box}/new/{name}", f"{box}/cur/{name}:2,S")
        base += count if attempt % 5 == 4 else 0
    a = become.local()
    for n in range(count):
        a.job(base + n, [(n, "u@x.org", "x.org/u")], body=body, flags=4)
    done = set()
    while len(done) < count:
        _, i, items = a.receive()
        assert all(verdict == "K" for _, verdict, _ in items)
        done.add(i)
        a.acknowledge(i, *[item[0] for item in items])
    names = new(box) + os.listdir(box + "/cur")
    uniques = [name.split(".")[1] for name in names]
    assert len(uniques) == len(set(uniques))
    for n in range(count):
        assert any(u.startswith(f"Q{base + n:016x}R") for u in uniques)


def test_orphans_finish_and_make_room():
    """become dies; the local it leaves ends, and the next become's takes over."""
    with Become() as first:
        a = first.local()
        assert a.deliver(ident(), *BOB)[0] == "K"
        pid, = first.locals()
        first.process.kill()
        first.process.wait()
        assert a.receive() is None
        wait_until(lambda: not os.path.exists(f"/proc/{pid}") or
                   open(f"/proc/{pid}/stat").read().split()[2] == "Z")
        with Become(mail=first.mail) as second:
            assert second.local().deliver(ident(), *BOB)[0] == "K"
        assert len(new(first.mail + "/hamburger.edu/bob")) == 2


# ---- confinement ----

def status(pid, key):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(key + ":"):
            return line.split(None, 1)[1].strip()
    return None


def test_confinement(become):
    agent = become.local()
    pid, = become.locals()
    assert status(pid, "NoNewPrivs") == "1"
    assert status(pid, "Seccomp") == "2"
    assert status(pid, "Seccomp_filters") == "2"
    assert status(pid, "CapEff") == "0000000000000000"
    assert set(status(pid, "Uid").split()) == {str(OWNER.pw_uid)}
    top = become.process.pid
    assert status(top, "NoNewPrivs") == "1" and status(top, "Seccomp") == "2"
    if ROOT:
        assert status(top, "CapEff") == "00000000000000c0"  # setuid, setgid
        assert int(status(pid, "Groups") or OWNER.pw_gid) == OWNER.pw_gid
        check_descriptors(become, pid)
    agent.sock.close()


def check_descriptors(become, pid):
    fds = {n: os.readlink(f"/proc/{pid}/fd/{n}")
           for n in os.listdir(f"/proc/{pid}/fd")}
    assert fds["4"] == become.mail
    kinds = sorted(v.split(":")[0] for n, v in fds.items()
                   if int(n) > 2)
    assert kinds == sorted([become.mail, "socket", "socket", "anon_inode"])


# ---- logins ----

def test_login_without_pop3d_or_right(become):
    userd = become.link("userd")
    fds = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]

    def login(user, n=3):
        data = b"P" + u64(77) + text(user)
        for field in ("x.org/bob", "sid", "192.0.2.1", "bob@x.org", ""):
            data += text(field)
        socket.send_fds(userd, [data], fds[:n])
        return packet(userd)

    p = login("root" if ROOT else "daemon")
    assert p.type == "Z" and p.u64() == 77
    assert login("", 2) is None  # a malformed one costs the link
    userd = become.link("userd")
    p = login("")
    if not os.path.exists(os.path.join(os.path.dirname(
            f"/proc/{become.process.pid}/exe"), "postern-pop3d")):
        assert p.type in "KZ" and p.u64() == 77
    for fd in fds:
        os.close(fd)


# ---- system users ----

@needs_root
class TestSystemUser:
    def test_default_delivery(self, become, user):
        a = become.local(user.name)
        assert a.deliver(ident(), user.name + "@x.org", "")[0] == "K"
        box = user.home + "/Maildir"
        assert len(new(box)) == 1
        st = os.stat(f"{box}/new/{new(box)[0]}")
        assert (st.st_uid, st.st_gid) == (user.entry.pw_uid,
                                          user.entry.pw_gid)

    def test_own_locals(self, become, user):
        agents = become.local(), become.local(user.name)
        uids = {int(status(p, "Uid").split()[0]) for p in become.locals()}
        assert uids == {OWNER.pw_uid, user.entry.pw_uid}
        assert len(agents) == 2  # a local whose job socket is closed ends

    def test_lines(self, become, user):
        user.write(".qmail", "# a comment\n./Maildir/\n./Mail/list/  \n"
                   f"{user.home}/Third/\n\n")
        a = become.local(user.name)
        i = ident()
        assert a.deliver(i, user.name + "@x.org", "")[0] == "K"
        for name in ("Maildir", "Mail/list", "Third"):
            assert len(new(f"{user.home}/{name}")) == 1

    def test_one_maildir_twice(self, become, user):
        user.write(".qmail", f"./Maildir/\n{user.home}/Maildir/\n")
        a = become.local(user.name)
        assert a.deliver(ident(), user.name + "@x.org", "")[0] == "K"
        assert len(new(user.home + "/Maildir")) == 1

    def test_forwards(self, become, user):
        user.write(".qmail", "./Maildir/\n&carol@y.org\ndave@z.org\n&eve\n")
        a = become.local(user.name)
        assert a.deliver(ident(), user.name + "@x.org", "") == [
            "carol@y.org", "dave@z.org", "eve@x.org"]
        assert len(new(user.home + "/Maildir")) == 1

    @pytest.mark.parametrize("line", ["./Maildir/", "|true", "&carol@y.org",
                                      "./Maildir/\n|true\n&carol@y.org"])
    def test_more_recipients_than_are_begun_at_a_time(
            self, become, user, line):
        """Of one message: the rest waits in local, and is not deferred."""
        user.write(".qmail-default", line + "\n")
        a = become.local(user.name)
        i, left = ident(), set(range(200))
        a.job(i, [(n, f"{user.name}-{n}@x.org", str(n)) for n in left])
        while left:
            kind, _, *said = a.receive()
            got = [(said[0], said[1])] if kind == "W" else \
                [(n, verdict) for n, verdict, _ in said[0]]
            for n, what in got:
                assert what == (["carol@y.org"] if "&" in line else "K")
                left.remove(n)
            a.acknowledge(i, *(n for n, _ in got))
        if "Maildir" in line:
            assert len(new(user.home + "/Maildir")) == 200

    def test_forward_is_kept_until_acknowledged(self, become, user):
        user.write(".qmail", "&carol@y.org\n")
        a = become.local(user.name)
        i = ident()
        a.job(i, [(5, user.name + "@x.org", "")])
        assert a.receive() == ("W", i, 5, ["carol@y.org"])
        b = Agent(become.ask(user.name)[1])  # the same local, a new socket
        assert b.receive() == ("W", i, 5, ["carol@y.org"])
        assert b.receive() == ("E",)
        b.acknowledge(i, 5)
        c = become.local(user.name)  # nothing is kept now
        c.sock.close()

    def test_only_comments_drop_the_mail(self, become, user):
        user.write(".qmail", "# nothing\n")
        assert become.local(user.name).deliver(
            ident(), user.name + "@x.org", "")[0] == "K"
        assert not os.path.exists(user.home + "/Maildir")

    def test_empty_file_is_the_default(self, become, user):
        user.write(".qmail", "")
        assert become.local(user.name).deliver(
            ident(), user.name + "@x.org", "")[0] == "K"
        assert len(new(user.home + "/Maildir")) == 1

    def test_extensions(self, become, user):
        user.write(".qmail-list", "./list/\n")
        user.write(".qmail-a-default", "./a/\n")
        a = become.local(user.name)

        def at(ext):
            return a.deliver(ident(), f"{user.name}-{ext}@x.org", ext)
        assert at("list")[0] == "K" and at("LIST")[0] == "K"
        assert at("a-b-c")[0] == "K"
        assert at("a") == ("D", "5.1.1 no mailbox here by that name")
        assert at("../x") == ("D", "5.1.1 no mailbox here by that name")
        user.write(".qmail-default", "./rest/\n")
        assert at("a")[0] == "K" and at("x.y")[0] == "K"
        user.write(".qmail-x:y", "./xy/\n")
        assert at("X.Y")[0] == "K"
        counts = {d: len(new(f"{user.home}/{d}"))
                  for d in ("list", "a", "rest", "xy")}
        assert counts == {"list": 2, "a": 1, "rest": 2, "xy": 1}

    @pytest.mark.parametrize("content,mode,words", [
        ("./mbox\n", 0o600, "4.2.1 .qmail: mbox is not supported"),
        ("./Maildir/\n./mbox\n", 0o600, "4.2.1 .qmail: mbox"),
        ("\n./Maildir/\n", 0o600, "4.2.1 the first line of .qmail is blank"),
        ("/tmp/elsewhere/\n", 0o600, "4.2.1 .qmail names a Maildir outside"),
        ("./../other/\n", 0o600, "4.2.1 .qmail names a Maildir outside"),
        ("&not an address\n", 0o600, "4.2.1 .qmail forwards to what is no"),
        ("+list\n./Maildir/\n", 0o600, "4.7.0 .qmail has a delivery but"),
        ("./Maildir/\n", 0o700, "4.7.0 .qmail has a delivery but"),
        ("./Maildir/\n", 0o602, "4.7.0 .qmail can be written by others"),
        ("x" * 20000, 0o600, "4.2.1 .qmail is too large"),
    ])
    def test_deferred_files(self, become, user, content, mode, words):
        user.write(".qmail", content, mode)
        verdict, said = become.local(user.name).deliver(
            ident(), user.name + "@x.org", "")
        assert verdict == "Z" and said.startswith(words)
        assert not os.path.exists(user.home + "/Maildir")

    def test_home_modes(self, become, user):
        a = become.local(user.name)
        for mode, words in ((0o702, "4.7.0 the home"), (0o1700, "4.2.1 the")):
            os.chmod(user.home, mode)
            verdict, said = a.deliver(ident(), user.name + "@x.org", "")
            assert verdict == "Z" and said.startswith(words)
        os.chmod(user.home, 0o711)
        assert a.deliver(ident(), user.name + "@x.org", "")[0] == "K"

    def test_foreign_qmail_file(self, become, user):
        path = user.write(".qmail", "&carol@y.org\n", 0o644)
        os.chown(path, OWNER.pw_uid, OWNER.pw_gid)
        assert become.local(user.name).deliver(
            ident(), user.name + "@x.org", "") == (
                "Z", "4.7.0 .qmail is another user's")
        os.unlink(path)
        os.symlink("/etc/passwd", path)
        assert become.local(user.name).deliver(
            ident(), user.name + "@x.org", "") == (
                "Z", "4.7.0 .qmail is a symbolic link")

    def test_maildir_that_is_a_link(self, become, user):
        os.makedirs("/tmp/pt-elsewhere", exist_ok=True)
        try:
            os.chown("/tmp/pt-elsewhere", user.entry.pw_uid, -1)
            os.symlink("/tmp/pt-elsewhere", user.home + "/Maildir")
            verdict, _ = become.local(user.name).deliver(
                ident(), user.name + "@x.org", "")
            assert verdict == "Z"
            assert os.listdir("/tmp/pt-elsewhere") == []
        finally:
            shutil.rmtree("/tmp/pt-elsewhere")

    def test_missing_or_foreign_home(self, become, user):
        os.rename(user.home, user.home + ".away")
        try:
            kind, verdict, words = become.ask(user.name)
            assert (kind, verdict) == ("F", "Z")
            assert words == "4.2.1 the user's home directory does not exist"
            os.mkdir(user.home)
            assert become.ask(user.name)[1:] == (
                "Z", "4.2.1 the home directory is not the user's own")
            os.rmdir(user.home)
        finally:
            os.rename(user.home + ".away", user.home)
        assert become.local(user.name).deliver(
            ident(), user.name + "@x.org", "")[0] == "K"


@needs_root
class TestPrograms:
    def run(self, become, user, content, ext="", **more):
        user.write(".qmail" + ("-" + ext if ext else ""), content)
        address = user.name + ("-" + ext if ext else "") + "@mail.x.org"
        return become.local(user.name).deliver(
            ident(), address, ext, **more)

    def test_input_and_environment(self, become, user):
        assert self.run(
            become, user, "|cat > in; env > env; id -u > id; pwd > pwd\n",
            ext="a-b", body=b"Subject: p\n\nbody\n",
            birth=1000000000)[0] == "K"
        assert user.read("in") == "Subject: p\n\nbody\n"
        assert user.read("id").strip() == str(user.entry.pw_uid)
        assert user.read("pwd").strip() == user.home
        env = user.read("env")
        local = user.name + "-a-b"
        for line in ("SENDER=alice@crepes.fr", f"RECIPIENT={local}@mail.x.org",
                     f"LOCAL={local}", "HOST=mail.x.org", "HOST2=mail.x",
                     "HOST3=mail", "EXT=a-b", "EXT2=b", f"USER={user.name}",
                     f"HOME={user.home}", "RPLINE=Return-Path: "
                     "<alice@crepes.fr>", f"DTLINE=Delivered-To: {local}"
                     "@mail.x.org", "UFLINE=From alice@crepes.fr "
                     "Sun Sep  9 01:46:40 2001"):
            assert line + "\n" in env, line

    @pytest.mark.parametrize("code,verdict", [
        (0, "K"), (99, "K"), (100, "D"), (64, "D"), (112, "D"), (111, "Z"),
        (1, "Z")])
    def test_exit_codes(self, become, user, code, verdict):
        got = self.run(become, user,
                       f"|echo said; echo more >&2; exit {code}\n./after/\n")
        assert got[0] == verdict
        if verdict != "K":
            assert got[1] == {"D": "5.3.0", "Z": "4.3.0"}[verdict] + \
                f" program exited with {code}: said/more"
        assert os.path.exists(user.home + "/after") == (code == 0)

    def test_killed_by_a_signal(self, become, user):
        assert self.run(become, user, "|kill -9 $$\n") == (
            "Z", "4.3.0 program was killed by signal 9")

    def test_order_of_lines(self, become, user):
        assert self.run(
            become, user, "./one/\n|ls one/new | wc -l > seen; ls two; true"
            "\n./two/\n&carol@y.org\n|ls two/new | wc -l >> seen\n") == [
                "carol@y.org"]
        assert user.read("seen").split() == ["1", "1"]

    def test_99_keeps_the_forwards_above_it(self, become, user):
        assert self.run(become, user, "&a@y.org\n|exit 99\n&b@y.org\n") == [
            "a@y.org"]

    def test_deferral_does_not_repeat_a_delivery(self, become, user):
        user.write(".qmail", "./Maildir/\n|test -e ok || exit 111\n")
        box = user.home + "/Maildir"
        i = ident()
        a = become.local(user.name)
        assert a.deliver(i, user.name + "@x.org", "")[0] == "Z"
        name, = new(box)
        os.rename(f"{box}/new/{name}", f"{box}/cur/{name}:2,S")
        os.kill(become.locals()[0], signal.SIGKILL)
        wait_until(lambda: become.locals() == [])
        a = become.local(user.name)
        assert a.deliver(i, user.name + "@x.org", "")[0] == "Z"
        user.write("ok", "")
        assert a.deliver(i, user.name + "@x.org", "")[0] == "K"
        assert new(box) == [] and len(os.listdir(box + "/cur")) == 1

    @pytest.mark.parametrize("sender", [
        "() { :;};x@y.org", "a`id`@y.org", "a$x@y.org", "o'brien@y.org",
        "\"a b\"@y.org"])
    def test_unsafe_addresses(self, become, user, sender):
        got = self.run(become, user, "|touch ran\n", sender=sender)
        assert got[0] == "D" and got[1].startswith("5.1.7 ")
        assert not os.path.exists(user.home + "/ran")

    def test_message_may_be_read_anew(self, become, user):
        """Two programs, each from the beginning, though one seeks."""
        fd = body_fd(b"junk" + b"\nbody\n")
        user.write(".qmail", "|cat > a; cat > b\n|cat > c\n")
        assert become.local(user.name).deliver(
            ident(), user.name + "@x.org", "", fd=fd, offset=4,
            size=6)[0] == "K"
        os.close(fd)
        assert [user.read(n) for n in "abc"] == ["\nbody\n", "", "\nbody\n"]

    def test_many_at_once(self, become, user):
        user.write(".qmail", "|sleep 0.2; echo x >> count\n")
        a = become.local(user.name)
        base = ident()
        for n in range(24):
            a.job(base + n, [(0, user.name + "@x.org", "")])
        done = [a.receive() for _ in range(24)]
        assert {r[1] for r in done} == {base + n for n in range(24)}
        assert all(r[2][0][1] == "K" for r in done)
        assert len(user.read("count").split()) == 24

    def test_others_go_on_meanwhile(self, become, user):
        user.write(".qmail-slow", "|sleep 3\n")
        a = become.local(user.name)
        a.job(1, [(0, user.name + "-slow@x.org", "slow")])
        start = time.monotonic()
        for n in range(5):
            assert a.deliver(ident(), user.name + "@x.org", "")[0] == "K"
        assert time.monotonic() - start < 2.5
        assert a.receive() == ("R", 1, [(0, "K", "2.0.0 delivered")])

    def test_each_keeps_its_own_text(self, become, user):
        """A Maildir line behind a program's, others' mail meanwhile."""
        user.write(".qmail", "|sleep 0.3\n./Maildir/\n")
        a = become.local(user.name)
        base = ident()
        texts = [b"Subject: %d\n\n%s\n" % (n, b"text" * n) for n in range(5)]
        for n, text in enumerate(texts):
            a.job(base + n, [(0, user.name + "@x.org", "")], body=text)
        assert all(a.receive()[2][0][1] == "K" for _ in texts)
        found = [f.split(b"\n", 2)[2] for f in delivered(user.home + "/Maildir")]
        assert sorted(found) == sorted(texts)

    def test_in_flight_is_told(self, become, user):
        user.write(".qmail", "|sleep 1\n")
        a = become.local(user.name)
        i = ident()
        a.job(i, [(3, user.name + "@x.org", "")])
        time.sleep(0.3)
        b = Agent(become.ask(user.name)[1])
        assert b.receive() == ("I", i, [3])
        assert b.receive() == ("E",)
        b.job(i, [(3, user.name + "@x.org", "")], flags=4)  # ignored
        assert b.receive() == ("R", i, [(3, "K", "2.0.0 delivered")])
        b.acknowledge(i, 3)

    def test_program_is_not_confined_but_has_no_new_rights(
            self, become, user):
        assert self.run(become, user, "|grep -E 'NoNewPrivs|CapEff|filters' "
                        "/proc/self/status > s; ls -l /proc/self/fd > f; "
                        "cat /etc/hostname > /dev/null\n")[0] == "K"
        lines = dict(line.split() for line in user.read("s").splitlines())
        assert lines == {"NoNewPrivs:": "1", "Seccomp_filters:": "1",
                         "CapEff:": "0000000000000000"}
        numbers = [line.split()[8] for line in
                   user.read("f").splitlines()[1:]]
        assert sorted(int(n) for n in numbers) == [0, 1, 2, 3]  # 3: ls's own

    def runners(self, become):
        out = subprocess.run(["ps", "-o", "pid=,args=", "--ppid",
                              str(become.process.pid)], capture_output=True,
                             text=True).stdout
        return [int(line.split()[0]) for line in out.splitlines()
                if " programs " in line]

    def test_runner_is_there_from_the_first_program_on(self, become, user):
        a = become.local(user.name)
        address = user.name + "@x.org"
        assert a.deliver(ident(), address, "")[0] == "K"
        assert self.runners(become) == []
        user.write(".qmail", "|echo one >> out\n")
        assert a.deliver(ident(), address, "")[0] == "K"
        runner, = self.runners(become)
        assert a.deliver(ident(), address, "")[0] == "K"
        assert self.runners(become) == [runner]
        os.kill(runner, signal.SIGKILL)
        wait_until(lambda: "runner-lost" in become.log())
        assert a.deliver(ident(), address, "")[0] == "K"
        another, = self.runners(become)
        assert another != runner and user.read("out") == "one\n" * 3
        local, = become.locals()
        os.kill(local, signal.SIGKILL)
        wait_until(lambda: self.runners(become) == [])

    def test_killed_local_takes_its_programs_along(self, become, user):
        user.write(".qmail", "|echo $$ > pid; sleep 30\n")
        a = become.local(user.name)
        a.job(ident(), [(0, user.name + "@x.org", "")])
        path = pathlib.Path(user.home, "pid")
        wait_until(lambda: path.exists() and path.read_text().strip())
        pid = int(path.read_text())
        local, = become.locals()
        os.kill(local, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}") or
                   open(f"/proc/{pid}/stat").read().split()[2] == "Z")
