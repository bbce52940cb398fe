# SPDX-License-Identifier: ISC
"""Callers of postern-queue: any program of this host, in its interface; and
the program as it is installed: set-gid, in a root of its own."""
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import threading

from suite import BIN

ENVELOPE = b"Fbob@example.test\0Talice@example.test\0\0"
# Messages of every kind, which come out as they went in.
BYTES = [b"", b"\n", b"\n\n", b"x", b"Subject: only a header", b"no header\n",
         b"From x\nSubject: mbox\n\nFrom y\n", b".\n..\n.x\n\n.\n",
         b"Subject: \n folded\n\tmore\n\n\n\n", b"x" * 200_000,
         bytes(c for c in range(1, 256) if c != 13) * 40,
         b"Subject: x\n\n" + b"\xc3\xa4" * 40_000 + b"\n" * 70_000]
NNP = 38  # PR_SET_NO_NEW_PRIVS


def pipe_with(data):
    """The read end of a pipe that holds data and ends there; a file when it
    is too much for one."""
    if len(data) > 60_000:
        fd = os.memfd_create("message")
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd
    r, w = os.pipe()
    os.write(w, data)
    os.close(w)
    return r


class Result:
    def __init__(self, code, report, errors):
        self.code, self.report, self.errors = code, report, errors

    def __repr__(self):
        return f"exit {self.code}, report {self.report!r}, {self.errors!r}"

    @property
    def verdict(self):
        return self.report[:1]


class Caller:
    """Runs one postern-queue below root; start and finish apart for slow
    writers."""

    def __init__(self, root, uid=None, chroot=False, nnp=False, env=None,
                 args=(), report=True, limits=(), program=None):
        self.chroot, self.root = chroot, str(root)
        self.report_r, report_w = os.pipe() if report else (None, None)
        environment = {"PATH": os.environ["PATH"], **(env or {})}
        if not chroot:
            environment["POSTERN_ROOT"] = self.root
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        if report:
            environment["POSTERN_QUEUE_REPORT"] = str(report_w)
        self.given = dict(env=environment, uid=uid, nnp=nnp, limits=limits,
                          args=list(args), report_w=report_w,
                          program=program)

    def prepare(self):
        import ctypes
        import resource
        if self.chroot:
            os.chroot(self.root)
            os.chdir("/")
        for which, value in self.given["limits"]:
            resource.setrlimit(which, (value, value))
        uid = self.given["uid"]
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        if self.given["nnp"]:
            ctypes.CDLL(None).prctl(NNP, 1, 0, 0, 0)

    def start(self, message_fd, envelope_fd):
        g = self.given
        program = g["program"] or (
            "/postern-queue" if self.chroot else str(BIN / "postern-queue"))
        self.process = subprocess.Popen(
            [program, *g["args"]], stdin=message_fd, stdout=envelope_fd,
            stderr=subprocess.PIPE, env=g["env"], preexec_fn=self.prepare,
            pass_fds=() if g["report_w"] is None else (g["report_w"],))
        if g["report_w"] is not None:
            os.close(g["report_w"])
        return self

    def finish(self, timeout=30):
        errors = self.process.communicate(timeout=timeout)[1]
        report = b""
        if self.report_r is not None:
            with os.fdopen(self.report_r, "rb") as f:
                report = f.read()
        return Result(self.process.returncode, report.decode(),
                      errors.decode())


def queue(root, message=b"Subject: test\n\nhello\n", envelope=ENVELOPE, **kw):
    m, e = pipe_with(message), pipe_with(envelope)
    try:
        return Caller(root, **kw).start(m, e).finish()
    finally:
        os.close(m)
        os.close(e)


def install_setgid(folder):
    """postern-queue with what it is linked with, set-gid, below folder."""
    path = pathlib.Path(folder, "postern-queue")
    shutil.copy(BIN / "postern-queue", path)
    shutil.chown(path, "root", "posternk")
    path.chmod(0o2755)
    libs = subprocess.run(["ldd", str(path)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout
    for lib in re.findall(r"(/\S+) \(0x", libs):  # not when it is static
        to = pathlib.Path(folder, lib[1:])
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(lib, to)
    return path


class FakeQueued:
    """Listens at run/queue below a root, and answers as told."""

    def __init__(self, root, answer):
        """answer: bytes after the frame C; None: hangs up."""
        run = pathlib.Path(root, "run/postern")
        run.mkdir(parents=True)
        self.answer, self.got = answer, b""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(run / "queue"))
        self.sock.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            conn = self.sock.accept()[0]
        except OSError:  # closed: nobody came
            return
        with conn:
            while not self.got.endswith(b"1:C,"):
                data = conn.recv(65536)
                if not data:
                    return
                self.got += data
            if self.answer is not None:
                conn.sendall(self.answer)

    def frames(self):
        self.thread.join(10)
        rest, out = self.got, []
        while rest:
            n, rest = rest.split(b":", 1)
            out.append((rest[:1], rest[1:int(n)]))
            rest = rest[int(n) + 1:]
        return out

    def close(self):
        self.sock.close()


def frame(kind, payload):
    return b"%d:%s%s," % (len(payload) + 1, kind, payload)


def drop_file(uid, message=b"Subject: made\n\nby hand\n",
              envelope=ENVELOPE, end=b"1:C,"):
    """What postern-queue writes into the drop box."""
    paths = envelope.split(b"\0")
    return frame(b"Q", struct.pack(">BI", 1, uid)) + frame(b"B", message) + \
        b"".join(frame(p[:1], p[1:]) for p in paths if p) + end


def as_given(raw):
    """A delivered message without what was put on top of it."""
    ours = raw.index(b"Received: by ")
    return raw[re.compile(rb"\+0000\n").search(raw, ours).end():]
