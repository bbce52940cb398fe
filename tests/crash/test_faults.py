# SPDX-License-Identifier: ISC
"""Failing calls: role x call x error x what the client sees.

A running suite; strace makes one kind of call of one role (and of what it
forks) fail while one thing is done, and then lets go.  Each time: the client
gets a 4xx or -ERR, or its mail is only late; the log says why; no daemon dies
that the table does not name; the same thing then works; and at the end every
message with a 250 is in its mailbox once, whole, and nothing is left over.

POSTERN_FAULTS=full runs the whole table (make check-faults); else the rows
marked short.
"""
from concurrent.futures import ThreadPoolExecutor
import collections
import contextlib
import hashlib
import os
import pathlib
import poplib
import re
import shutil
import smtplib
import subprocess
import time
import uuid

import pytest

import spools
from queued_world import frame
from suite import Suite, children, wait_for

FULL = os.environ.get("POSTERN_FAULTS") == "full"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("strace") or
    bool(os.environ.get("POSTERN_SANITIZED")) or
    "build-asan" in os.environ.get("POSTERN_BUILD", ""),
    reason="fault injection needs root and strace, and no sanitizer")

Row = collections.namedtuple("Row", "role call fault when act sees log dies")
ROWS = []


def row(role, call, faults, act, sees, log=None, when="1+", dies=False,
        short=()):
    """short: which of the faults `make check` tries, too."""
    for fault in faults.split():
        if FULL or fault in short:
            how = fault if fault.startswith("retval") else f"error={fault}"
            ROWS.append(Row(role, call, how.replace("short", "retval=16"),
                            when, act, sees, log, dies))


# What the client may see: 250 it is served as ever; 4xx it is told to come
# again; late: 250, and the delivery waits; soft: 250 or 4xx, for the call may
# be the client's session's or not; -ERR; closed: 4xx or the end of the
# connection, before anything was promised.
DISK = "ENOSPC EIO ENOMEM EMFILE EDQUOT"

row("queued", "pwritev2", "EIO ENOSPC ENOMEM EDQUOT EINTR retval=16 retval=0",
    "small", "4xx", "event=sync-failed", "1", short=("EIO", "retval=16"))
row("queued", "pwrite64", DISK, "large", "4xx", "event=large-message",
    short=("ENOSPC",))
row("queued", "openat", "ENOSPC EIO EMFILE ENFILE ENOMEM EDQUOT", "large",
    "4xx", "event=large-message", short=("EMFILE",))
row("queued", "pwrite64,openat", "EINTR", "large", "soft", when="1")
row("queued", "memfd_create", "EMFILE ENFILE ENOMEM", "small", "late",
    short=("ENOMEM",))
row("queued", "fstatfs", "EIO ENOMEM", "rested", "250", "event=statvfs")
row("queued", "recvmsg", "ENOMEM EINTR", "small", "250", when="1..3",
    short=("ENOMEM",))
row("settle", "openat", "ENOSPC EIO EMFILE ENFILE ENOMEM", "large", "4xx",
    "event=large-message", short=("EIO",))
row("settle", "fsync", "EIO ENOSPC EDQUOT", "large", "4xx",
    "event=large-message", short=("EIO",))
row("settle", "syncfs", "EIO ENOSPC", "larges", "soft")
row("settle", "sync_file_range", "EIO ENOSPC ENOMEM", "large", "soft")
row("settle", "renameat", "ENOSPC EIO ENOMEM EDQUOT", "large", "4xx",
    "event=large-message", short=("ENOSPC",))
row("settle", "mkdirat", "ENOSPC EIO ENOMEM EDQUOT", "next-folder", "soft")
row("settle", "unlinkat", "EIO ENOMEM", "gone", "250", "settle-failed")
row("settle", "fsync,renameat,openat,pwritev", "EINTR", "large", "soft",
    when="1")
row("local", "openat", "ENOSPC EIO EMFILE ENFILE ENOMEM EDQUOT", "small",
    "late", "event=(deferred|fail|.*)", short=("ENOSPC",))
