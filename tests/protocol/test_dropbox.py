# SPDX-License-Identifier: ISC
"""The drop box: mail of local users while Postern is stopped, and what pickup
makes of what lies there, honest or not.  As root postern-queue is set-gid and
is run as other users, in a root of its own."""
import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

from queue_caller import (BYTES, ENVELOPE, Caller, as_given, drop_file,
                          install_setgid, pipe_with, queue)
from suite import BIN, Suite, wait_for

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root has other users")
ALICE, MALLORY = 65533, 65532  # users without a name


class Box:
    """A suite, stopped, and its drop box."""

    def __init__(self):
        self.suite = Suite("--no-first-message")
        self.suite.start()
        self.suite.stop()
        self.root = self.suite.folder
        os.chmod(self.root, 0o755)
        self.folder = pathlib.Path(self.root, "var/spool/postern-drop")
        self.new, self.bad = self.folder / "new", self.folder / "bad"
        self.controls = pathlib.Path(self.root, "etc/postern")
        if ROOT:
            install_setgid(self.root)

    def drop(self, subject, uid=ALICE, **kw):
        """As that user would, when there are users."""
        message = b"Subject: %s\n\n\xc3\xa4 text of %s\n" % (subject, subject)
        if ROOT:
            kw = {"uid": uid, "chroot": True, **kw}
        return queue(self.root, message, **kw)

    def caller(self, **kw):
        if ROOT:
            kw = {"uid": ALICE, "chroot": True, **kw}
        return Caller(self.root, **kw)

    def names(self):
        return sorted(p.name for p in self.new.iterdir())

    def put(self, name, content, uid=ALICE, mode=0o640):
        """As one who has the group posternk could."""
        path = self.new / name
        path.write_bytes(content)
        path.chmod(mode)
        if ROOT:
            os.chown(path, uid, -1)
        return path

    def maildir(self):
        """The subjects that were delivered."""
        folder = pathlib.Path(self.suite.env["MAILDIR_1"], "new")
        found = []
        for path in folder.iterdir() if folder.exists() else ():
            found += re.findall(rb"^Subject: (\S+)$", path.read_bytes(), re.M)
        return sorted(found)

    def empty(self):
        return not self.names() and not any(
            (self.folder / "work").iterdir())

    def log_since(self, mark):
        return self.suite.log()[mark:]

    def mark(self):
        return len(self.suite.log())

    def setting(self, name, value):
        path = self.controls / name
        if value is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(f"{value}\n")

    def clear(self):
        self.suite.stop()
        for folder in (self.new, self.bad):
            for path in folder.iterdir():
                path.rmdir() if path.is_dir() and not path.is_symlink() \
                    else path.unlink()
        for name in ("dropmessages", "dropbytes", "databytes"):
            self.setting(name, None)


@pytest.fixture(scope="module")
def whole():
    box = Box()
    yield box
    box.suite.remove()


@pytest.fixture
def box(whole):
    yield whole
    whole.clear()


def own(uid):
    return uid if ROOT else os.getuid()


def test_mail_of_a_stopped_suite_is_there_soon_after_its_start(box):
    subjects = [b"s%d" % i for i in range(70)]  # more than one batch
    for subject in subjects:
        done = box.drop(subject)
        assert (done.code, done.report) == (0, "K\n"), done
    assert box.names() == sorted(
        f"{own(ALICE)}.{i}" for i in range(len(subjects)))
    mark = box.mark()
    box.suite.start()
    begun = time.monotonic()
    wait_for(lambda: box.maildir() == sorted(subjects), 10, "all mail")
    assert time.monotonic() - begun < 6  # one second, on a busy machine
    wait_for(box.empty, 10, "an empty drop box")
    log = box.log_since(mark)
    assert log.count("event=picked-up") == len(subjects)
    assert f" sid=drop-{own(ALICE)}-" in log
    # nothing of it stays in the queue, the file's recipient neither
    box.suite.wait_log("event=done", count=len(subjects))
    assert "0 messages" in box.suite.postern("status").stdout
    path = next(pathlib.Path(box.suite.env["MAILDIR_1"], "new").iterdir())
    assert b"invoked by uid %d)" % own(ALICE) in path.read_bytes()


