# SPDX-License-Identifier: ISC
"""postern-qmgr under test: this plays start and all of its neighbours."""
import os
import socket
import subprocess
import tempfile
import time

from roles import BIN, Role, body_fd, packet, pair, text, u8, u32, u64

BODY = b"Received: by tester.example; today\nSubject: hello\n\nhello\n"


def many(items):
    return u32(len(items)) + b"".join(items)


def now_id():
    return time.time_ns() // 1000


class Gone(Exception):
    pass


def take(sock, wanted, timeout=10):
    p = packet(sock, timeout)
    if p is None:
        raise Gone
    assert p.type == wanted, (p.type, wanted, p.rest)
    return p


def silent(sock, seconds=0.3):
    try:
        p = packet(sock, seconds)
    except TimeoutError:
        return True
    assert False, ("unexpected", p and (p.type, p.rest))


class Job:
    def __init__(self, p, bounce=False):
        self.id, self.birth = p.u64(), p.u64()
        self.offset, self.size = p.u64(), p.u64()
        self.flags = 0 if bounce else p.u8()
        self.sender = p.str()
        self.rcpts = [(p.u32(), p.str(), p.str()) for _ in range(p.u32())]
        p.end()
        [fd] = p.fds
        self.body = os.pread(fd, self.size, self.offset)
        os.close(fd)

    @property
    def idx(self):
        return [r[0] for r in self.rcpts]

    @property
    def addresses(self):
        return [r[1] for r in self.rcpts]


class Agent:
    """Plays a local, or a remote's child."""

    def __init__(self, sock):
        self.sock = sock
        self.stash = []  # packets that another call will want
        self.acked = []  # (id, idx) that were read, not asked for yet

    def _next(self, wanted, timeout=10):
        for i, p in enumerate(self.stash):
            if p.type == wanted:
                return self.stash.pop(i)
        end = time.monotonic() + timeout
        while True:
            p = packet(self.sock, max(0.001, end - time.monotonic()))
            if p is None:
                raise Gone
            if p.type == wanted:
                return p
            self.stash.append(p)

    def job(self, timeout=10):
        return Job(self._next("J", timeout))

    def quiet(self, wanted, seconds=0.3):
        """No job (J) or no acknowledgement (K) comes."""
        try:
            p = self._next(wanted, seconds)
        except TimeoutError:
            return True
        assert False, ("unexpected", wanted, p.rest)

    def report(self, job, verdict="K", answer="2.0.0 ok", idx=None):
        self.sock.send(b"R" + many(
            [u64(job.id) + u32(i) + verdict.encode() + text(answer)
             for i in (job.idx if idx is None else idx)]))

    def forward(self, job, idx, targets):
        self.sock.send(b"W" + u64(job.id) + u32(idx) +
                       many([text(t) for t in targets]))

    def acks(self, timeout=10):
        if not self.acked:
            p = self._next("K", timeout)
            self.acked = [(p.u64(), p.u32()) for _ in range(p.u32())]
        id_, found = self.acked[0][0], []
        while self.acked and self.acked[0][0] == id_:
            found.append(self.acked.pop(0)[1])
        return id_, found

    def wait_acks(self, wanted):
        """Reads acknowledgements until each (id, idx) of wanted has come."""
        left = set(wanted)
        while left:
            id_, idx = self.acks()
            left -= {(id_, i) for i in idx}

    def at_end(self, timeout=10):
        return packet(self.sock, timeout) is None

    def die(self):
        self.sock.close()