row("local", "write,pwrite64,pwritev,writev,copy_file_range,sendfile",
    "ENOSPC EIO ENOMEM EDQUOT", "small", "late", short=("ENOSPC",))
row("local", "copy_file_range,write,pwrite64", "ENOSPC EIO EDQUOT", "large",
    "late")
row("local", "fsync,fdatasync,syncfs,sync_file_range", "EIO ENOSPC EDQUOT",
    "small", "late", short=("EIO",))
row("local", "renameat,renameat2,linkat,link", "ENOSPC EIO ENOMEM EDQUOT",
    "small", "late", short=("EIO",))
row("local", "pread64", "EIO ENOMEM", "small", "late", short=("EIO",))
row("local", "openat,renameat2,renameat,fsync,pread64", "EINTR", "small",
    "late", when="1")
row("local", "clone,clone3,fork,vfork", "EAGAIN ENOMEM", "start-local",
    "late", "event=fork", short=("EAGAIN",))
row("become", "clone,clone3,fork,vfork", "EAGAIN ENOMEM", "start-template",
    "late", short=("EAGAIN",))
row("become", "socketpair", "EMFILE ENFILE ENOMEM", "start-local", "late",
    short=("EMFILE",))
row("local", "openat", "EMFILE EIO ENOMEM", "start-local", "late")
row("become", "clone,clone3,fork,vfork", "EAGAIN ENOMEM", "pop3", "-ERR",
    short=("EAGAIN",))
row("become", "socketpair", "EMFILE ENFILE", "pop3", "-ERR")
row("pop3d", "openat", "EMFILE EIO ENOMEM ENFILE", "pop3", "-ERR",
    short=("EIO",))
row("pop3d", "getdents64", "EIO ENOMEM", "pop3", "-ERR")
row("pop3d", "unlinkat,renameat,renameat2", "EIO ENOSPC EDQUOT", "dele",
    "-ERR", short=("EIO",))
row("pop3d", "fsync,syncfs,fdatasync", "EIO ENOSPC", "dele", "soft")
row("listen-smtp", "accept4", "EMFILE ENFILE ENOMEM ENOBUFS", "small",
    "closed", "event=accept", "1", short=("EMFILE",))
row("listen-smtp", "accept4", "ECONNABORTED EINTR", "small", "250",
    when="1")
row("listen-smtp", "socketpair", "EMFILE ENFILE ENOMEM", "small", "closed",
    "event=refused", short=("EMFILE",))
row("listen-smtp", "pipe2", "EMFILE ENFILE", "small", "closed",
    "event=refused", short=("EMFILE",))
row("listen-pop3", "socketpair,pipe2", "EMFILE", "pop3", "-ERR",
    "event=refused")
row("smtpd", "clone,clone3,fork", "EAGAIN ENOMEM", "many", "closed",
    "event=fork", short=("EAGAIN",))
row("popup", "clone,clone3,fork", "EAGAIN ENOMEM", "manypop", "-ERR",
    "event=fork")
row("userd", "openat", "EIO EMFILE ENOMEM", "reload", "250",
    "event=reload|error", short=("EIO",))
row("userd", "accept4", "EMFILE ENFILE ENOMEM", "why", "250")
row("qmgr", "recvmsg", "ENOMEM", "small", "late", when="1..3",
    short=("ENOMEM",))
row("qmgr", "sendmsg,sendto", "ENOMEM ENOBUFS", "small", "late",
    when="1..3")
row("become", "recvmsg", "ENOMEM", "start-local", "late", when="1..3")
row("userd", "recvmsg,recvfrom", "ENOMEM", "small", "soft", when="1..3")


