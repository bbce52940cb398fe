# SPDX-License-Identifier: ISC
"""A suite whose spool and mailboxes lie on a disk of its own, which can be cut
off, played back, mounted again."""
import ctypes
import mmap
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from suite import BIN, BUILD, TOP, children, wait_for  # noqa: E402

from power_load import ALIAS, NOW, USERS, Net  # noqa: E402

SIZE = {"ext4": 192 << 20, "xfs": 304 << 20}
MKFS = {"ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0",
                 "-J", "size=16"],
        "xfs": ["mkfs.xfs", "-q", "-f", "-K", "-l", "size=64m"]}
# images of one disk are mounted side by side
OPTIONS = {"ext4": "noatime", "xfs": "noatime,nouuid"}
PASSWORD = "hungry"
# whoever is started so does not outlive its test
WITH_US = ["setpriv", "--pdeathsig", "KILL"]


def run(*command, check=True):
    """Standard output of a command; with what it said when it fails."""
    done = subprocess.run([str(c) for c in command], text=True, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout}")
    return done.stdout.strip()


def attach(path):
    """A loop device over path.  Others look for a free one too."""
    for _ in range(20):
        out = run("losetup", "-f", "--show", path, check=False)
        if out.startswith("/dev/loop"):
            return out
        time.sleep(0.1)
    raise RuntimeError(out)


def unmount(where):
    """A loop device over it may take its time to let go."""
    for _ in range(300):
        out = run("umount", where, check=False)
        if not os.path.ismount(where):
            return
        time.sleep(0.1)
    raise RuntimeError(out)


