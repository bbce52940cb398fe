# SPDX-License-Identifier: ISC
"""Plays start, qmgr and userd for the real postern-become and postern-local."""
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from roles import (BIN, Started, body_fd, lay_descriptors, packet, pair,
                   says_ready, text, u8, u32, u64)
from suite import children

ROOT = os.geteuid() == 0
OWNER = pwd.getpwnam("posternm") if ROOT else pwd.getpwuid(os.geteuid())


def see_instead(path, place):
    """From here on this process, and its children, see path at place."""
    new_namespace, bind, private = 0x20000, 0x1000, 0x44000  # mount(2)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_namespace) or \
       libc.mount(None, b"/", None, private, None) or \
       libc.mount(os.fsencode(path), os.fsencode(place), None, bind, None):
        raise OSError(ctypes.get_errno(), "mount")


class Become(Started):
    """A running postern-become with a mail directory of its own; etc: a folder
    that it has in place of /etc."""

    def __init__(self, mail=None, etc=None):
        self.given_mail, self.etc = mail, etc
        self.links = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="postern-become-")
        os.chmod(self.folder, 0o755)
        self.mail = self.given_mail or os.path.join(self.folder, "mail")
        os.makedirs(self.mail, exist_ok=True)
        os.chown(self.mail, OWNER.pw_uid, OWNER.pw_gid)
        os.chmod(self.mail, 0o700)
        control = os.path.join(self.folder, "control")
        os.mkdir(control)
        fds = [os.open(d, os.O_RDONLY | os.O_DIRECTORY)
               for d in (control, self.mail)]
        self.channel, far = pair()
        self.log_path = os.path.join(self.folder, "log")
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def wire():
            if self.etc:
                see_instead(self.etc, "/etc")
            lay_descriptors({3: far.fileno(), 4: fds[0], 5: fds[1]})

        self.process = subprocess.Popen(
            [str(BIN / "postern-become")], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, preexec_fn=wire, pass_fds=(3, 4, 5))
        for fd in fds + [log]:
            os.close(fd)
        far.close()
        assert says_ready(self.channel), self.log()
        self.qmgr = self.link("qmgr")
        assert packet(self.qmgr).type == "E"
        self.keys = 0
        return self

    def ask(self, user=""):
        """The answer to an L: ("A", job socket) or ("F", verdict, text)."""
        self.keys += 1
        self.qmgr.send(b"L" + u64(self.keys) + text(user))
        return self.answer(self.keys, user)

    def answer(self, key, user, resumed=0):
        p = packet(self.qmgr, 20)
        assert p.u64() == key
        if p.type == "F":
            result = ("F", chr(p.u8()), p.str())
        else:
            assert (p.type, p.u8(), p.str()) == ("A", resumed, user)
            sock = socket.socket(fileno=p.fds[0])
            sock.settimeout(20)
            result = ("A", sock)
        p.end()
        return result

    def local(self, user=""):
        answer = self.ask(user)
        assert answer[0] == "A", answer
        agent = Agent(answer[1])
        assert agent.receive() == ("E",)
        return agent

    def processes(self, what):
        """Pids of become's children that are postern-local `what`."""
        start = b"postern-local\0" + what.encode() + b"\0"
        found = []
        for pid in children(self.process.pid):
            try:
                args = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if args.startswith(start):
                found.append(pid)
        return found

    def locals(self):
        """Pids of the running locals, without runners and template."""
        return self.processes("delivery")

    def restart(self):
        """Loses the channel: become ends, as when start is gone."""
        self.channel.close()
        self.process.wait(10)

    def __exit__(self, kind, value, trace):
        self.channel.close()
        self.qmgr.close()
        try:
            self.process.wait(10)
        finally:
            log = self.log()
            shutil.rmtree(self.folder, ignore_errors=True)
        if kind is not None:
            print("--- log of become and its children\n" + log[-6000:])
        assert "forbidden-call" not in log, log


class Agent:
    """A job socket: what qmgr does with it."""

    def __init__(self, sock):
        self.sock = sock
        self.reports = []  # read, not asked for yet: a packet may hold many

    def job(self, ident, recipients, body=b"Subject: x\n\nhello\n",
            sender="alice@crepes.fr", flags=0, birth=None, fd=None, offset=0,
            size=None):
        """recipients: [(idx, address, target)]"""
        own = fd is None
        fd = body_fd(body) if own else fd
        data = b"J" + u64(ident)
        data += u64(int(time.time()) if birth is None else birth)
        data += u64(offset) + u64(len(body) if size is None else size)
        data += u8(flags) + text(sender) + u32(len(recipients))
        for idx, address, target in recipients:
            data += u32(idx) + text(address) + text(target)
        socket.send_fds(self.sock, [data], [fd])
        if own:
            os.close(fd)

    def take_reports(self, p):
        for _ in range(p.u32()):
            ident, item = p.u64(), (p.u32(), chr(p.u8()), p.str())
            if not self.reports or self.reports[-1][1] != ident:
                self.reports.append(("R", ident, []))
            self.reports[-1][2].append(item)

    def receive(self):
        if self.reports:
            return self.reports.pop(0)
        p = packet(self.sock, 20)
        if p is None:
            return None
        if p.type == "E":
            result = ("E",)
        elif p.type == "R":
            self.take_reports(p)
            result = self.reports.pop(0)
        elif p.type == "W":
            result = ("W", p.u64(), p.u32(),
                      [p.str() for _ in range(p.u32())])
        else:
            assert p.type == "I", p.type
            result = ("I", p.u64(), [p.u32() for _ in range(p.u32())])
        p.end()
        return result

    def acknowledge(self, ident, *idxs):
        self.sock.send(b"K" + u32(len(idxs)) +
                       b"".join(u64(ident) + u32(i) for i in idxs))

    def deliver(self, ident, address, target, **more):
        """One recipient, its report, the acknowledgement."""
        self.job(ident, [(0, address, target)], **more)
        report = self.receive()
        assert report is not None
        assert report[1] == ident
        self.acknowledge(ident, 0)
        if report[0] == "W":
            return report[3]
        (idx, verdict, words), = report[2]
        assert idx == 0
        return verdict, words


def new(path):
    return sorted(os.listdir(os.path.join(path, "new")))


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.01)


class User:
    """A system user of this test's own, removed afterwards.  As an ordinary
    user: that user, with a home that cannot be chosen."""

    number = 0

    def __enter__(self):
        User.number += 1
        self.name = f"pt{os.getpid()}x{User.number}"
        self.home = f"/home/{self.name}"
        subprocess.run(["useradd", "-m", "-s", "/bin/sh", self.name],
                       check=True, capture_output=True)
        self.entry = pwd.getpwnam(self.name)
        os.chmod(self.home, 0o700)
        return self

    def write(self, name, content, mode=0o600):
        path = os.path.join(self.home, name)
        with open(path, "w") as f:
            f.write(content)
        os.chmod(path, mode)
        os.chown(path, self.entry.pw_uid, self.entry.pw_gid)
        return path

    def read(self, name):
        with open(os.path.join(self.home, name)) as f:
            return f.read()

    def kill_all(self):
        """What this user (made a moment ago, by us) still runs."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat("/proc/" + pid).st_uid == self.entry.pw_uid or \
                        f"\t{self.entry.pw_uid}\t" in open(
                            f"/proc/{pid}/status").read():
                    os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass

    def __exit__(self, *_):
        for _ in range(50):  # a process of the user's may be ending
            self.kill_all()
            done = subprocess.run(["userdel", "-r", self.name],
                                  capture_output=True)
            if done.returncode not in (8,):
                return
            time.sleep(0.05)
