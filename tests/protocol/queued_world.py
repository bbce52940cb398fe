# SPDX-License-Identifier: ISC
"""postern-queued under test: this plays postern-start, listen, smtpd, qmgr and
bounce."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from roles import (BIN, Started, lay_descriptors, pair, packet, says_ready,
                   text, u8, u32, u64)
from suite import children, wait_for

CONTROL = {"me": "tester.example", "locals": "tester.example",
           "journalsegmentmb": "1", "journalsegments": "8"}


def locked(fd):
    """True when the lock is ours: nobody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class World(Started):
    """A spool and the queued that runs on it, again and again."""

    def __init__(self, control=None, spool=None, wrap=(), user="posternq"):
        self.folder = tempfile.mkdtemp(prefix="postern-queued-")
        os.chmod(self.folder, 0o755)
        self.controls = pathlib.Path(self.folder, "control")
        self.controls.mkdir(mode=0o755)
        for name, value in {**CONTROL, **(control or {})}.items():
            (self.controls / name).write_text(value + "\n")
        self.spool = pathlib.Path(spool or self.folder + "/spool")
        if not self.spool.exists():
            self.spool.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.spool, user, user)
        self.log_path = os.path.join(self.folder, "log")
        self.door_path = os.path.join(self.folder, "queue")
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.door.bind(self.door_path)
        os.chmod(self.door_path, 0o666)
        self.door.listen(128)
        self.door.setblocking(False)
        self.wrap = list(wrap)
        self.process = None

    def start(self, wait=True, env=None):
        self.channel, far = pair()
        control = os.open(self.controls, os.O_RDONLY | os.O_DIRECTORY)
        spool = os.open(self.spool, os.O_RDONLY | os.O_DIRECTORY)
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def wire():
            lay_descriptors({3: far.fileno(), 4: control, 5: spool,
                             6: self.door.fileno()})

        self.process = subprocess.Popen(
            [*self.wrap, str(BIN / "postern-queued")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=wire, pass_fds=(3, 4, 5, 6),
            env={**os.environ, **(env or {})})
        for fd in (control, spool, log):
            os.close(fd)
        far.close()
        self.links = []
        if wait:
            assert says_ready(self.channel), self.log()
        return self

    def queued_pid(self):
        if not self.wrap:
            return self.process.pid
        return children(self.process.pid)[0]

    def kill(self):
        os.kill(self.queued_pid(), signal.SIGKILL)
        self.process.wait(30)
        self.forget()
        self.quiet()

    def quiet(self, seconds=30):
        """Waits until settle has ended, too: it holds queued's lock, and what
        it does last would be seen half done."""
        try:
            fd = os.open(self.spool / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # not a spool yet, or no more
            return
        try:
            wait_for(lambda: locked(fd), seconds, "the end of settle")
        finally:
            os.close(fd)

    def forget(self):
        self.channel.close()
        for sock in self.links:
            sock.close()
        self.links = []

    def stop(self):
        if self.process is None:
            return
        self.forget()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.process = None
        self.quiet()

    def restart(self, **kw):
        self.stop()
        return self.start(**kw)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
        finally:
            self.door.close()
            last = self.log()
            shutil.rmtree(self.folder)
            if kind is not None:
                print("--- log of queued\n" + last[-6000:])
        assert "forbidden-call" not in last, last[-3000:]
        assert "AddressSanitizer" not in last, last[-6000:]
        assert "runtime error" not in last, last[-6000:]


def frame(kind, payload=b""):
    payload = payload.encode() if isinstance(payload, str) else payload
    return b"%d:" % (len(payload) + 1) + kind.encode() + payload + b","


def message(sender, recipients, body, chunk=16000):
    out = frame("F", sender)
    out += b"".join(frame("T", r) for r in recipients)
    out += b"".join(frame("B", body[i:i + chunk])
                    for i in range(0, len(body), chunk))
    return out + frame("C")


class Stream:
    """A frame stream to queued."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(30)
        self.have = b""

    def send(self, data):
        self.sock.sendall(data)

    def answer(self):
        """('K', text); None at the end of the stream."""
        while True:
            head, colon, rest = self.have.partition(b":")
            if colon and len(rest) > int(head):
                n = int(head)
                assert rest[n:n + 1] == b","
                self.have = rest[n + 1:]
                return chr(rest[0]), rest[1:n].decode()
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.have += more

    def post(self, sender, recipients, body, **kw):
        self.send(message(sender, recipients, body, **kw))
        return self.answer()

    def close(self):
        self.sock.close()


class Listen:
    """The link of listen-smtp."""

    def __init__(self, world):
        self.sock = world.link("listen-smtp")
        self.count = 0

    def session(self, relay=False, sid=None):
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.count += 1
        sid = sid or f"s{self.count}"
        socket.send_fds(self.sock, [
            b"S" + text(sid) + text("192.0.2.1") + u8(relay)], [far.fileno()])
        far.close()
        return Stream(near)


class Note:
    def __init__(self, f):
        self.id = f.u64()
        self.birth, self.size, self.offset = f.u64(), f.u64(), f.u64()
        self.flags = f.u8()
        self.sender, self.sid = f.str(), f.str()
        self.recipients = {}
        self.fd = f.fds[0] if f.fds else None
        self.take(f)

    def take(self, f):
        for _ in range(f.u32()):
            idx = f.u32()
            assert idx not in self.recipients, "told twice"
            self.recipients[idx] = f.str()
        f.end()

    def body(self):
        return os.pread(self.fd, self.size, self.offset) \
            if self.fd is not None else None

    def __del__(self):
        if getattr(self, "fd", None) is not None:
            os.close(self.fd)


class Qmgr:
    """The link of qmgr: notes as they come."""

    def __init__(self, world):
        self.sock = world.link("qmgr")
        self.notes = {}
        self.marked = set()
        self.replaced = {}
        self.opened = {}
        self.end = False

    def take(self, timeout=10):
        """Takes one packet; its type."""
        f = packet(self.sock, timeout)
        if f is None:
            return None
        if f.type == "N":
            n = Note(f)
            assert n.id not in self.notes, "told twice"
            self.notes[n.id] = n
            n.whole = not n.flags & 1
        elif f.type == "n":
            note = self.notes[f.u64()]
            note.whole = not f.u8() & 1
            note.take(f)
        elif f.type == "E":
            self.end = True
        elif f.type == "m":
            for _ in range(f.u32()):
                self.marked.add((f.u64(), f.u32()))
            f.end()
        elif f.type == "w":
            key = f.u64(), f.u32()
            self.replaced[key] = chr(f.u8()), f.str()
        elif f.type == "s":
            self.settled = f.u64(), f.u64()
            f.end()
        elif f.type == "o":
            qid, verdict = f.u64(), chr(f.u8())
            offset, size, why = f.u64(), f.u64(), f.str()
            body = None
            if f.fds:
                body = os.pread(f.fds[0], size, offset)
                os.close(f.fds[0])
            self.opened[qid] = verdict, body, why
        else:
            raise AssertionError(f.type)
        return f.type

    def until(self, done, timeout=20):
        stop = time.monotonic() + timeout
        while not done():
            assert self.take(max(0.01, stop - time.monotonic())) is not None
        return self

    def index(self):
        """All that queued tells at the beginning."""
        return self.until(lambda: self.end)

    def drain(self, quiet=0.3):
        try:
            while self.take(quiet) is not None:
                pass
        except TimeoutError:
            pass
        return self

    def send_marks(self, marks, verdict="K"):
        marks = list(marks)
        for i in range(0, len(marks), 2000):
            part = marks[i:i + 2000]
            self.send(b"M" + u32(len(part)) + b"".join(
                u64(q) + u32(i) + verdict.encode() for q, i in part))

    def mark(self, marks, verdict="K"):
        marks = list(marks)
        self.send_marks(marks, verdict)
        self.until(lambda: self.marked >= set(marks))

    def replace(self, qid, idx, addresses):
        self.send(b"W" + u64(qid) + u32(idx) + u32(len(addresses)) +
                  b"".join(text(a) for a in addresses))
        self.until(lambda: (qid, idx) in self.replaced)
        return self.replaced.pop((qid, idx))

    def settle(self, bound=0):
        """(bound, left) of queued's answer."""
        self.settled = None
        self.send(b"S" + u64(bound))
        self.until(lambda: self.settled)
        return self.settled

    def open(self, qid):
        self.send(b"O" + u64(qid))
        self.until(lambda: qid in self.opened)
        return self.opened.pop(qid)

    def send(self, data):
        self.sock.settimeout(20)
        self.sock.send(data)


def digest(body):
    return hashlib.sha256(body).hexdigest()
