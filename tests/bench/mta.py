# SPDX-License-Identifier: ISC
"""Postern beside Postfix in the same run: one table of rates and ratios.

usage: mta.py [--runs N] [--count N] [--sessions 1,10,50] [--only accept,local,relay,large,idle]

Needs root and Debian's postfix (smtp-source, smtp-sink).  Both servers run on
one fresh ext4 file system on a loop device over a fully written file, so that
flushes reach the disk.  accept: until the client has all replies, delivery
deferred (Postern: the route's port is closed; Postfix: HOLD).  local: until all
messages are in the Maildir.  relay: until smtp-sink has all.  CPU is that of the
server's whole process tree (cgroup cpuacct).
"""
import argparse
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
from postfix import Postfix, free_port  # noqa: E402
from suite import Suite  # noqa: E402

DOMAIN, USER = "bench.test", "bob"
CPU = pathlib.Path("/sys/fs/cgroup/cpuacct")


class Volume:
    """A mounted ext4 file system of its own."""

    def __enter__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="postern-bench-"))
        self.base.chmod(0o755)
        self.image, self.path = self.base / "image", self.base / "vol"
        self.path.mkdir()
        subprocess.run(["dd", "if=/dev/zero", f"of={self.image}", "bs=4M",
                        "count=768", "oflag=direct", "status=none"],
                       check=True)
        self.loop = subprocess.run(
            ["losetup", "--find", "--show", "--direct-io=on", self.image],
            check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,"
                        "lazy_journal_init=0,nodiscard", self.loop],
                       check=True)
        subprocess.run(["mount", self.loop, self.path], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.path])
        subprocess.run(["losetup", "-d", self.loop])
        shutil.rmtree(self.base)

    def io(self):
        """(writes, flushes) that the device has done."""
        name = os.path.basename(self.loop)
        for line in open("/proc/diskstats"):
            f = line.split()
            if f[2] == name:
                return int(f[7]), int(f[18])
        raise RuntimeError("no device")


class Group:
    """A cgroup (v1) that a server is started in."""

    def __init__(self, name):
        self.path = CPU / name
        self.path.mkdir(exist_ok=True)

    def __enter__(self):
        """Moves this process in, so that children are born there."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))
        return self

    def __exit__(self, *_):
        (CPU / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self):
        return int((self.path / "cpuacct.usage").read_text()) / 1e9

    def pss_kib(self):
        total = 0
        for pid in (self.path / "cgroup.procs").read_text().split():
            try:
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except OSError:
                pass
        return total


class Ours:
    name = "postern"

    def __init__(self, volume, sink):
        self.closed = free_port()
        with Group("postern-bench-ours") as self.group:
            self.suite = Suite(
                "--no-first-message", "--domain", DOMAIN,
                "--user", f"{USER}@{DOMAIN}:secret",
                "--control", "relayclients=127.0.0.1",
                "--control", "concurrencyperip=60000",
                "--control", "concurrencyincoming=2000",
                "--route", f"sink.test=127.0.0.1:{sink}",
                "--route", f"hold.test=127.0.0.1:{self.closed}",
                folder=str(volume.path / "postern")).start()
        self.smtp = self.suite.env["SMTP"]
        self.new = pathlib.Path(self.suite.env["MAILDIR_1"], "new")

    def recipient(self, what):
        return {"accept": "x@hold.test", "relay": "x@sink.test"}.get(
            what, f"{USER}@{DOMAIN}")

    def clear(self):
        self.suite.postern("queue", "delete", "--all", check=False)

    def stop(self):
        self.suite.stop()


class Theirs:
    name = "postfix"

    def __init__(self, volume, sink):
        main = f"""\