def test_bytes_arrive_as_they_were_given(box):
    folder = pathlib.Path(box.suite.env["MAILDIR_1"], "new")
    for message in BYTES:
        kw = {"uid": ALICE, "chroot": True} if ROOT else {}
        assert queue(box.root, message, **kw).code == 0
    before = set(folder.iterdir()) if folder.exists() else set()
    box.suite.start()

    def come():
        return set(folder.iterdir()) - before if folder.exists() else ()
    wait_for(lambda: len(come()) == len(BYTES), 20, "all of them")
    found = [as_given(path.read_bytes()) for path in come()]
    assert sorted(found) == sorted(BYTES)


def test_what_comes_while_it_runs_is_taken_too(box):
    """A writer that began before the start."""
    r, w = os.pipe()
    e = pipe_with(ENVELOPE)
    call = box.caller().start(r, e)
    os.close(r)
    os.close(e)
    wait_for(lambda: box.names() == [f"{own(ALICE)}.0.tmp"], 10, "its file")
    box.suite.start()
    os.write(w, b"Subject: late\n\n")
    os.close(w)
    assert call.finish().code == 0
    wait_for(lambda: b"late" in box.maildir(), 5, "the late message")
    wait_for(box.empty, 5, "an empty drop box")


@needs_root
def test_files_belong_to_their_writers_and_nobody_else_sees_them(box):
    assert box.drop(b"a", uid=ALICE).code == 0
    assert box.drop(b"b", uid=MALLORY).code == 0
    assert box.names() == [f"{MALLORY}.0", f"{ALICE}.0"]
    st = (box.new / f"{ALICE}.0").stat()
    assert (st.st_uid, st.st_mode & 0o777) == (ALICE, 0o640)
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(ALICE)
        os.setuid(ALICE)
        result = 0
        for act in (lambda: os.listdir(box.new),
                    lambda: os.listdir(box.folder),
                    lambda: open(box.new / f"{ALICE}.0", "rb"),
                    lambda: os.unlink(box.new / f"{ALICE}.0"),
                    lambda: open(box.new / f"{ALICE}.7", "wb")):
            try:
                act()
                result = 1
            except PermissionError:
                pass
        os._exit(result)
    assert os.waitpid(pid, 0)[1] == 0


@needs_root
@pytest.mark.parametrize("kind", ["nnp", "mode", "root"])
def test_without_the_group_it_says_why(box, kind):
    done = {
        "nnp": lambda: box.drop(b"x", nnp=True),
        "mode": lambda: queue(box.root, uid=ALICE),  # not set-gid
        # with a root of the caller's choice it is not set-gid either
        "root": lambda: box.drop(b"x", env={"POSTERN_ROOT": "/"}),
    }[kind]()
    assert (done.code, done.verdict) == (62, "Z")
    assert {"nnp": "no_new_privs", "mode": "postern check",
            "root": "postern check"}[kind] in done.report
    assert box.names() == []


@needs_root
def test_no_new_privs_reaches_a_suite_that_runs(box):
    box.suite.start()
    done = box.drop(b"nnp", nnp=True)
    assert (done.code, done.verdict) == (0, "K")
    assert len(done.report) == 18


def test_facts_do_not_go_there(box):
    done = box.drop(b"x", env={"POSTERN_QUEUE_FACTS": "sid - 1"})
    assert done.code == 56
    assert box.names() == []


def test_refusals_leave_nothing(box):
    def dropped(message, envelope=ENVELOPE):
        m, e = pipe_with(message), pipe_with(envelope)
        done = box.caller().start(m, e).finish()
        os.close(m)
        os.close(e)
        return done.code
    assert dropped(b"a\0") == 31
    assert dropped(b"a" * 200_000 + b"\r") == 31
    assert dropped(b"a", b"F") == 54
    assert dropped(b"a", b"F\0T" + b"x" * 300) == 11
    assert dropped(b"a", b"X") == 91
    assert box.names() == []


