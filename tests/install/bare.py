#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""bare.py [--base FOLDER]: installs Postern on a bare Debian 12, and measures it.

A bare machine is debootstrap's minbase under an overlay, with processes and a
network of its own (and this machine's, for apt).  In turn: install/setup from the
sources; the Debian package, without systemd and under a real one; each with its
first mail, removal, and what has to stay.  Needs root, debootstrap and Debian's
packages; some three minutes.  make check-install."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]
from machine import Machine, first_message  # noqa: E402
from suite import TOP, wait_for  # noqa: E402

WANTED = ["mail.example.org", "--domain", "example.org", "--user",
          "alice@example.org:secret"]
LAID = ["/etc/postern", "/usr/libexec", "/usr/local", "/etc/sv", "/usr/lib/systemd",
        "/var/spool/postern", "/var/mail/postern", "/usr/sbin"]
APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]


def say(what):
    print(f"{time.monotonic() - STARTED:6.1f} s  {what}", flush=True)


class Took:
    """Prints how long its block took."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.at = time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            say(f"{self.what}: {time.monotonic() - self.at:.1f} s")


def apt(m, *args):
    return m.run(*APT, *args, network=False, timeout=500)


def by_hand(m):
    """Starts the suite as a person would, without a supervisor."""
    m.start("setsid", "-f", "postern-start", "--log", "/var/log/postern/log",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait()
    m.wait("postern", "status")


def stop(m):
    pid = m.run("awk", '$1 == "start" { print $2 }', "/run/postern/roles").strip()
    m.run("sh", "-c", f"kill {pid}")
    m.wait("flock", "-n", "/run/postern/lock", "true")


def mailbox(m):
    folder = m.path("/var/mail/postern/example.org/alice")
    return sorted(p.name.split(":")[0] for p in folder.glob("[nc][eu][wr]/*"))


def copy_tree(to):
    names = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True,
                           capture_output=True).stdout
    to.mkdir()
    tar = subprocess.Popen(["tar", "-c", "--null", "-T", "-"], cwd=TOP,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    into = subprocess.Popen(["tar", "-x", "-C", str(to)], stdin=tar.stdout)
    tar.stdin.write(names)
    tar.stdin.close()
    assert into.wait() == 0 and tar.wait() == 0


def from_sources(base):
    with Machine(lower=base) as m:
        copy_tree(m.path("/root/postern"))
        setup = ["env", "-u", "B", "/root/postern/install/setup"]
        with Took("bare machine -> production installation, install/setup"):
            m.run(*APT, "update", network=False, timeout=300)
            m.run(*setup, *WANTED, network=False, timeout=500)
        with Took("-> started, and the first mail read"):
            by_hand(m)
            first_message(m, "first")
        assert "0 mistakes" in m.run("postern", "check")
        before = m.listing(*LAID[:5])
        m.run(*setup, *WANTED, timeout=500)
        assert m.listing(*LAID[:5]) == before
        say("a second install/setup changed nothing")
        stop(m)
        kept = mailbox(m)
        assert kept
        m.run(*setup, "--uninstall")
        assert mailbox(m) == kept
        assert m.run("find", "/usr/local", "-name", "*postern*") == ""
        say("install/setup --uninstall: programs gone, mail there")


def package_by_hand(base, deb):
    with Machine(lower=base) as m:
        shutil.copy(deb, m.path("/root/postern.deb"))
        with Took("bare machine -> the package"):
            apt(m, "update")
            apt(m, "install", "--no-install-recommends", "/root/postern.deb")
        with Took("-> postern-setup, started, and the first mail read"):
            m.run("postern-setup", *WANTED)
            by_hand(m)
            first_message(m, "first")
        assert "0 mistakes" in m.run("postern", "check")
        before = m.listing("/etc/postern")
        m.run("postern-setup", *WANTED)
        apt(m, "install", "--reinstall", "--no-install-recommends", "/root/postern.deb")
        assert m.listing("/etc/postern") == before
        st = m.path("/usr/libexec/postern/postern-queue").stat()
        assert st.st_mode & 0o7777 == 0o2755 and "0 mistakes" in m.run("postern", "check")
        say("a second postern-setup and a reinstallation changed nothing")
        m.run("sh", "-c", "printf 'Subject: two\\n\\nhi\\n' | sendmail alice@example.org")
        wait_for(lambda: len(mailbox(m)) == 2, 20, "the message of sendmail")
        stop(m)
        m.run("sh", "-c", "printf 'Subject: three\\n\\nhi\\n' | sendmail alice@example.org")
        waits = list(m.path("/var/spool/postern-drop/new").iterdir())
        assert len(waits) == 1
        kept = mailbox(m)
        apt(m, "remove", "postern")
        assert m.path("/etc/postern/me").exists() and mailbox(m) == kept
        assert m.run("sh", "-c", "command -v postern sendmail || true") == ""
        out = apt(m, "purge", "postern")
        assert "postern: /var/mail/postern stays" in out
        assert not m.path("/etc/postern").exists() and mailbox(m) == kept
        assert list(m.path("/var/spool/postern-drop/new").iterdir()) == waits
        assert not m.path("/var/log/postern").exists()
        assert "postern" not in m.run("dpkg-statoverride", "--list", code=None)
        say("purged: programs, settings and log gone; mailboxes, queue, drop box there")
        apt(m, "install", "--no-install-recommends", "/root/postern.deb")
        m.run("postern-setup", *WANTED)
        by_hand(m)
        first_message(m, "again")
        wait_for(lambda: len(mailbox(m)) == 4, 20, "what waited in the drop box")
        say("installed again: the mail of before is there, and what waited came")
        out = apt(m, "purge", "postern")
        assert "still runs, and was not started by systemd: stop it" in out
        m.run("flock", "-n", "/run/postern/lock", "true", code=1)
        say("purged while it ran: said so")


def package_under_systemd(base, deb):
    with Machine(lower=base) as m:
        apt(m, "update")
        apt(m, "install", "--no-install-recommends", "systemd", "systemd-sysv")
        layer = tempfile.mkdtemp(prefix="postern-layer-")
        # what this machine has over the base
        subprocess.run(["nsenter", "-t", m.pid, "-m", "cp", "-a",
                        f"{m.folder}/up", layer], check=True)
    try:
        with Machine(systemd=True, lower=f"{layer}/up:{base}") as m:
            shutil.copy(deb, m.path("/root/postern.deb"))
            with Took("a machine with systemd -> the package, started"):
                apt(m, "install", "--no-install-recommends", "/root/postern.deb")
                m.run("systemctl", "is-active", "postern")
            with Took("-> postern-setup, and the first mail read"):
                m.run("postern-setup", *WANTED)
                m.wait("postern", "status")
                first_message(m, "first")
            assert "0 mistakes" in m.run("postern", "check")
            kept = mailbox(m)
            apt(m, "purge", "postern")
            assert "not-found" in m.run("systemctl", "show", "-P", "LoadState", "postern")
            assert mailbox(m) == kept
            say("purged while it ran: stopped first, mail there")
    finally:
        shutil.rmtree(layer)


def main():
    args = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--base", help="a debootstrap that is there already")
    args.add_argument("--only", choices=["sources", "package", "systemd"])
    args = args.parse_args()
    if os.geteuid() != 0:
        sys.exit("bare.py: only root can do this")
    work = pathlib.Path(tempfile.mkdtemp(prefix="postern-bare-"))
    try:
        base = args.base
        if base is None:
            base = str(work / "base")
            with Took("debootstrap"):
                subprocess.run(["debootstrap", "--variant=minbase", "bookworm", base],
                               check=True, stdout=subprocess.DEVNULL)
        if args.only in (None, "sources"):
            from_sources(base)
        if args.only != "sources":
            with Took("make deb"):
                subprocess.run(["make", "-s", "-C", TOP, f"B={work}/b", "deb"], check=True,
                               stdout=subprocess.DEVNULL)
            deb = next((work / "b/deb").glob("postern_*.deb"))
        if args.only in (None, "package"):
            package_by_hand(base, deb)
        if args.only in (None, "systemd"):
            package_under_systemd(base, deb)
        say("all of it works")
    finally:
        shutil.rmtree(work, ignore_errors=True)


STARTED = time.monotonic()
if __name__ == "__main__":
    main()
