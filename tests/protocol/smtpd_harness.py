# SPDX-License-Identifier: ISC
"""What stands around the real postern-smtpd in its tests: a fake queued and a
fake userd (threads), and, for the template, a fake start and listen."""
import array
import fcntl
import os
import pathlib
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", ROOT / "build"))
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", BUILD / "bin"))
SMTPD = BIN / "postern-smtpd"

# LeakSanitizer, in builds that have it, would want ptrace at exit; there is no
# heap to leak after start.
ENV = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0"}

KNOWN = {
    b"bob@hamburger.edu",
    b"carol@hamburger.edu",
    b"postmaster@hamburger.edu",
    b'"j doe"@hamburger.edu',
    b"lit@[192.0.2.25]",
    b"lit@[IPv6:2001:db8::25]",
}


def ensure_users():
    """As root every role has its own user (install/users makes them)."""
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam("posternd")
    except KeyError:
        subprocess.run(["sh", str(ROOT / "install" / "users")], check=True)


def pack_str(b):
    return struct.pack(">I", len(b)) + b


def unpack_str(b):
    (n,) = struct.unpack(">I", b[:4])
    return b[4 : 4 + n], b[4 + n :]


def netstring(b):
    return b"%d:%s," % (len(b), b)


class Message:
    def __init__(self, sender):
        self.sender = sender
        self.recipients = []
        self.body = b""

    def split(self):
        """The trace header on top, and the message as it was sent."""
        lines = self.body.split(b"\n", 3)
        return b"\n".join(lines[:3]) + b"\n", lines[3]


class FakeQueue:
    """Speaks queued's end of frame streams.  The sender says how it behaves."""

    def __init__(self):
        self.messages = []
        self.facts = []
        self.forgets = 0
        self.writes = 0
        self.unfinished = []
        self.peers = []
        self.lock = threading.Lock()

    def serve(self, sock):
        self.peers.append(sock)
        threading.Thread(target=self.run, args=(sock,), daemon=True).start()

    def run(self, sock):
        data = b""
        state = {"open": None}
        while True:
            try:
                more = sock.recv(1 << 20)
            except OSError:
                more = b""
            if not more:
                break
            self.writes += 1
            data += more
            while b":" in data:
                head, rest = data.split(b":", 1)
                n = int(head)
                assert 0 < n <= 16384 and str(n).encode() == head
                if len(rest) < n + 1:
                    break
                assert rest[n : n + 1] == b","
                data = rest[n + 1 :]
                if not self.frame(sock, state, rest[:1], rest[1:n]):
                    return
        if state["open"]:
            self.unfinished.append(state["open"])

    def frame(self, sock, state, kind, payload):
        m = state["open"]
        if kind == b"P":
            sid, rest = unpack_str(payload)
            ip, rest = unpack_str(rest)
            self.facts.append((sid, ip, rest[0]))
        elif kind == b"F":
            assert m is None
            state["open"] = Message(payload)
        elif kind == b"T":
            m.recipients.append(payload)
        elif kind == b"B":
            m.body += payload
        elif kind == b"X":
            assert m is not None
            self.forgets += 1
            state["open"] = None
        elif kind == b"C":
            state["open"] = None
            return self.commit(sock, m)
        else:
            raise AssertionError(kind)
        return True

    def commit(self, sock, m):
        answers = {
            b"full@q": b"Z4.3.1 Spool full",
            b"later@q": b"ZNo status here\r\n\x00",
            b"never@q": b"D5.7.1 Relaying denied",
            b"wrong@q": b"Knot an id",
            b"odd@q": b"Y",
        }
        if m.sender == b"die@q":
            sock.close()
            return False
        if m.sender == b"babble@q":
            sock.sendall(b"99999:" + b"x" * 100)
            return True
        if m.sender == b"slow@q":
            for c in netstring(b"K0123456789abcdef"):
                sock.sendall(bytes([c]))
        elif m.sender in answers:
            sock.sendall(netstring(answers[m.sender]))
        else:
            with self.lock:
                self.messages.append(m)
                n = len(self.messages)
            sock.sendall(netstring(b"K%016x" % n))
        return True


class FakeUsers:
    """Speaks userd's end of ask sockets."""

    def __init__(self):
        self.asked = []

    def serve(self, sock):
        threading.Thread(target=self.run, args=(sock,), daemon=True).start()

    def run(self, sock):
        while True:
            try:
                q = sock.recv(65536)
            except OSError:
                return
            if not q:
                return
            assert q[:1] == b"R"
            address, rest = unpack_str(q[1:])
            assert rest == b""
            self.asked.append(address)
            if address == b"gone@hamburger.edu":
                sock.close()
                return
            sock.send(self.answer(address))

    def answer(self, address):
        special = {
            b"later@hamburger.edu": b"Z" + pack_str(b"4.2.0 Busy"),
            b"quota@hamburger.edu": b"D" + pack_str(b"5.2.2 Mailbox full"),
            b"evil@hamburger.edu": b"D" + pack_str(b"5.1.1 a\r\n250 b"),
            b"liar@hamburger.edu": b"D" + struct.pack(">I", 5000) + b"x",
            b"long@hamburger.edu": b"D" + pack_str(b"5.1.1 " + b"y" * 900),
            b"odd@hamburger.edu": b"K and more",
        }
        if address in special:
            return special[address]
        if address in KNOWN or address.startswith(b"list-"):
            return b"K"
        if address.endswith(b"@hamburger.edu"):
            return b"D" + pack_str(b"5.1.1 No such mailbox")
        return b"N"


