# SPDX-License-Identifier: ISC
"""One resident role under test: this plays postern-start and the neighbours."""
import ctypes
import fcntl
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", TOP / "build"))
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", BUILD / "bin"))


def lay_descriptors(places):
    """In a child, before exec: {3: fd} makes fd descriptor 3, and so on.  Each
    is put out of the way of the others first."""
    high = {n: fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for n, fd in places.items()}
    for n, fd in high.items():
        os.dup2(fd, n, inheritable=True)


def u8(v):
    return struct.pack(">B", v)


def u32(v):
    return struct.pack(">I", v)


def u64(v):
    return struct.pack(">Q", v)


def text(v):
    v = v.encode() if isinstance(v, str) else v
    return u32(len(v)) + v


class Fields:
    """Reads a packet's fields in order."""

    def __init__(self, data):
        self.type, self.rest = chr(data[0]), data[1:]

    def number(self, n):
        v, self.rest = int.from_bytes(self.rest[:n], "big"), self.rest[n:]
        return v

    def u8(self):
        return self.number(1)

    def u32(self):
        return self.number(4)

    def u64(self):
        return self.number(8)

    def bytes(self):
        n = self.u32()
        v, self.rest = self.rest[:n], self.rest[n:]
        assert len(v) == n
        return v

    def str(self):
        return self.bytes().decode()

    def end(self):
        assert self.rest == b""


def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def receive(sock, timeout=10):
    """(bytes, [fds]) of the next packet; (b"", []) at the end."""
    sock.settimeout(timeout)
    data, fds, _, _ = socket.recv_fds(sock, 65536, 4)
    return data, fds


def says_ready(channel, timeout=30):
    """Whether the role at the other end of its channel to start becomes ready;
    error lines that it logs before (E) are passed over."""
    data, _ = receive(channel, timeout)
    while data[:1] == b"E":
        data, _ = receive(channel, timeout)
    return data[:1] == b"R"


def packet(sock, timeout=10):
    data, fds = receive(sock, timeout)
    if not data:
        return None
    f = Fields(data)
    f.fds = fds
    return f


def enter_netns(name):
    """This thread goes there; returns a descriptor of where it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    to = name if isinstance(name, int) else os.open(
        f"/run/netns/{name}", os.O_RDONLY)
    if libc.setns(to, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(to)
    return back


class Started:
    """A role that runs: self.channel is start's end, log_path its log."""

    def link(self, peer, kind=socket.SOCK_SEQPACKET):
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        self.give(peer, far)
        self.links.append(near)
        return near

    def give(self, peer, sock):
        """Hands an end that another role, or a test, holds the other end of."""
        socket.send_fds(self.channel, [b"L" + text(peer)], [sock.fileno()])
        sock.close()

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors="replace")


class Role(Started):
    def __init__(self, program, control=None, env=None, netns=None, args=(),
                 doors=(), prefix=()):
        self.program = program
        self.netns = netns
        self.prefix = list(prefix)  # a command that runs the program
        self.args = list(args)
        self.doors = list(doors)  # listening sockets, for fd 6 and up
        self.control = {"me": "tester.example", **(control or {})}
        self.env = env or {}
        self.links = []

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="postern-role-")
        os.chmod(self.folder, 0o755)
        for name, value in self.control.items():
            pathlib.Path(self.folder, name).write_text(value + "\n")
        dirfd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self.channel, far = pair()
        self.log_path = os.path.join(self.folder, "log")
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def wire():
            if self.netns:
                enter_netns(self.netns)
            lay_descriptors({3: far.fileno(), 4: dirfd, **{
                6 + i: d.fileno() for i, d in enumerate(self.doors)}})

        given = (3, 4, *range(6, 6 + len(self.doors)))

        self.process = subprocess.Popen(
            [*self.prefix, str(BIN / self.program), *self.args], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, preexec_fn=wire, pass_fds=given,
            close_fds=True, env={**os.environ, **self.env})
        os.close(log)
        os.close(dirfd)
        far.close()
        assert says_ready(self.channel), self.log()
        return self

    def stop(self):
        self.channel.close()
        for sock in self.links:
            sock.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.last_log = self.log()
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind is not None:
            print(f"--- log of {self.program}\n" + self.last_log[-4000:])
        assert "forbidden-call" not in self.last_log, self.last_log
        assert "session-crashed" not in self.last_log, self.last_log


def body_fd(data):
    """A read-only descriptor as queued would send it: a sealed memfd."""
    fd = os.memfd_create("body", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(fd, data) if data else None
    ro = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    os.close(fd)
    return ro