class Fault:
    """A call of a process, and of all that it forks, fails while this is
    open.  Only what the table names is traced."""

    def __init__(self, pids, r, folder):
        self.out = os.path.join(folder, "strace.out")
        self.command = ["strace", "-f", "-qq", "-o", self.out]
        for pid in pids:
            self.command += ["-p", str(pid)]
        # calls that this kernel or strace does not know are left out
        calls = r.call.split(",")
        if r.act == "larges":  # while one is synced, others gather
            calls.append("fsync")
            self.command += ["-e", "inject=fsync:delay_enter=30000"]
        self.command += ["-e", "trace=" + ",".join(calls), "-e",
                         f"inject={r.call}:{r.fault}:when={r.when}"]
        self.pids = pids

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def traced():
            assert self.process.poll() is None, self.process.stderr.read()
            return all("TracerPid:\t0" not in pathlib.Path(
                f"/proc/{p}/status").read_text() for p in self.pids)
        wait_for(traced, 10, "strace")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()

    def fired(self):
        return "(INJECTED)" in pathlib.Path(self.out).read_text(
            errors="replace")


class Bench:
    """A suite, and what was promised in it."""

    def __init__(self):
        self.suite = Suite(
            "--no-first-message", "--domain", "hamburger.edu",
            "--user", "bob@hamburger.edu:hungry",
            "--user", "pop@hamburger.edu:hungry",
            "--control", "journalsegments=6",
            "--control", "journalsegmentmb=1").start()
        self.promised = {}
        self.pop_mail()

    def body(self, size):
        mark = uuid.uuid4().hex
        return mark, f"Subject: {mark}\n\n" + "0123456789abcde\n" * (size // 16)

    def send(self, size=2000, user="bob"):
        """'250', '4xx', 'closed'; remembers what was promised."""
        mark, text = self.body(size)
        try:
            with smtplib.SMTP(*self.suite.smtp, timeout=30) as s:
                s.sendmail("alice@crepes.fr", f"{user}@hamburger.edu", text)
        except smtplib.SMTPServerDisconnected:
            return "closed"
        except smtplib.SMTPRecipientsRefused as e:
            code = next(iter(e.recipients.values()))[0]
            assert 400 <= code < 500, e
            return "4xx"
        except smtplib.SMTPResponseException as e:
            assert 400 <= e.smtp_code < 500, e
            return "closed" if e.smtp_code == 421 else "4xx"
        except (ConnectionError, TimeoutError):
            return "closed"
        self.promised[mark] = (user, hashlib.sha256(text.encode())
                               .hexdigest())
        return "250"

    def act(self, what):
        s = self.suite
        if what == "rested":  # it looks at the disk once a second
            time.sleep(1.2)
        if what in ("small", "rested"):
            return self.send()
        if what == "next-folder":  # one holds what comes within 2^20 us
            time.sleep(1.1)
        if what in ("large", "next-folder"):
            return self.send(200000)
        if what == "larges":
            return self.crowd(24, 100000)
        if what == "gone":  # until its file is removed
            saw = self.send(200000)
            time.sleep(2.5)
            return saw
        if what == "why":
            s.postern("why", "bob@hamburger.edu", check=False)
            return self.send()
        if what == "many":  # more than a template has forked ahead
            got = [self.send(user="pop") for _ in range(25)]
            return next((g for g in got if g != "250"), "250")
        if what in ("start-local", "start-template"):
            for pid in (self.locals() if what == "start-local" else
                        children(s.roles()["become"])):
                os.kill(pid, 15)  # the local of bob: another is needed
            return self.send()
        if what == "reload":
            s.postern("alias", "add", f"{uuid.uuid4().hex}@hamburger.edu",
                      "bob@hamburger.edu", check=False)
            return self.send()
        if what == "manypop":
            got = [self.pop3() for _ in range(25)]
            return next((g for g in got if g != "250"), "250")
        return self.pop3(dele=what == "dele")

    def crowd(self, count, size):
        with ThreadPoolExecutor(count) as pool:
            got = list(pool.map(lambda _: self.send(size), range(count)))
        return next((g for g in got if g != "250"), "250")

    def pop_mail(self):
        while self.send(user="pop") != "250":
            time.sleep(0.2)

    def pop3(self, dele=False):
        p = gone = None
        try:
            p = poplib.POP3(*self.suite.pop3, timeout=30)
            p.user("pop@hamburger.edu")
            p.pass_("hungry")
            count = p.stat()[0]
            if count:
                p.retr(1)
            if count and dele:
                raw = b"\n".join(p.retr(count)[1]).decode()
                gone = re.search("Subject: ([0-9a-f]{32})", raw)[1]
                p.dele(count)
            p.quit()
            if gone:
                self.promised.pop(gone, None)
            return "250"
        except poplib.error_proto as e:
            if gone:  # QUIT did not tell which are gone (RFC 1939, 6)
                self.promised.pop(gone, None)
            return "-ERR" if b"-ERR" in e.args[0] else "closed"
        except (ConnectionError, TimeoutError):
            return "closed"
        finally:
            if p:
                p.close()

    def locals(self):
        """Pids of the locals, without their template."""
        def args(pid):
            try:
                return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                return b""  # gone
        return [pid for pid in children(self.suite.roles()["become"])
                if b"delivery" in args(pid)]

    def victims(self, role):
        roles = self.suite.roles()
        if role == "settle":
            return children(roles["queued"])
        if role == "local":
            self.act("small")  # there is one
            return wait_for(  # it, and the template of those to come
                lambda: self.locals() and children(roles["become"]), 10,
                "a local")
        return [roles["become" if role == "pop3d" else role]]

    def found(self):
        out = collections.Counter()
        for user, box in (("bob", "MAILDIR_1"), ("pop", "MAILDIR_2")):
            for folder in ("new", "cur"):
                for p in pathlib.Path(self.suite.env[box], folder).iterdir():
                    text = p.read_bytes()
                    text = text[text.index(b"Subject: "):]
                    mark = text[9:41].decode()
                    out[mark, hashlib.sha256(text).hexdigest()] += 1
        return out


MAY_SEE = {"250": {"250"}, "4xx": {"4xx", "closed"}, "late": {"250"},
           "soft": {"250", "4xx", "closed", "-ERR"}, "-ERR": {"-ERR"},
           "closed": {"4xx", "closed"}}


@pytest.fixture(scope="module")
def bench():
    b = Bench()
    try:
        yield b
        end(b)
    finally:
        print(b.suite.log()[-3000:])
        b.suite.remove()


def end(b):
    """All that was promised is there, once; nothing is left over."""
    b.suite.postern("queue", "retry", "--all", check=False)
    wanted = {(m, h) for m, (_, h) in b.promised.items()}
    wait_for(lambda: not wanted - b.found().keys(), 60,
             f"{len(wanted)} messages: "
             f"{[m for m, _ in wanted - b.found().keys()]}")
    found = b.found()
    assert {k: n for k, n in found.items() if n > 1} == {}, "doubled"
    spool = pathlib.Path(b.suite.folder, "var/spool/postern")
    wait_for(lambda: not list((spool / "mess/tmp").iterdir()), 10, "no tmp")
    assert not list((spool / "quarantine").iterdir())
    assert "forbidden-call" not in b.suite.log()


def name(r):
    return f"{r.role}-{r.call.split(',')[0]}-{r.fault}-{r.act}"


@pytest.mark.parametrize("r", ROWS, ids=name)
def test_fault(bench, r):
    s = bench.suite
    if r.act in ("pop3", "dele", "manypop"):
        bench.pop_mail()
    if r.role.startswith("listen"):
        time.sleep(1.1)  # it says once a second whom it refuses
    before = s.roles()
    said = len(s.log())
    with Fault(bench.victims(r.role), r, s.folder) as fault:
        saw = bench.act(r.act)
        if r.sees == "late":  # half a second later, when the agent died
            wait_for(fault.fired, 5, "the call: the row proves nothing")
            time.sleep(0.5)
    assert fault.fired(), "the call was never made: the row proves nothing"
    assert saw in MAY_SEE[r.sees], (saw, s.log()[said:])
    after = s.roles()
    changed = {n for n in before if before[n] != after.get(n)}
    assert not changed or r.dies, (changed, s.log()[said:])
    log = s.log()[said:]
    assert r.log is None or re.search(r.log, log), log
    # and when the fault has ended
    again = "small" if r.act in ("start-local", "many", "reload") else \
        "pop3" if r.act == "manypop" else r.act
    wait_for(lambda: bench.act(again) == "250", 8, "service as before")
    s.postern("queue", "retry", "--all", check=False)


# ---- no memory ----

def test_queued_without_memory():
    """A queued that has just begun, and can get no more: 4.3.2, and on.  Its
    address space is bounded: brk(2) made to fail by strace answers what no
    kernel does."""
    with spools.Place() as p, p.world() as w:
        spools.Qmgr(w).index()
        statm = pathlib.Path(f"/proc/{w.process.pid}/statm").read_text()
        most = int(statm.split()[0]) * 4096 + (1 << 20)
        w.wrap = ["prlimit", f"--as={most}"]  # which becomes queued
        w.restart()
        spools.Qmgr(w).index()
        listen = spools.Listen(w)
        sessions = [listen.session() for _ in range(60)]
        begun = frame("F", "a@b.example") + frame("T", spools.RCPT) + \
            b"".join(frame("B", os.urandom(15000)) for _ in range(4))
        for part in (begun, frame("C")):
            for s in sessions:
                # closed before its commit: the client gets a 421
                with contextlib.suppress(BrokenPipeError):
                    s.send(part)
            time.sleep(0.3)
        got = [s.answer() for s in sessions]
        refused = [g for g in got if g is None or g[0] == "Z"]
        assert refused and all(g is None or g[1][:2] == "4." for g in refused)
        assert w.process.poll() is None
        kept = {int(g[1], 16) for g in got if g and g[0] == "K"}
        last = listen.session().post("", [spools.RCPT], b"again" * 1000)
        assert last[0] == "K"
        w.wrap = []
        w.restart()
        assert set(spools.Qmgr(w).index().notes) == \
            kept | {int(last[1], 16)}


# ---- a record that nobody can read ----

@pytest.mark.skipif(not FULL, reason="half a minute: make check-faults")
def test_an_unreadable_record_does_not_stop_the_ring():
    """Settle gives it up in the end, and its segment keeps it: fsck puts it
    back when the disk is well."""
    import random
    Listen, Place = spools.Listen, spools.Place
    Qmgr, told = spools.Qmgr, spools.told
    rng = random.Random(5)
    with Place() as p:
        with p.world({"journalsegments": "4"}) as w:
            Qmgr(w).index()
            s = Listen(w).session()
            bodies = {}

            def post(n):
                for _ in range(n):
                    body = rng.randbytes(20000)
                    verdict, qid = s.post("", ["bob@tester.example"], body)
                    if verdict == "K":
                        bodies[int(qid, 16)] = body
            settle = children(w.process.pid)
            r = Row("settle", "pread64", "error=EIO", "1+", "", "", None, "")
            with Fault(settle, r, str(p.root)):
                post(80)
                wait_for(lambda: "event=unreadable" in w.log(), 60, "it")
                wait_for(lambda: "why=\"a part cannot be read\"" in w.log()
                         or len(re.findall("event=unreadable", w.log())) > 20,
                         60, "the segment")
            post(60)
            wait_for(lambda: s.post("", ["bob@tester.example"], b"x")[0] ==
                     "K", 30, "the ring goes round")
        names = p.files("quarantine")
        assert any(n.startswith("journal-") for n in names)
        p.fsck("--quiet", code=0)
        p.fsck("--restore", *names, code=1)
        with p.world() as w:
            found = told(w)
        assert {i: b for i, b in bodies.items()
                if found.get(i, (0, 0))[1] != b} == {}
