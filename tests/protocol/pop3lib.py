# SPDX-License-Identifier: ISC
"""Plays every neighbour of postern-popup and postern-pop3d: start and listen-pop3 for the template, userd and become for the
login.  The two programs are the real ones, in their sandboxes; pop3d runs as an ordinary user when the test is root."""
import os, pwd, shutil, socket, struct, subprocess, tempfile, threading

from roles import lay_descriptors

BIN = os.environ.get("POSTERN_BIN") or os.path.join(os.environ.get("POSTERN_BUILD") or os.path.join(os.path.dirname(__file__), "../../build"), "bin")
ROOT = os.geteuid() == 0
OWNER = pwd.getpwnam("nobody").pw_uid if ROOT else os.getuid()
# a sanitized build: the leak check at the end would need ptrace, which no sandbox allows
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")
ENV = {"ASAN_OPTIONS": os.environ["ASAN_OPTIONS"]}
TIME = 30  # seconds until a test that hangs fails


def s(b):
    b = b.encode() if isinstance(b, str) else b
    return struct.pack(">I", len(b)) + b


def fields(data, spec):
    """Takes the fields of a packet apart: s = string, I = u32, Q = u64, B = u8."""
    out, at = [], 1
    for c in spec:
        if c == "s":
            (n,) = struct.unpack_from(">I", data, at)
            out.append(data[at + 4:at + 4 + n])
            at += 4 + n
        else:
            out.append(struct.unpack_from(">" + c, data, at)[0])
            at += struct.calcsize(">" + c)
    assert at == len(data), "bytes left over"
    return out


def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock, data, fds=()):
    socket.send_fds(sock, [data], list(fds))


def recv(sock):
    data, fds, _, _ = socket.recv_fds(sock, 65536, 4)
    return data, fds


def programs():
    """The programs where every user can reach them, whatever the mode of the build folder's parents."""
    d = tempfile.mkdtemp(prefix="pop3-")
    os.chmod(d, 0o755)
    for p in ("postern-popup", "postern-pop3d"):
        shutil.copy(os.path.join(BIN, p), d)
    return d


def maildir(path, new=None, cur=None):
    """Makes a Maildir with these files {name: bytes}, its owner's."""
    for sub, files in (("", {}), ("tmp", {}), ("new", new or {}), ("cur", cur or {})):
        os.makedirs(os.path.join(path, sub), 0o700, exist_ok=True)
        for name, content in files.items():
            with open(os.path.join(path, sub, name), "wb") as f:
                f.write(content)
    if ROOT:
        subprocess.run(["chown", "-R", str(OWNER), path], check=True)
    return path


def tcp_pair():
    """Both ends of a connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as srv:
        c = socket.create_connection(srv.getsockname())
        far, peer = srv.accept()
        while peer != c.getsockname():  # a stranger, who looks for another
            far.close()
            far, peer = srv.accept()
    c.settimeout(TIME)
    return c, far


class Client:
    """A POP3 client that reads and writes lines."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def send(self, text):
        self.sock.sendall(text.encode("latin-1") if isinstance(text, str) else text)

    def line(self):
        b = self.file.readline()
        assert b == b"" or b.endswith(b"\r\n"), b
        return b[:-2].decode("latin-1") if b else None

    def ask(self, text):
        self.send(text + "\r\n")
        return self.line()

    def multi(self):
        """The bytes of a multi-line reply, dots undone, the final line left out."""
        out = bytearray()
        while True:
            b = self.file.readline()
            assert b.endswith(b"\n"), "the reply broke off"
            if b == b".\r\n":
                return bytes(out)
            out += b[1:] if b.startswith(b".") else b

    def rest(self):
        return self.file.read()

    def close(self):
        self.file.close()
        self.sock.close()


class Pop3d:
    """postern-pop3d as become starts it."""

    def __init__(self, bindir, base, mailbox, already=b"", connection=None):
        self.client = None
        if connection is None:
            client, connection = tcp_pair()
            self.client = Client(client)
        ours, theirs = pair()
        self.life, life = os.pipe()
        send(ours, b"P" + struct.pack(">Q", 7) + s("") + s(mailbox) + s("sid-1") + s("192.0.2.1") + s("bob@example.test") + s(already))
        dirfd = os.open(base, os.O_RDONLY)
        want = {3: theirs.fileno(), 4: dirfd, 5: life}

        def place():
            lay_descriptors(want)

        self.process = subprocess.Popen([os.path.join(bindir, "postern-pop3d")], stdin=connection, stdout=connection, stderr=subprocess.PIPE,
                                        preexec_fn=place, pass_fds=(3, 4, 5), env=ENV, **({"user": OWNER, "group": 65534, "extra_groups": []} if ROOT else {}))
        connection.close()
        ours.close()
        theirs.close()
        os.close(dirfd)
        os.close(life)

    def end(self):
        """Waits for the end; what it logged."""
        _, err = self.process.communicate(timeout=TIME)
        return err.decode()


