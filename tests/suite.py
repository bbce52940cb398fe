# SPDX-License-Identifier: ISC
"""A whole Postern suite under test, started and stopped through install/try."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", TOP / "build"))
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", BUILD / "bin"))


def bin_for_others(folder):
    """The programs; a copy of them below folder when other users cannot look
    where they are (of roles only a descriptor is needed)."""
    if all(p.stat().st_mode & 0o001 for p in (BIN, *BIN.parents)):
        return BIN
    return pathlib.Path(shutil.copytree(BIN, os.path.join(folder, "bin")))


class Suite:
    """Started by `with`, or by start(); stop() is safe to call twice."""

    def __init__(self, *options, netns=None, folder=None, programs=BIN):
        self.folder = folder or tempfile.mkdtemp(prefix="postern-test-")
        self.options = list(options)
        self.programs = programs
        self.prefix = ["ip", "netns", "exec", netns] if netns else []
        self.env = {}

    def try_(self, *args, timeout=120):
        """Runs install/try; returns its output, raises with it on failure."""
        done = subprocess.run(
            [*self.prefix, str(TOP / "install/try"), self.folder, *args],
            env={**os.environ, "POSTERN_BIN": str(self.programs)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=timeout, text=True)
        if done.returncode != 0:
            raise AssertionError(
                f"install/try {args}: exit {done.returncode}\n{done.stdout}"
                f"\n--- log\n{self.log()[-4000:]}")
        return done.stdout

    def start(self):
        self.try_("--background", *self.options)
        text = pathlib.Path(self.folder, "try.env").read_text()
        self.env = dict(re.findall(r"^(\w+)='?(.*?)'?$", text, re.M))
        return self

    def stop(self):
        if os.path.exists(os.path.join(self.folder, "try.env")):
            self.try_("--stop")

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("--- end of the suite's log\n" + self.log()[-6000:])
        self.remove()

    def address(self, name):
        host, port = self.env[name].rsplit(":", 1)
        return host, int(port)

    @property
    def smtp(self):
        return self.address("SMTP")

    @property
    def pop3(self):
        return self.address("POP3")

    def log(self):
        path = self.env.get("LOG") or os.path.join(self.folder, "log")
        try:
            return pathlib.Path(path).read_text(errors="replace")
        except OSError:
            return ""

    def roles(self):
        """{name: pid} of the running roles, as start wrote them down; one that
        is down (pid 0, which kill() takes for our own group) is left out."""
        path = os.path.join(self.folder, "run/postern/roles")
        rows = [r.split() for r in pathlib.Path(path).read_text().splitlines()]
        return {r[0]: int(r[1]) for r in rows if r and int(r[1]) > 0}

    def is_back(self, role, old):
        """Whether another process than old plays the role, and is ready."""
        path = os.path.join(self.folder, "run/postern/roles")
        row = re.search(rf"^{role} (\d+) \S+ \d+ (\w+)",
                        pathlib.Path(path).read_text(), re.M)
        return int(row[1]) not in (0, old) and row[2] == "ready"

    def postern(self, *args, check=True, **kw):
        done = subprocess.run(
            [*self.prefix, str(self.programs / "postern"), *args],
            env={**os.environ, "POSTERN_ROOT": self.folder},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=60, **kw)
        if check and done.returncode != 0:
            raise AssertionError(f"postern {args}: {done}")
        return done

    def wait_log(self, pattern, seconds=30, count=1):
        """Waits until the log holds pattern (a regular expression)."""
        return wait_for(
            lambda: len(re.findall(pattern, self.log())) >= count, seconds,
            f"{pattern!r} in the log")


def children(pid):
    """Pids of a process's children; none when it is gone."""
    try:
        return [int(p) for p in pathlib.Path(
            f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def free_port(family=socket.AF_INET):
    """Of this host's own address."""
    with socket.socket(family) as s:
        s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(test, seconds, what):
    """Calls test until it is true; its value.  Fails after seconds."""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)
