# SPDX-License-Identifier: ISC
"""The servers that are measured, on a file system whose flushes are counted."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
from postfix import Postfix  # noqa: E402
from suite import Suite, free_port  # noqa: E402

DOMAIN = "bench.test"
MAILBOXES = 10000  # virtual v0@ ..., and accounts bench0@ ...
FIRST_UID = 2000000
CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Volume:
    """A mounted ext4 file system of its own, on a file written in full."""

    def __init__(self, mib=4096):
        self.mib = mib

    def __enter__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="postern-bench-"))
        self.base.chmod(0o755)
        self.image, self.path = self.base / "image", self.base / "vol"
        self.path.mkdir()
        subprocess.run(["dd", "if=/dev/zero", f"of={self.image}", "bs=4M",
                        f"count={self.mib // 4}", "oflag=direct",
                        "status=none"], check=True)
        self.loop = subprocess.run(
            ["losetup", "--find", "--show", "--direct-io=on", self.image],
            check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        subprocess.run(["mkfs.ext4", "-q", "-i", "4096", "-E",
                        "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
                        self.loop], check=True)
        subprocess.run(["mount", self.loop, self.path], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.path])
        subprocess.run(["losetup", "-d", self.loop])
        shutil.rmtree(self.base, ignore_errors=True)

    def io(self):
        """(writes, flushes) that the device has done."""
        name = os.path.basename(self.loop)
        for line in open("/proc/diskstats"):
            f = line.split()
            if f[2] == name:
                return int(f[7]), int(f[18])
        raise RuntimeError("no device")


class Group:
    """Control groups (v1) that a server is started in: CPU and memory."""

    def __init__(self, name):
        self.paths = [CGROUPS / kind / name for kind in ("cpuacct", "memory")]
        for path in self.paths:
            path.mkdir(exist_ok=True)
        self.peak = 0
        self.ended = threading.Event()

    def move(self, paths):
        for path in paths:
            (path / "cgroup.procs").write_text(str(os.getpid()))

    def __enter__(self):
        """Moves this process in, so that children are born there."""
        self.move(self.paths)
        return self

    def __exit__(self, *_):
        self.move([path.parent for path in self.paths])

    def watch(self):
        """Keeps the greatest anonymous memory, looked at ten times a second."""
        threading.Thread(target=self.sample, daemon=True).start()

    def sample(self):
        while not self.ended.wait(0.1):
            self.peak = max(self.peak, self.rss())

    def rss(self):
        for line in (self.paths[1] / "memory.stat").read_text().splitlines():
            if line.startswith("total_rss "):
                return int(line.split()[1])
        return 0

    def seconds(self):
        return int((self.paths[0] / "cpuacct.usage").read_text()) / 1e9

    def pss_kib(self):
        total = 0
        for pid in (self.paths[0] / "cgroup.procs").read_text().split():
            try:
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except OSError:
                pass
        return total

    def remove(self):
        """Waits for the last process, which may still use the volume."""
        self.ended.set()
        for _ in range(300):
            if not (self.paths[0] / "cgroup.procs").read_text():
                break
            time.sleep(0.3)
        for path in self.paths:
            path.rmdir()


class Accounts:
    """System users bench0, bench1 ... with a Maildir each, seen only in this
    mount name space."""

    def __init__(self, volume, count=MAILBOXES):
        self.count = count
        self.homes = volume.path / "home"
        self.homes.mkdir()
        etc = volume.path / "etc"
        shutil.copytree("/etc", etc, symlinks=True,
                        ignore=shutil.ignore_patterns("*.lock"))
        for what, line in (("passwd", "bench{0}:x:{1}:{1}::{2}/{0}:/bin/sh\n"),
                           ("group", "bench{0}:x:{1}:\n")):
            with (etc / what).open("a") as f:
                f.write("".join(line.format(i, FIRST_UID + i, self.homes)
                                for i in range(count)))
        subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
        for i in range(count):
            home = self.homes / str(i)
            for folder in (home, home / "Maildir", home / "Maildir/tmp",
                           home / "Maildir/new", home / "Maildir/cur"):
                folder.mkdir(mode=0o700)
                os.chown(folder, FIRST_UID + i, FIRST_UID + i)

    def undo(self):
        subprocess.run(["umount", "/etc"])

    def new(self, i):
        return self.homes / str(i) / "Maildir/new"


class Server:
    """What both servers have in common."""

    recipients = {"held": f"held@{DOMAIN}", "virtual": f"v%@{DOMAIN}",
                  "system": f"bench%@{DOMAIN}", "relay": "x@sink.test"}

    def inbox(self, kind, i):
        return self.accounts.new(i) if kind == "system" else self.virtual(i)


class Ours(Server):
    name = "postern"

    def __init__(self, volume, accounts, sink):
        self.accounts = accounts
        folder = volume.path / "postern"
        with Group(f"postern-bench-ours-{os.getpid()}") as self.group:
            self.suite = Suite(
                "--no-first-message", "--domain", DOMAIN,
                "--user", f"held@{DOMAIN}:secret",
                "--control", "relayclients=127.0.0.1",
                "--control", "concurrencyperip=20000",
                "--control", "concurrencyincoming=2000",
                "--route", f"sink.test=127.0.0.1:{sink}",
                folder=str(folder)).start()
            self.suite.stop()
            self.add_users(folder / "etc/postern/users/users")
            self.suite.start()
        self.group.watch()
        self.smtp = self.suite.env["SMTP"]
        self.mail = pathlib.Path(self.suite.env["MAILDIR_1"]).parent

    @staticmethod
    def add_users(table):
        value = table.read_text().splitlines()[0].split(":", 1)[1]
        secret = value.rsplit(":", 1)[0]
        with table.open("a") as f:
            for i in range(MAILBOXES):
                f.write(f"v{i}@{DOMAIN}:{secret}:{DOMAIN}/v{i}\n")

    def virtual(self, i):
        return self.mail / f"v{i}" / "new"

    def hold(self, on):
        """Delivery into mailboxes waits, or goes on."""
        control = pathlib.Path(self.suite.env["CONTROL"], "concurrencylocal")
        if on:
            control.write_text("0\n")
        else:
            control.unlink(missing_ok=True)
        os.kill(self.suite.roles()["start"], signal.SIGHUP)
        time.sleep(0.5)

    def clear(self):
        self.suite.postern("queue", "delete", "--all", check=False)

    def restart(self):
        with self.group:
            self.suite.stop()
            self.suite.start()

    def stop(self):
        self.suite.stop()
        self.group.remove()


class Theirs(Server):
    name = "postfix"

    def __init__(self, volume, accounts, sink):
        self.accounts = accounts
        table = volume.path / "virtual"
        table.write_text(f"held@{DOMAIN} held/\n" + "".join(
            f"v{i}@{DOMAIN} v{i}/\n" for i in range(MAILBOXES)))
        main = f"""\
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_maps = hash:{table}
default_process_limit = 1200
virtual_destination_concurrency_limit = 20
local_destination_concurrency_limit = 20
in_flow_delay = 0
home_mailbox = Maildir/
transport_maps = inline:{{ sink.test=smtp:[127.0.0.1]:{sink} }}
smtpd_recipient_restrictions = permit_mynetworks,reject
smtpd_data_restrictions = check_recipient_access inline:{{ held@{DOMAIN}=HOLD }}
"""
        with Group(f"postern-bench-postfix-{os.getpid()}") as self.group:
            self.postfix = Postfix(main, folder=volume.path / "postfix")
            subprocess.run(["postmap", "-c", str(self.postfix.conf),
                            f"hash:{table}"], check=True)
            self.postfix.command("start")
        self.group.watch()
        self.smtp = f"127.0.0.1:{self.postfix.port}"

    def virtual(self, i):
        return self.postfix.mail / f"v{i}" / "new"

    def hold(self, on):
        """A recipient of its own is held: nothing to do."""

    def settings(self, domains):
        """Whose mail bench.test is: of virtual or of system users."""
        subprocess.run(["postconf", "-c", str(self.postfix.conf), *domains],
                       check=True)
        self.postfix.command("reload")
        time.sleep(1)

    def system(self):
        self.settings([f"mydestination = {DOMAIN}",
                       "virtual_mailbox_domains ="])

    def restart(self):
        with self.group:
            self.postfix.command("stop")
            self.postfix.command("start")

    def clear(self):
        subprocess.run(["postsuper", "-c", str(self.postfix.conf), "-d",
                        "ALL"], stderr=subprocess.DEVNULL)

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.postfix.conf), "stop"],
                       stderr=subprocess.DEVNULL)
        self.group.remove()


__all__ = ["Accounts", "DOMAIN", "MAILBOXES", "Ours", "Theirs", "Volume",
           "free_port"]