def test_the_quota_of_messages(box):
    box.setting("dropmessages", 3)
    assert [box.drop(b"m%d" % i).code for i in range(3)] == [0, 0, 0]
    done = box.drop(b"m3")
    assert (done.code, done.report[:6]) == (53, "Z4.2.2"), done
    if ROOT:  # it is a user's own
        assert box.drop(b"m3", uid=MALLORY).code == 0
    box.setting("dropmessages", 0)
    assert box.drop(b"m4").code == 53


def test_the_quota_of_bytes(box):
    box.setting("dropbytes", 3_000_000)
    line = b"x" * 63 + b"\n"

    def dropped(n):
        m, e = pipe_with(line * (n // 64)), pipe_with(ENVELOPE)
        done = box.caller().start(m, e).finish()
        os.close(m)
        os.close(e)
        return done
    assert dropped(2_000_000).code == 0
    done = dropped(2_000_000)
    assert (done.code, done.report[:2]) == (53, "Z4"), done
    assert box.names() == [f"{own(ALICE)}.0"]
    assert dropped(900_000).code == 0
    assert dropped(200_000).code == 53
    assert len(box.names()) == 2


def test_the_callers_own_limit_of_file_size(box):
    done = box.drop(b"x", limits=[(resource.RLIMIT_FSIZE, 100)])
    assert (done.code, done.report[:6]) == (53, "Z4.3.1"), done
    assert box.names() == []


def test_a_killed_writers_slot_is_used_again(box):
    box.setting("dropmessages", 1)
    r, w = os.pipe()
    e = pipe_with(ENVELOPE)
    call = box.caller().start(r, e)
    os.close(e)
    name = f"{own(ALICE)}.0.tmp"
    wait_for(lambda: box.names() == [name], 10, "its file")
    assert box.drop(b"second").code == 53  # that one still writes
    call.process.send_signal(signal.SIGKILL)
    call.finish()
    os.close(r)
    os.close(w)
    assert box.names() == [name]
    assert box.drop(b"third").code == 0
    assert box.names() == [f"{own(ALICE)}.0"]


def test_pickup_sweeps_what_dead_writers_left(box):
    old = time.time() - 120
    dead = box.put(f"{own(ALICE)}.5.tmp", b"half")
    os.utime(dead, (old, old))
    fresh = box.put(f"{own(ALICE)}.6.tmp", b"half")
    box.suite.start()
    box.suite.wait_log(f"event=drop-swept file={dead.name} size=4")
    assert not dead.exists() and fresh.exists()


def test_no_writer_fails_when_the_suite_is_started_anew(box):
    """run/queue goes first, queued last."""
    stop, envelope = (pathlib.Path(box.root, n) for n in ("enough", "to"))
    envelope.write_bytes(ENVELOPE)
    box.suite.start()
    box.setting("dropmessages", 10000)  # they write as quickly as they can
    before = len(box.maildir())
    writers = [subprocess.Popen(
        ["sh", "-c", f"while [ ! -e {stop} ]; do printf 'Subject: r\\n\\n' | "
         f"{BIN}/postern-queue 1<{envelope}; echo $?; done"], text=True,
        env={**os.environ, "POSTERN_ROOT": box.root},
        stdout=subprocess.PIPE) for _ in range(4)]
    for _ in range(3):
        box.suite.stop()
        box.suite.start()
    stop.touch()
    codes = [c for p in writers for c in p.communicate(timeout=30)[0].split()]
    stop.unlink()
    assert set(codes) == {"0"}
    wait_for(lambda: len(box.maildir()) - before >= len(codes), 20, "all mail")
    assert len(box.maildir()) - before == len(codes)


# ---- what a local user may have put there ----

def hostile(box):
    """{what the log says: how often} of all that must not be taken."""
    uid = own(ALICE)
    good = drop_file(uid)
    os.mkfifo(box.new / f"{uid}.100")
    (box.new / f"{uid}.101").symlink_to("/etc/passwd")
    (box.new / f"{uid}.102").mkdir()
    first = box.put(f"{uid}.103", good)
    os.link(first, box.new / f"{uid}.104")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(box.new / f"{uid}.105"))
    sock.close()
    sparse = box.put(f"{uid}.106", b"")
    os.truncate(sparse, 4 << 30)
    box.put("strange", good)
    box.put(f"{uid}.107.tmp.x", good)
    box.put(f"{uid}.0108", good)
    box.put(f"{uid}.109", good[:-4])             # no end
    box.put(f"{uid}.110", good + b"1:C,")        # two
    box.put(f"{uid}.111", good.replace(b"1:C,", b"1:X,"))
    box.put(f"{uid}.112", b"")
    box.put(f"{uid}.113", os.urandom(100_000))
    box.put(f"{uid}.114", drop_file(uid + 1))    # says another user
    box.put(f"{uid}.115", drop_file(uid, end=b""))
    box.put(f"{uid}.116", b"99999999:B")
    expected = {"no regular file": 4, "has another name": 2,
                "strange name": 3, "no message": 9}
    if ROOT:
        box.put(f"{uid}.117", good, uid=MALLORY)  # is another user's
        expected["of another user"] = 1
        box.put(f"{uid}.118", good, mode=0)       # cannot be read
        expected["no message"] += 1
    return expected


def test_what_is_no_message_is_put_aside_and_the_rest_goes_on(box):
    assert box.drop(b"good").code == 0
    expected = hostile(box)
    assert box.drop(b"more").code == 53  # 4 GiB are over the quota
    box.put(f"{own(ALICE)}.900", drop_file(own(ALICE)))
    mark = box.mark()
    box.suite.start()
    wait_for(lambda: {b"good", b"made"} <= set(box.maildir()), 10, "the rest")
    wait_for(box.empty, 10, "an empty drop box")
    log = box.log_since(mark)
    said = re.findall(r'event=drop-bad .*why="([^"]*)"', log)
    assert {w: said.count(w) for w in said} == expected, log
    # what is no file cannot be looked at later: it is removed
    assert len(list(box.bad.iterdir())) == \
        sum(expected.values()) - expected["no regular file"]
    assert log.count("event=picked-up") == 2
    assert (box.bad / os.listdir(box.bad)[0]).parent.stat().st_mode & 0o77 == 0


@needs_root
def test_what_cannot_be_moved_is_told_once(box):
    folder = box.new / "deep"
    folder.mkdir()
    (folder / "x").write_text("x")  # root's, and not empty
    mark = box.mark()
    box.suite.start()
    box.suite.wait_log("event=drop-bad file=deep")
    for i in range(3):  # each wakes pickup
        box.put("note.new", drop_file(ALICE)).rename(box.new / f"{ALICE}.{i}")
        wait_for(lambda: box.names() == ["deep"], 10, "the message taken")
    assert box.log_since(mark).count("file=deep") == 1
    (folder / "x").unlink()


def test_bad_files_are_not_kept_without_end(box):
    """Nor does the log grow without end for them: 200 lines a minute."""
    for i in range(320):
        box.put(f"bad{i}", b"x")
    mark = box.mark()
    box.suite.start()
    wait_for(box.empty, 10, "an empty drop box")
    assert len(list(box.bad.iterdir())) == 100
    log = box.log_since(mark)
    assert log.count('event=drop-bad file=bad') == 200
    assert log.count('kept="no: removed"') == 100


def test_refused_for_good_it_is_kept(box):
    assert box.drop(b"big" + b"g" * 3000).code == 0
    box.setting("databytes", 1)
    before = box.maildir()
    name = f"{own(ALICE)}.1"
    box.put(name, drop_file_of(
        own(ALICE), b"Subject: huge\n\n" + b"x" * 70_000))
    box.suite.start()
    box.suite.wait_log(r'event=drop-refused .*text="5\.3\.4 ')
    wait_for(box.empty, 10, "an empty drop box")
    assert [p.stat().st_size > 70_000 for p in box.bad.iterdir()] == [True]
    wait_for(lambda: len(box.maildir()) == len(before) + 1, 10, "the other one")


@needs_root
def test_posternd_may_not_relay_through_it(box):
    """Law 6: who reads strangers' bytes gets no right by a detour."""
    import pwd
    uid = pwd.getpwnam("posternd").pw_uid
    out = b"F\0Tx@elsewhere.example\0\0"
    assert box.drop(b"x", uid=uid, envelope=out).code == 0
    box.suite.start()
    box.suite.wait_log(f"event=relaying-denied sid=drop-{uid}-")
    wait_for(box.empty, 10, "an empty drop box")
    assert len(list(box.bad.iterdir())) == 1


# ---- once, whatever dies ----

@pytest.mark.parametrize("who", ["pickup", "queued", "both"])
def test_once_when_roles_are_killed(box, who):
    subjects = [b"%s%d" % (who.encode(), i) for i in range(150)]
    for i, subject in enumerate(subjects):
        text = b"Subject: %s\n\n" % subject + b"x\n" * (40_000 * (i % 25 == 0))
        box.put(f"{own(ALICE)}.{i}", drop_file_of(own(ALICE), text))
    box.suite.start()
    for _ in range(12):
        roles = box.suite.roles()
        for name in ("pickup", "queued") if who == "both" else (who,):
            with contextlib.suppress(KeyError, ProcessLookupError):
                os.kill(roles[name], signal.SIGKILL)
        time.sleep(0.02)
        if box.empty():
            break
    wait_for(box.empty, 30, "an empty drop box")
    wait_for(lambda: set(subjects) <= set(box.maildir()), 30, "all mail")
    found = [s for s in box.maildir() if s in set(subjects)]
    assert found == sorted(subjects)
    wait_for(lambda: "0 messages" in box.suite.postern(
        "status", check=False).stdout, 20, "an empty queue")


def drop_file_of(uid, message):
    """With as many frames as it takes."""
    part = 16_000
    head, _, tail = drop_file(uid, b"").partition(b"1:B,")
    frames = b"".join(
        b"%d:B%s," % (len(message[i:i + part]) + 1, message[i:i + part])
        for i in range(0, len(message), part))
    return head + frames + tail


def slow(n):
    """Some are held up before they have a file's lock, some before they use
    it."""
    call = ("flock", "unlinkat", "renameat2")[n % 3]
    return (f"strace -o /dev/null -e trace={call} "
            f"-e inject={call}:delay_enter={1000 + 700 * n}") if n < 8 else ""


def test_many_writers_at_once_while_pickup_takes(box):
    """Slots are begun, named and taken away under each other's feet."""
    beside = pathlib.Path(box.root, "stopped")  # nobody listens there
    if not beside.exists():
        (beside / "var").mkdir(parents=True)
        (beside / "etc").symlink_to("../etc")
        (beside / "var/spool").symlink_to("../../var/spool")
    box.suite.start()
    before = set(box.maildir())
    envelope = pathlib.Path(box.root, "envelope")
    envelope.write_bytes(ENVELOPE)
    writers = [subprocess.Popen(
        ["sh", "-c", "for i in $(seq 20); do "
         f"printf 'Subject: w{n}-%d\\n\\ntext\\n' $i | "
         f"{slow(n)} {BIN}/postern-queue 1<{envelope} && echo w{n}-$i; done"],
        env={**os.environ, "POSTERN_ROOT": str(beside)}, text=True,
        stdout=subprocess.PIPE) for n in range(10)]
    good = sorted(w.encode() for p in writers
                  for w in p.communicate(timeout=60)[0].split())
    assert len(good) == 200
    wait_for(box.empty, 20, "an empty drop box")
    wait_for(lambda: set(good) <= set(box.maildir()), 20, "all mail")
    assert [s for s in box.maildir() if s not in before] == good
    assert not any(box.bad.iterdir())
