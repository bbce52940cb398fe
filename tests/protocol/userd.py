# SPDX-License-Identifier: ISC
"""postern-userd under test: plays postern-start and userd's neighbours."""
import os
import pathlib
import pwd
import resource
import shutil
import socket
import subprocess
import tempfile
import time

from roles import (BIN, Started, lay_descriptors, packet, pair, says_ready,
                   text, u64)

NOBODY = 65534

# hundreds of sessions at a time, as start gives its roles
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def role_uid():
    """The uid that userd will have: posternu's, or of a one-user suite."""
    if os.getuid() != 0:
        return os.getuid()
    try:
        return pwd.getpwnam("posternu").pw_uid
    except KeyError:
        return NOBODY


class Userd(Started):
    """A context: folders, the process, its channel and links."""

    def __init__(self, control=None, tables=None, one_user=False):
        self.control = {"me": "mx.example", "locals": "mx.example",
                        "virtualdomains": "hamburger.edu",
                        **(control or {})}
        self.tables = tables or {}
        self.uid = NOBODY if one_user and os.getuid() == 0 else role_uid()
        self.drop = os.getuid() == 0 and self.uid == NOBODY
        self.links = []

    def __enter__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="postern-userd-"))
        os.chmod(self.root, 0o755)
        self.etc = self.root / "etc/postern"
        self.users = self.etc / "users"
        self.run = self.root / "run/postern"
        self.users.mkdir(parents=True)
        self.run.mkdir(parents=True)
        os.chmod(self.users, 0o750)
        if os.getuid() == 0:
            gid = NOBODY if self.drop else pwd.getpwnam("posternu").pw_gid
            os.chown(self.users, 0, gid)
        for name, value in self.control.items():
            (self.etc / name).write_text(value + "\n")
        for name, value in self.tables.items():
            (self.users / name).write_text(value)
        self.env = {**os.environ, "POSTERN_ROOT": str(self.root)}
        self.start()
        return self

    def start(self):
        self.channel, far = pair()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = self.run / "users"
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        os.chmod(path, 0o666)
        listener.listen(128)
        listener.setblocking(False)
        self.log_path = self.root / "log"
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        control = os.open(self.etc, os.O_RDONLY | os.O_DIRECTORY)
        users = os.open(self.users, os.O_RDONLY | os.O_DIRECTORY)
        fds = [far.fileno(), control, users, listener.fileno()]

        def wire():
            lay_descriptors({3 + i: fd for i, fd in enumerate(fds)})
            if self.drop:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)

        program = BIN / "postern-userd"
        if self.drop:  # who may not look where the checkout lies
            program = shutil.copy(program, self.root)
        self.process = subprocess.Popen(
            [str(program)], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, preexec_fn=wire, pass_fds=(3, 4, 5, 6), env=self.env)
        for fd in (log, control, users):
            os.close(fd)
        far.close()
        listener.close()
        assert says_ready(self.channel), self.log()

    def __exit__(self, kind, value, trace):
        self.channel.close()
        for sock in self.links:
            sock.close()
        try:
            code = self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            log = self.log()
            shutil.rmtree(self.root, ignore_errors=True)
        if kind is not None:
            print("--- log of postern-userd\n" + log[-6000:])
        assert "forbidden-call" not in log, log
        assert kind is not None or code == 0, (code, log)

    def wait_log(self, what, timeout=10):
        end = time.monotonic() + timeout
        while what not in self.log():
            assert time.monotonic() < end, (what, self.log())
            time.sleep(0.02)

    def accounts(self, lines):
        before = self.log().count("event=accounts")
        fd = os.memfd_create("accounts", os.MFD_CLOEXEC)
        os.write(fd, lines.encode())
        socket.send_fds(self.channel, [b"L" + text("accounts")], [fd])
        os.close(fd)
        end = time.monotonic() + 10
        while self.log().count("event=accounts") == before:
            assert time.monotonic() < end
            time.sleep(0.01)

    def reload(self):
        self.channel.send(b"H")

    def session(self, listen, sid, ip="192.0.2.1", service="smtp"):
        near, far = pair()
        socket.send_fds(listen, [b"S" + text(sid) + text(ip) + text(service)],
                        [far.fileno()])
        far.close()
        self.links.append(near)
        return near

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(str(self.run / "users"))
        self.links.append(s)
        return s

    def workers(self):
        """pids of the hash workers: the keeper's children."""
        def children(pid):
            p = f"/proc/{pid}/task/{pid}/children"
            return [int(c) for c in pathlib.Path(p).read_text().split()]

        end = time.monotonic() + 5
        while True:
            found = [c for k in children(self.process.pid) for c in children(k)]
            if len(found) == 4 or time.monotonic() > end:
                return found
            time.sleep(0.02)


def ask(sock, kind, address):
    sock.send(kind.encode() + text(address))
    return packet(sock)


def send_login(sock, user, password, already=b""):
    """Sends L; what stays here: the far ends of in (a socket) and of life."""
    near, far = socket.socketpair()
    life_r, life_w = os.pipe()
    socket.send_fds(sock, [b"L" + text(user) + text(password) + text(already)],
                    [far.fileno(), far.fileno(), life_w])
    far.close()
    os.close(life_w)
    return near, life_r


def become_takes(become, verdict=b"K", why=None):
    """Plays become for one login; the fields of its P packet."""
    f = packet(become)
    assert f.type == "P"
    f.key = f.u64()
    f.user, f.maildir, f.sid, f.ip, f.login = (f.str() for _ in range(5))
    f.already = f.bytes()
    f.end()
    become.send(verdict + u64(f.key) + (text(why) if why else b""))
    return f