virtual_mailbox_domains = {DOMAIN}
default_process_limit = 700
virtual_destination_concurrency_limit = 20
in_flow_delay = 0
transport_maps = inline:{{ sink.test=smtp:[127.0.0.1]:{sink} }}
smtpd_recipient_restrictions = permit_mynetworks,reject
smtpd_data_restrictions = check_recipient_access inline:{{ hold.test=HOLD }}
"""
        with Group("postern-bench-postfix") as self.group:
            self.postfix = Postfix(main, folder=volume.path / "postfix")
            self.postfix.command("start")
        self.smtp = f"127.0.0.1:{self.postfix.port}"
        self.new = self.postfix.mail / "box/new"

    recipient = Ours.recipient

    def clear(self):
        subprocess.run(["postsuper", "-c", str(self.postfix.conf), "-d",
                        "ALL"], stderr=subprocess.DEVNULL)

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.postfix.conf), "stop"],
                       stderr=subprocess.DEVNULL)


def entries(path):
    try:
        return sum(1 for _ in os.scandir(path))
    except FileNotFoundError:
        return 0


def empty(path):
    if path.exists():
        for e in os.scandir(path):
            os.unlink(e.path)


def run_once(server, volume, what, sessions, keep, count, size, sink):
    """One run: dict of rates, or the word for what went wrong."""
    empty(server.new)
    os.sync()
    time.sleep(0.3)
    taker = None
    if what == "relay":
        taker = subprocess.Popen(
            ["smtp-sink", "-u", "nobody", "-M", str(count),
             f"127.0.0.1:{sink}", "1000"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        time.sleep(0.3)
    cpu, (w0, f0) = server.group.seconds(), volume.io()
    begun = time.monotonic()
    done = subprocess.run(
        ["timeout", "180", "smtp-source", *(["-d"] if keep else []), "-s",
         str(sessions), "-m", str(count), "-l", str(size), "-f",
         "sender@client.test", "-t", server.recipient(what), server.smtp],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    accepted = time.monotonic() - begun
    if done.returncode != 0 or done.stdout:
        return f"client: {done.stdout.strip()[:60]}"
    finished = accepted
    end = time.monotonic() + 180
    if what in ("local", "large"):
        while entries(server.new) < count:
            if time.monotonic() > end:
                return f"only {entries(server.new)} delivered"
            time.sleep(0.01)
        finished = time.monotonic() - begun
    if taker:
        try:
            taker.wait(180)
        except subprocess.TimeoutExpired:
            taker.terminate()
            taker.wait()
            return "sink did not get all"
        finished = time.monotonic() - begun
    w1, f1 = volume.io()
    return dict(accepted=count / accepted, done=count / finished,
                cpu=(server.group.seconds() - cpu) * 1e6 / count,
                writes=(w1 - w0) / count, flushes=(f1 - f0) / count)


def median(results, key):
    good = [r[key] for r in results if isinstance(r, dict)]
    return statistics.median(good) if good else None


def show(value, digits=0):
    return "failed" if value is None else f"{value:.{digits}f}"


def idle(servers, counts):
    """PSS of the whole server with n idle sessions behind EHLO."""
    print(f"\n{'idle sessions':<16}{'ours KiB':>12}{'postfix KiB':>14}")
    base = {}
    for n in counts:
        row = []
        for server in servers:
            host, port = server.smtp.split(":")
            held = []
            for _ in range(n):
                c = socket.create_connection((host, int(port)), timeout=30)
                c.recv(200)
                c.sendall(b"EHLO client.test\r\n")
                c.recv(500)
                held.append(c)
            time.sleep(0.5)
            row.append(server.group.pss_kib())
            for c in held:
                c.close()
            base.setdefault(server.name, row[-1])
            if n:
                row[-1] = (row[-1] - base[server.name]) / n
        label = "0 (in all)" if n == 0 else f"{n} (each)"
        print(f"{label:<16}{row[0]:>12.0f}{row[1]:>14.0f}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--count", type=int, default=5000)
    p.add_argument("--sessions", default="1,10,50")
    p.add_argument("--only", default="accept,local,relay,large,idle")
    p.add_argument("--alone", action="store_true", help="without Postfix")
    a = p.parse_args()
    only = a.only.split(",")
    sink = free_port()
    head = (f"{'scenario':<28}{'ours/s':>9}{'postfix/s':>10}{'ratio':>7}"
            f"{'CPU us':>9}{'postfix':>9}{'ratio':>7}{'flushes':>9}{'postfix':>9}")
    with Volume() as volume:
        servers = [Ours(volume, sink)]
        if not a.alone:
            servers.append(Theirs(volume, sink))
        try:
            print(head, flush=True)
            for what in ("accept", "local", "relay", "large"):
                if what not in only:
                    continue
                rows = [(s, k) for s in map(int, a.sessions.split(","))
                        for k in (True, False)]
                if what == "large":
                    rows = [(10, True)]
                for sessions, keep in rows:
                    count = 200 if what == "large" else \
                        min(a.count, 2000) if sessions == 1 else a.count
                    size = 1 << 20 if what == "large" else 4096
                    got = {s.name: [] for s in servers}
                    for s in servers:
                        s.clear()
                    for _ in range(a.runs):
                        for s in servers:
                            got[s.name].append(run_once(
                                s, volume, what, sessions, keep, count, size,
                                sink))
                            if what == "accept":
                                s.clear()
                    key = "accepted" if what == "accept" else "done"
                    ours, theirs = got["postern"], got.get("postfix", [])
                    row = [median(ours, key), median(theirs, key),
                           median(ours, "cpu"), median(theirs, "cpu"),
                           median(ours, "flushes"), median(theirs, "flushes")]
                    def ratio(x, y):
                        return f"{x / y:.1f}" if x and y else "-"
                    label = f"{what} {sessions} {'kept' if keep else '1/msg'}"
                    print(f"{label:<28}{show(row[0]):>9}{show(row[1]):>10}"
                          f"{ratio(row[0], row[1]):>7}{show(row[2]):>9}"
                          f"{show(row[3]):>9}{ratio(row[3], row[2]):>7}"
                          f"{show(row[4], 2):>9}{show(row[5], 2):>9}",
                          flush=True)
                    for r in ours + theirs:
                        if not isinstance(r, dict):
                            print(f"    {r}")
            if "idle" in only:
                idle(servers, (0, 100))
        finally:
            for s in servers:
                s.stop()


if __name__ == "__main__":
    main()