class World:
    """A folder with the suite's configuration; `var` below it is the disk."""

    def __init__(self, folder, fs, fresh=False):
        self.folder, self.fs, self.bin = pathlib.Path(folder), fs, BIN
        self.root = self.folder / "root"
        self.var = self.root / "var"
        self.disk = self.folder / "disk"
        self.process = None
        self.net = Net()
        self.net.password = PASSWORD
        self.var.mkdir(parents=True)
        try:
            self.prepare(fresh)
        except BaseException:
            self.close()
            raise

    # ---- disk ----

    def make_disk(self):
        self.disk.write_bytes(b"")
        os.truncate(self.disk, SIZE[self.fs])
        run(*MKFS[self.fs], self.disk)

    def mount(self, path=None):
        """Mounts a file; nothing is left attached when it is unmounted, or when
        it cannot be mounted."""
        loop = attach(path or self.disk)
        try:
            run("mount", "-t", self.fs, "-o", OPTIONS[self.fs], loop, self.var)
        finally:
            run("losetup", "-d", loop)  # when it is unmounted

    # ---- suite ----

    def prepare(self, fresh):
        """A disk with a spool and mailboxes on it, unmounted."""
        self.make_disk()
        self.mount()
        options = ["--domain", "local.test"]
        for i in range(USERS):
            options += ["--user", f"u{i}@local.test:{PASSWORD}"]
        for setting in ("relayclients=127.0.0.1", "journalsegments=6",
                        "journalsegmentmb=2", "spoolfloormb=8",
                        "resolvers=127.0.0.1@9", "concurrencyremote=40"):
            options += ["--control", setting]
        for kind, domain in (("s", "sink"), ("w", "later"), ("x", "refused")):
            options += ["--route",
                        f"{domain}.test=127.0.0.1:{self.net.ports[kind]}"]
        try:
            self.try_("--background", "--no-first-message", *options)
            code, out = self.postern("alias", "add", ALIAS[0], *ALIAS[1])
            if code != 0:
                raise RuntimeError(f"postern alias add: {out}")
        finally:
            self.try_("--stop")
        text = (self.root / "try.env").read_text()
        for name in ("SMTP", "POP3"):
            host, port = re.search(
                rf"^{name}=(\S+):(\d+)$", text, re.M).groups()
            setattr(self.net, name.lower(), (host, int(port)))
        if fresh:
            self.empty_spool()
        unmount(self.var)
        # the same settings and disk, and nobody listens: the drop box
        stopped = self.folder / "stopped"
        stopped.mkdir()
        for part in ("etc", "var"):
            (stopped / part).symlink_to(self.root / part)
        self.net.queue = ["env", f"POSTERN_ROOT={stopped}",
                          str(self.bin / "postern-queue")]

    def empty_spool(self):
        """As `postern init` leaves it: the first start makes the rest."""
        spool = self.var / "spool/postern"
        for path in spool.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def try_(self, *args):
        done = subprocess.run(
            [TOP / "install/try", self.root, *args], text=True, timeout=120,
            env={**os.environ, "POSTERN_BIN": str(self.bin)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError(f"install/try {args}: {done.stdout}")

    @property
    def log(self):
        return self.root / "log"

    def start(self, bin_=None):
        """In a process namespace: all of it can be ended at one stroke."""
        roles = self.root / "run/postern/roles"
        roles.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*WITH_US, "unshare", "--pid", "--fork", "--kill-child",
             str((bin_ or self.bin) / "postern-start"), "--log", str(self.log)],
            env={**os.environ, "POSTERN_ROOT": str(self.root)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError("postern-start ended:\n" +
                                   self.log.read_text()[-3000:])
            try:
                rows = roles.read_text().splitlines()
            except OSError:
                return False
            return len(rows) > 8 and all(" ready " in r for r in rows)
        wait_for(ready, 60, "all roles ready")

    def kill(self):
        """Every process of the suite, at once; returns when all are gone."""
        if not self.process:
            return
        for child in children(self.process.pid):
            os.kill(child, signal.SIGKILL)
        self.process.wait(60)
        self.process = None

    def postern(self, *args):
        done = subprocess.run(
            [self.bin / "postern", *args], text=True, timeout=60,
            env={**os.environ, "POSTERN_ROOT": str(self.root)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def drain(self, seconds=60):
        """Everything that waits is tried until the queue is empty."""
        self.net.stage = NOW
        state = {"next": 0.0}

        def empty():
            if time.monotonic() > state["next"]:
                state["next"] = time.monotonic() + 3
                self.postern("queue", "retry", "--all")
            code, out = self.postern("queue", "list")
            return code == 0 and "is empty" in out and not self.dropped()
        wait_for(empty, seconds, "an empty queue")

    def dropped(self):
        """Whole files in the drop box."""
        box = self.var / "spool/postern-drop"
        return [p for part in ("new", "work") for p in (box / part).iterdir()
                if p.suffix != ".tmp"]

    def close(self):
        self.kill()
        self.net.close()
        if os.path.ismount(self.var):
            unmount(self.var)
        shutil.rmtree(self.folder)


class LoggedDisk:
    """`path` is the disk; what is written to it goes to a log first."""

    RECORD = struct.Struct("=4Q")

    def __init__(self, folder, disk):
        self.folder = pathlib.Path(folder)
        self.mounted = self.folder / "fuse"
        self.mounted.mkdir()
        self.log = self.folder / "writes"
        place = self.folder / "position"
        self.process = subprocess.Popen(
            [*WITH_US, BUILD / "tool/logdev", disk, self.log, place, self.mounted])
        self.path = self.mounted / "disk"
        wait_for(lambda: os.path.ismount(self.mounted) or
                 self.process.poll() is not None, 10, "logdev")
        with open(place, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.counter = ctypes.c_uint64.from_buffer(self.map)

    def position(self):
        return self.counter.value

    def close(self):
        """The log stays."""
        try:
            unmount(self.mounted)
        except RuntimeError:
            self.process.terminate()
            run("umount", "-l", self.mounted, check=False)
            raise
        if self.process.wait(30) != 0:
            raise RuntimeError("logdev failed")

    @classmethod
    def read(cls, log):
        """[(is_flush, offset, size, us, where its bytes are in log)]"""
        records, at = [], 0
        with open(log, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            while at < size:
                f.seek(at)
                flush, offset, n, us = cls.RECORD.unpack(
                    f.read(cls.RECORD.size))
                at += cls.RECORD.size
                records.append((flush, offset, n, us, at))
                at += n
        if at != size:
            raise RuntimeError("the log is cut short")
        return records