class Place:
    """A suite's folders below a fresh directory, with a control directory."""

    def __init__(self, control=None):
        ensure_users()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postern-smtpd-"))
        os.chmod(self.dir, 0o755)
        self.control = self.dir / "etc" / "postern"
        self.control.mkdir(parents=True)
        self.run = self.dir / "run" / "postern"
        self.run.mkdir(parents=True)
        settings = {"me": "hamburger.edu", "timeoutsmtpd": "20"}
        settings.update(control or {})
        for name, value in settings.items():
            (self.control / name).write_text(value + "\n")
        self.queue = FakeQueue()
        self.users = FakeUsers()
        self.sockets = []

    def listen(self, name, kind, served):
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(str(self.run / name))
        os.chmod(self.run / name, 0o666)
        s.listen(64)
        self.sockets.append(s)

        def loop():
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                served.serve(c)

        threading.Thread(target=loop, daemon=True).start()

    def start_services(self, queue=True, users=True):
        if queue:
            self.listen("queue", socket.SOCK_STREAM, self.queue)
        if users:
            self.listen("users", socket.SOCK_SEQPACKET, self.users)

    def close(self):
        for s in self.sockets:
            s.close()
        shutil.rmtree(self.dir)


class Client:
    """The network side of one session."""

    def __init__(self, sock, timeout=15):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.data = b""

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        """Next line with its CRLF; b"" at the end."""
        while b"\n" not in self.data:
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                rest, self.data = self.data, b""
                return rest
            self.data += more
        line, self.data = self.data.split(b"\n", 1)
        return line + b"\n"

    def reply(self):
        """A whole reply; b"" at the end."""
        whole = b""
        while True:
            line = self.line()
            assert line == b"" or line.endswith(b"\r\n"), line
            whole += line
            if len(line) < 4 or line[3:4] != b"-":
                return whole

    def cmd(self, text):
        self.send(text.encode("latin-1") + b"\r\n")
        return self.reply().decode("latin-1")

    def rest(self):
        whole = b""
        while True:
            line = self.line()
            if not line:
                return whole
            whole += line

    def close(self):
        self.sock.close()


class Lone:
    """postern-smtpd on a socket pair, as tcpserver would start it."""

    def __init__(self, control=None, env=None, queue=True, users=True, place=None):
        self.place = place or Place(control)
        if place is None:
            self.place.start_services(queue, users)
        self.queue = self.place.queue
        self.users = self.place.users
        ours, theirs = socket.socketpair()
        self.log = open(self.place.dir / "log", "ab+")
        e = {**ENV, "POSTERN_ROOT": str(self.place.dir)}
        e["TCPREMOTEIP"] = "192.0.2.7"
        e.update(env or {})
        for k in [k for k, v in e.items() if v is None]:
            del e[k]
        self.proc = subprocess.Popen(
            [str(SMTPD)], stdin=theirs, stdout=theirs, stderr=self.log, env=e
        )
        theirs.close()
        self.client = Client(ours)

    def logged(self):
        return (self.place.dir / "log").read_text()

    def finish(self, status=0):
        self.client.close()
        code = self.proc.wait(timeout=15)
        log = self.logged()
        self.log.close()
        self.place.close()
        assert code == status, log
        assert "forbidden-call" not in log, log
        return log


class Template:
    """postern-smtpd --template with a fake start and a fake listen."""

    def __init__(self, control=None):
        self.place = Place(control)
        self.queue = self.place.queue
        self.users = self.place.users
        self.start, channel = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        self.start.settimeout(15)
        dirfd = os.open(self.place.control, os.O_RDONLY | os.O_DIRECTORY)
        self.log = open(self.place.dir / "log", "ab+")

        # 3 and 4 as postern-start lays them; via high numbers, as either may
        # stand where the other belongs
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for fd in (channel.fileno(), dirfd)]
        script = 'exec "$0" --template 3<&%d 4<&%d %d<&- %d<&-' % (*high, *high)
        self.proc = subprocess.Popen(
            ["bash", "-c", script, str(SMTPD)],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=high,
            env={**ENV, "POSTERN_ROOT": str(self.place.dir)},
        )
        for fd in [*high, dirfd]:
            os.close(fd)
        channel.close()
        ready = self.start.recv(64)
        assert ready[:1] == b"R", self.logged()
        self.link = self.new_link()

    def new_link(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        send_fds(self.start, b"L" + pack_str(b"listen-smtp"), [theirs.fileno()])
        theirs.close()
        return ours

    def session(self, sid=b"s1", ip=b"192.0.2.7", relay=0):
        """Hands a connection over; the client, and the pipe of its life."""
        client, net = socket.socketpair()
        stream_far, stream = socket.socketpair()
        ask_far, ask = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        life_r, life_w = os.pipe()
        self.queue.serve(stream_far)
        self.users.serve(ask_far)
        packet = b"S" + pack_str(sid) + pack_str(ip) + struct.pack(">I", 4711)
        packet += pack_str(b"192.0.2.1") + struct.pack(">I", 25) + bytes([relay])
        fds = [net.fileno(), stream.fileno(), ask.fileno(), life_w]
        send_fds(self.link, packet, fds)
        for s in (net, stream, ask):
            s.close()
        os.close(life_w)
        return Client(client), life_r

    def logged(self):
        return (self.place.dir / "log").read_text()

    def finish(self, status=0):
        self.start.close()
        code = self.proc.wait(timeout=15)
        log = self.logged()
        self.log.close()
        self.link.close()
        self.place.close()
        assert code == status, log
        assert "forbidden-call" not in log, log
        return log


def send_fds(sock, data, fds):
    sock.sendmsg(
        [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    )
