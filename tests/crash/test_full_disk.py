# SPDX-License-Identifier: ISC
"""Disks that are really full, of bytes and of inodes, and a ring that is full
of mail that cannot go: 4xx with the numbers in the log, nothing lost, and
service as before when there is room again."""
import contextlib
import hashlib
import os
import pathlib
import random
import re
import smtplib
import socket
import subprocess
import tempfile
import time
import uuid

import pytest

from spools import RCPT, Listen, Place, Qmgr, fill, flip, records, told
from queued_world import Stream, World, message
from suite import Suite, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts")


@contextlib.contextmanager
def small_disk(kind, mb=24, inodes=600):
    folder = tempfile.mkdtemp(prefix="postern-full-")
    image = folder + ".img"
    if kind == "tmpfs":
        mount = ["-t", "tmpfs", "-o", f"size={mb}m,nr_inodes={inodes}",
                 "none"]
    else:
        with open(image, "wb") as f:
            f.truncate(mb << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", "-N",
                        str(inodes), image], check=True)
        mount = ["-o", "loop", image]
    try:
        done = subprocess.run(["mount", *mount, folder], capture_output=True,
                              text=True)
        if done.returncode != 0:
            pytest.skip(f"no {kind} here: {done.stderr.strip()}")
        try:
            os.chmod(folder, 0o755)
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    finally:
        os.rmdir(folder)
        if os.path.exists(image):
            os.unlink(image)