class Popup:
    """A popup template with everything around it.  users: {name: (password, mailbox)}."""

    def __init__(self, bindir, base, users, control=None):
        self.bindir, self.base, self.users = bindir, base, users
        self.sessions, self.logins, self.asks = [], [], []
        self.control = tempfile.mkdtemp(prefix="pop3-control-")
        os.chmod(self.control, 0o755)
        for k, v in (control or {}).items():
            with open(os.path.join(self.control, k), "w") as f:
                f.write(v + "\n")
        self.channel, theirs = pair()
        self.channel.settimeout(TIME)
        cfd = os.open(self.control, os.O_RDONLY)
        want = {3: theirs.fileno(), 4: cfd}

        def place():
            lay_descriptors(want)

        user = {}
        if ROOT:
            try:
                u = pwd.getpwnam("posternp")
                user = {"user": u.pw_uid, "group": u.pw_gid, "extra_groups": []}
            except KeyError:  # no such role user here: any ordinary one shows the same
                user = {"user": OWNER, "group": 65534, "extra_groups": []}
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([os.path.join(bindir, "postern-popup"), "--template"], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, preexec_fn=place, pass_fds=(3, 4), env=ENV, **user)
        theirs.close()
        os.close(cfd)
        assert recv(self.channel)[0][:1] == b"R", self.logged()
        self.relink()

    def relink(self):
        self.link, far = pair()
        send(self.channel, b"L" + s("listen-pop3"), [far.fileno()])
        far.close()

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode()

    def open(self, answer=True):
        """A connection: the client's end, the life pipe's read end."""
        client, far = tcp_pair()
        ask, ask_far = pair()
        life_r, life_w = os.pipe()
        send(self.link, b"S" + s("sid-%d" % len(self.sessions)) + s("192.0.2.1") + struct.pack(">I", 4711) + s("192.0.2.2") + struct.pack(">I", 110) + b"\0",
             [far.fileno(), ask_far.fileno(), life_w])
        far.close()
        ask_far.close()
        os.close(life_w)
        self.asks.append(ask)
        if answer:
            threading.Thread(target=self.userd, args=(ask,), daemon=True).start()
        c = Client(client)
        c.life = life_r
        self.sessions.append(c)
        return c

    def userd(self, ask):
        while True:
            try:
                data, fds = recv(ask)
            except OSError:
                return  # the test is over
            if not data:
                return
            user, password, already = fields(data, "sss")
            assert data[:1] == b"L" and len(fds) == 3
            self.logins.append((user.decode("latin-1"), password.decode("latin-1"), already))
            good = self.users.get(user.decode("latin-1"))
            if good == "Z":
                send(ask, b"Z" + s("4.3.0 busy"))
            elif good is None or good[0] != password.decode("latin-1"):
                send(ask, b"D" + s("5.7.8 no"))
            else:
                self.pop3d = self.become(good[1], already, fds)
                send(ask, b"K")
            for fd in fds:
                try:
                    os.close(fd)
                except OSError:
                    pass

    def become(self, mailbox, already, fds):
        ours, theirs = pair()
        send(ours, b"P" + struct.pack(">Q", 7) + s("") + s(mailbox) + s("sid") + s("192.0.2.1") + s("bob") + s(already))
        dirfd = os.open(self.base, os.O_RDONLY)
        want = {0: fds[0], 1: fds[1], 3: theirs.fileno(), 4: dirfd, 5: fds[2]}

        def place():
            lay_descriptors(want)

        p = subprocess.Popen([os.path.join(self.bindir, "postern-pop3d")], stderr=self.log, preexec_fn=place, pass_fds=(3, 4, 5), env=ENV,
                             **({"user": OWNER, "group": 65534, "extra_groups": []} if ROOT else {}))
        theirs.close()
        ours.close()
        os.close(dirfd)
        return p

    def stop(self):
        for c in self.sessions:
            c.close()
            os.close(c.life)
        for a in self.asks:
            a.close()
        self.link.close()
        self.channel.close()
        self.process.wait(TIME)
        self.log.close()
        shutil.rmtree(self.control)