class World:
    LINKS = ("queued", "userd", "become", "dial", "remote", "bounce")

    def __init__(self, control=None, prefix=()):
        self.folder = tempfile.TemporaryDirectory(prefix="postern-qmgr-")
        os.chmod(self.folder.name, 0o755)
        run = os.path.join(self.folder.name, "run/postern")
        os.makedirs(run)
        self.path = os.path.join(run, "qmgr")
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door.bind(self.path)
        os.chmod(self.path, 0o666)
        self.door.listen(16)
        self.door.setblocking(False)
        self.role = Role("postern-qmgr", {
            "locals": "here.example", "virtualdomains": "virtual.example",
            "rcpthosts": "relayed.example",
            "smtproutes": "routed.example:relay.example:2525",
            **(control or {})}, doors=[self.door], prefix=prefix)
        self.told_dial = []

    def __enter__(self):
        self.role.start()
        for name in self.LINKS:
            setattr(self, name, self.role.link(name))
        return self

    def __exit__(self, *what):
        self.role.__exit__(*what)
        self.door.close()
        self.folder.cleanup()

    def told(self):
        """The index is told, no agent runs."""
        self.queued.send(b"E")
        self.become.send(b"E")
        self.remote.send(b"E")
        self.wait_log("event=scheduling")
        return self

    def relink(self, name):
        getattr(self, name).close()
        setattr(self, name, self.role.link(name))
        return getattr(self, name)

    def wait_log(self, what, timeout=10):
        end = time.monotonic() + timeout
        while what not in self.role.log():
            assert time.monotonic() < end, (what, self.role.log())
            time.sleep(0.02)

    # ---- queued ----

    def note(self, rcpts, sender="alice@crepes.fr", id_=None, birth=None,
             body=BODY, flags=0, fd=True, sid="s1"):
        id_ = id_ or now_id()
        if not isinstance(rcpts, dict):
            rcpts = dict(enumerate(rcpts))
        data = (b"N" + u64(id_) + u64(int(birth or time.time())) +
                u64(len(body)) + u64(0) + u8(flags) + text(sender) +
                text(sid) +
                many([u32(i) + text(a) for i, a in rcpts.items()]))
        fds = [body_fd(body)] if fd else []
        socket.send_fds(self.queued, [data], fds)
        for f in fds:
            os.close(f)
        return id_

    def more(self, id_, rcpts, flags=0):
        self.queued.send(b"n" + u64(id_) + u8(flags) + many(
            [u32(i) + text(a) for i, a in rcpts.items()]))

    def marks(self, timeout=10):
        """[(id, idx, verdict)] of one packet."""
        p = take(self.queued, "M", timeout)
        return [(p.u64(), p.u32(), chr(p.u8())) for _ in range(p.u32())]

    def marked(self, marks):
        self.queued.send(b"m" + many([u64(i) + u32(x) for i, x, _ in marks]))

    def wait_marks(self, wanted):
        """Takes and answers marks until all of wanted have come."""
        left = set(wanted)
        while left:
            marks = self.marks()
            self.marked(marks)
            left -= set(marks)

    def body(self, body=BODY, verdict="K"):
        id_ = take(self.queued, "O").u64()
        data = (b"o" + u64(id_) + verdict.encode() + u64(0) +
                u64(len(body)) + text("" if verdict == "K" else "4.3.0 no"))
        fds = [body_fd(body)] if verdict == "K" else []
        socket.send_fds(self.queued, [data], fds)
        for f in fds:
            os.close(f)
        return id_

    def replace(self):
        p = take(self.queued, "W")
        return p.u64(), p.u32(), [p.str() for _ in range(p.u32())]

    def replaced(self, id_, idx, verdict="K", why=""):
        self.queued.send(b"w" + u64(id_) + u32(idx) + verdict.encode() +
                         text(why))

    # ---- userd ----

    def asked(self, timeout=10):
        return take(self.userd, "W", timeout).str()

    def virtual(self, maildir="here.example/bob"):
        address = self.asked()
        self.userd.send(b"V" + text(maildir) + text(address))
        return address

    def system(self, user, extension=""):
        address = self.asked()
        self.userd.send(b"S" + text(user) + text(extension))
        return address

    def alias(self, targets):
        address = self.asked()
        self.userd.send(b"A" + many([text(t) for t in targets]))
        return address

    # ---- hubs ----

    def local(self, user="", timeout=10):
        """Answers one request for a local: an Agent."""
        p = take(self.become, "L", timeout)
        key = p.u64()
        assert p.str() == user
        near, far = pair()
        socket.send_fds(self.become, [b"A" + u64(key) + u8(0) + text(user)],
                        [far.fileno()])
        far.close()
        self.role.links.append(near)
        return Agent(near)

    def no_local(self, verdict="Z", why="4.3.0 no process"):
        p = take(self.become, "L")
        self.become.send(b"F" + u64(p.u64()) + verdict.encode() + text(why))

    def dialled(self, timeout=10):
        p = packet(self.dial, timeout)
        while p is not None and p.type in "BX":  # what it gives up, and why
            self.told_dial.append((p.type, p.rest))
            p = packet(self.dial, timeout)
        if p is None:
            raise Gone
        # D: by hand, or for the last time
        assert p.type in "CD", (p.type, p.rest)
        self.dialled_as = p.type
        return p.u64(), p.str(), [p.str() for _ in range(p.u32())]

    def refuse(self, key, why="4.4.1 connection refused", verdict="Z"):
        self.dial.send(b"F" + u64(key) + verdict.encode() + text(why))

    def connected(self, key, domain, host="mx.example", ip="192.0.2.1",
                  resumed=0):
        near, far = pair()
        socket.send_fds(self.remote, [b"A" + u64(key) + u8(resumed) +
                                      text(domain) + text(host) + text(ip)],
                        [far.fileno()])
        far.close()
        self.role.links.append(near)
        return Agent(near)

    def connect(self, domain, timeout=10, **more):
        key, asked, tried = self.dialled(timeout)
        assert asked == domain, (asked, domain)
        return self.connected(key, domain, **more)

    # ---- bounce ----

    def bounce_job(self, timeout=10):
        return Job(take(self.bounce, "J", timeout), bounce=True)

    def bounced(self, job, verdict="K", why=""):
        self.bounce.send(b"R" + u64(job.id) + verdict.encode() + text(why) +
                         many([u32(i) for i in job.idx]))

    # ---- control ----

    def control(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(self.path)
        self.role.links.append(s)
        return s

    @staticmethod
    def selection(id_=0, born=(0, 0), size=(0, 0), sender="", rcpt="",
                  domain="", reason="", states=""):
        return (b"".join(map(u64, (id_, *born, *size))) +
                b"".join(map(text, (sender, rcpt, domain, reason, states))))

    def order(self, sock, verb, id_=0, why=""):
        """Orders (h hold, l release, r retry, d delete, b bounce)."""
        sock.send(b"A" + verb.encode() + u8(0) + u64(0) + u32(0) +
                  self.selection(id_) + text(why))

    @staticmethod
    def obeyed(sock):
        """(messages, recipients, in flight) of the answer."""
        p = take(sock, "a")
        p.u64(), p.u32(), p.u32()
        return p.u32(), p.u32(), p.u32()

    def listing(self, id_=0):
        s, cursor, rows = self.control(), 0, []
        while True:
            s.send(b"L" + u64(cursor) + self.selection(id_))
            p = take(s, "l")
            cursor = p.u64()
            p.u32(), p.u32()
            for _ in range(p.u32()):
                rows.append({
                    "id": p.u64(), "birth": p.u64(), "size": p.u64(),
                    "sender": p.str(), "idx": p.u32(), "address": p.str(),
                    "state": chr(p.u8()), "attempts": p.u8(),
                    "due": p.u64(), "text": p.bytes().decode("latin1")})
            p.end()
            if cursor == 0:
                return rows

    def cli(self, *args):
        """`postern queue ...`, started."""
        return subprocess.Popen(
            [str(BIN / "postern"), "queue", *args], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env={**os.environ, "POSTERN_ROOT": self.folder.name})

    def postern(self, *args, code=0):
        """What `postern queue ...` prints."""
        process = self.cli(*args)
        out, errors = process.communicate(timeout=30)
        assert process.returncode == code, (out, errors)
        return out.decode() if code == 0 else errors.decode()

    def status(self):
        s = self.control()
        s.send(b"Q")
        p = take(s, "q")
        s.close()
        self.role.links.remove(s)
        return {p.str(): p.u64() for _ in range(p.u32())}

    def wait_status(self, timeout=10, **wanted):
        end = time.monotonic() + timeout
        wanted = {k.replace("_", "-"): v for k, v in wanted.items()}
        while True:
            have = self.status()
            if all(have[k] == v for k, v in wanted.items()):
                return have
            assert time.monotonic() < end, (wanted, have)
            time.sleep(0.02)