def eat_bytes(disk, leave):
    v = os.statvfs(disk)
    n = v.f_bavail * v.f_frsize - leave
    with open(disk / "filler", "wb", buffering=0) as f:
        with contextlib.suppress(OSError):  # full, a little before
            for _ in range(max(0, n) // 4096):
                f.write(b"x" * 4096)


def eat_inodes(disk, leave):
    (disk / "inodes").mkdir()
    for i in range(max(0, os.statvfs(disk).f_favail - leave - 1)):
        try:
            (disk / "inodes" / str(i)).touch()
        except OSError:
            break


def give_back(disk):
    (disk / "filler").unlink(missing_ok=True)
    for p in (disk / "inodes").glob("*"):
        p.unlink()


class Mail:
    """Sends, and knows what was promised."""

    def __init__(self, suite):
        self.suite, self.promised = suite, set()

    def send(self, size=3000):
        mark = uuid.uuid4().hex
        text = f"Subject: {mark}\n\n" + "0123456789abcde\n" * (size // 16)
        try:
            with smtplib.SMTP(*self.suite.smtp, timeout=60) as s:
                s.sendmail("a@b.fr", "bob@hamburger.edu", text)
        except smtplib.SMTPResponseException as e:
            assert 400 <= e.smtp_code < 500, e
            return f"{e.smtp_code} {e.smtp_error.decode()}"
        except smtplib.SMTPRecipientsRefused as e:
            code, why = next(iter(e.recipients.values()))
            assert 400 <= code < 500, e
            return f"{code} {why.decode()}"
        self.promised.add(hashlib.sha256(text.encode()).hexdigest())
        return "250"

    def all_there(self):
        self.suite.postern("queue", "retry", "--all", check=False)

        def found():
            out = []
            for folder in ("new", "cur"):
                for p in pathlib.Path(self.suite.env["MAILDIR_1"],
                                      folder).iterdir():
                    text = p.read_bytes()
                    out.append(hashlib.sha256(
                        text[text.index(b"Subject: "):]).hexdigest())
            return sorted(out)
        wait_for(lambda: found() == sorted(self.promised), 40,
                 f"{len(self.promised)} messages, each once")


FULL = os.environ.get("POSTERN_FAULTS") == "full"
PAIRS = [("ext4", "bytes"), ("tmpfs", "inodes"), ("tmpfs", "bytes"),
         ("ext4", "inodes")]
OPTIONS = ("--no-first-message", "--domain", "hamburger.edu", "--user",
           "bob@hamburger.edu:hungry", "--control", "journalsegments=4",
           "--control", "journalsegmentmb=1")


@pytest.mark.parametrize("kind, what", PAIRS if FULL else PAIRS[:2])
def test_below_the_floor(kind, what):
    """Mail is refused before the disk is full, and the log has the numbers."""
    with small_disk(kind) as disk, Suite(
            *OPTIONS, "--control", "spoolfloormb=2", "--control",
            "spoolfloorinodes=100", folder=str(disk / "s")) as s:
        mail = Mail(s)
        assert mail.send() == "250"
        if what == "bytes":
            eat_bytes(disk, 1 << 20)
        else:
            eat_inodes(disk, 50)
        time.sleep(1.2)
        said = mail.send()
        assert said.startswith("452 4.3.1"), said
        assert mail.send(200000)[0] == "4"
        assert re.search(rf"event=few-{what} have=\d+ want=\d+", s.log())
        give_back(disk)
        time.sleep(1.2)
        assert mail.send() == "250" and mail.send(200000) == "250"
        assert "event=space-again" in s.log()
        mail.all_there()


@pytest.mark.parametrize("kind, what", PAIRS if FULL else PAIRS[2:])
def test_full_to_the_brim(kind, what):
    """No floor: the ring takes what it can, the Maildir waits for room."""
    with small_disk(kind) as disk, Suite(
            *OPTIONS, "--control", "spoolfloormb=0", "--control",
            "spoolfloorinodes=0", folder=str(disk / "s")) as s:
        mail = Mail(s)
        assert mail.send() == "250"
        before = s.roles()
        # the log is on the same disk, and is looked at
        subprocess.run(["fallocate", "-n", "-l", "1M", s.env["LOG"]],
                       check=True)
        (eat_bytes if what == "bytes" else eat_inodes)(disk, 0)
        small = [mail.send() for _ in range(20)]
        large = mail.send(300000)
        assert "250" in small, "the ring has its room already"
        assert large[0] == "4", large
        wait_for(lambda: re.search("No space|Disk quota", s.log()), 10,
                 "the reason in the log")
        assert s.roles() == before
        give_back(disk)
        assert mail.send(300000) == "250"
        mail.all_there()
        spool = disk / "s/var/spool/postern"
        assert not list((spool / "mess/tmp").iterdir())
        assert not list((spool / "quarantine").iterdir())


def test_a_full_ring_and_no_room_for_files():
    """Nothing is deliverable and settle has no room: 4.3.1 after the wait;
    marks and bounces still go; with room again all goes on."""
    with small_disk("tmpfs", 12) as disk:
        spool = disk / "spool"
        spool.mkdir(mode=0o700)
        with World({"journalsegments": "4", "spoolfloormb": "0",
                    "spoolfloorinodes": "0"}, spool=str(spool)) as w:
            q, l = Qmgr(w).index(), Listen(w)
            s = l.session()
            s.sock.settimeout(60)
            assert s.post("", [RCPT], b"x")[0] == "K"
            time.sleep(1)  # its spare segments are made
            eat_bytes(disk, 0)
            ids, why = {}, None
            for i in range(200):
                body = os.urandom(30000)
                began = time.monotonic()
                verdict, text = s.post("", [RCPT], body)
                if verdict != "K":
                    why = text
                    break
                ids[int(text, 16)] = body
            assert why and why.startswith("4.3.1"), why
            assert time.monotonic() - began > 15
            assert "event=journal-full have=" in w.log()
            assert "event=settle-failed" in w.log()
            q.until(lambda: set(ids) <= set(q.notes))
            done = sorted(ids)[:3]
            q.mark([(i, 0) for i in done])
            b = Stream(w.link("bounce", socket.SOCK_STREAM))
            b.send(message("", ["x@far.example"], b"sorry"))
            assert b.answer()[0] == "K"
            give_back(disk)
            wait_for(lambda: s.post("", [RCPT], b"again")[0] == "K", 60,
                     "room")
            w.restart()
            q = Qmgr(w).index()
            left = set(ids) - set(done)
            assert left <= set(q.notes) and not set(done) & set(q.notes)
            for i in sorted(left)[::7]:
                assert q.open(i)[1] == ids[i]


@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_fsck_without_room(what):
    """What cannot be mended now is left as it was, and mended later."""
    with small_disk("tmpfs", 40, 900) as disk, Place() as place:
        place.root, root = disk, place.root
        floors = {"spoolfloormb": "0", "spoolfloorinodes": "0"}
        place.spool = disk / "var/spool/postern"
        place.spool.parent.mkdir(parents=True)
        try:
            with place.world(floors) as w:
                left, _ = fill(w, random.Random(1), 150)
            path = max((place.spool / "journal" / n
                        for n in place.files("journal")),
                       key=lambda p: len(records(p)))
            a, _, kind, _, hit = next(
                r for r in records(path) if r[2] == "A" and r[4] in left)
            flip(path, a + 70, b"\xff\xff")
            before = place.files(".")
            (eat_bytes if what == "bytes" else eat_inodes)(disk, 0)
            for _ in range(2):
                out = place.fsck("--repair", "--quiet", code=4).stdout
                assert re.search("failed .*No space", out), out
                assert place.files(".") == before
            give_back(disk)
            place.fsck("--repair", "--quiet", code=1)
            place.fsck("--quiet", code=0)
            with place.world(floors) as w:
                assert set(left) - set(told(w)) <= {hit}
        finally:
            place.root = root


@pytest.mark.parametrize("kind, what", PAIRS if FULL else PAIRS[:2])
def test_orders_without_room(kind, what):
    """Hold, release and delete have the ring's reserve, and last; settle says
    that it is not done, and is, when there is room."""
    with small_disk(kind) as disk, Suite(
            *OPTIONS, "--control", "spoolfloormb=0", "--control",
            "spoolfloorinodes=0", "--control", "concurrencylocal=0",
            folder=str(disk / "s")) as s:
        mail = Mail(s)
        for _ in range(12):
            assert mail.send(30000) == "250"

        def ids(*args):
            out = s.postern("queue", "list", "--json", *args, check=False)
            return re.findall(r'^{"id":"(\w+)"', out.stdout, re.M)
        wait_for(lambda: len(ids()) == 12, 10, "12 messages")
        gone, kept, *rest = ids()
        time.sleep(1)
        (eat_bytes if what == "bytes" else eat_inodes)(disk, 0)
        settle = subprocess.Popen(
            [str(s.env["BIN"]) + "/postern", "queue", "settle"],
            env={**os.environ, "POSTERN_ROOT": s.folder},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        s.postern("queue", "hold", kept)
        s.postern("queue", "delete", gone)
        s.postern("queue", "hold", *rest)
        s.postern("queue", "release", *rest)
        time.sleep(1)
        assert settle.poll() is None, settle.communicate()
        os.kill(s.roles()["queued"], 9)
        time.sleep(1.5)
        assert gone not in ids() and ids("--state", "held") == [kept]
        give_back(disk)
        out, errors = settle.communicate(timeout=40)
        assert settle.returncode == 0 and "files" in out, (out, errors)
        files = {p.name for p in
                 (disk / "s/var/spool/postern/mess").rglob("?" * 16)}
        assert files >= {kept, *rest}
        assert gone not in ids() and ids("--state", "held") == [kept]
