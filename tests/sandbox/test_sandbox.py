# SPDX-License-Identifier: ISC
"""Forbidden system calls, injected from outside into every live role."""
import os
import pwd
import re
import socket
import subprocess
import tempfile
import time

import pytest

from suite import BUILD, Suite, bin_for_others, wait_for

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="ptrace of other users' processes needs root")

# The dangerous calls, by their numbers on x86_64.
CALLS = dict(
    execve=59, execveat=322, fork=57, vfork=58, clone=56, ptrace=101,
    process_vm_readv=310, process_vm_writev=311, process_madvise=440, kill=62,
    tkill=200, tgkill=234, rt_sigqueueinfo=129, pidfd_open=434,
    pidfd_getfd=438, pidfd_send_signal=424, prlimit64=302, setrlimit=160,
    unshare=272, setns=308, socket=41, socketpair=53, connect=42, bind=49,
    listen=50, accept=43, accept4=288, open=2, openat=257, openat2=437,
    creat=85, open_by_handle_at=304, rename=82, renameat=264, renameat2=316,
    link=86, linkat=265, unlink=87, unlinkat=263, symlink=88, symlinkat=266,
    mkdir=83, mkdirat=258, rmdir=84, mknod=133, mknodat=259, chmod=90,
    fchmod=91, fchmodat=268, chown=92, fchown=93, fchownat=260, lchown=94,
    truncate=76, mount=165, umount2=166, pivot_root=155, chroot=161,
    move_mount=429, open_tree=428, fsopen=430, fsmount=432, fsconfig=431,
    bpf=321, perf_event_open=298, keyctl=250, add_key=248, request_key=249,
    init_module=175, finit_module=313, delete_module=176, kexec_load=246,
    kexec_file_load=320, reboot=169, swapon=167, swapoff=168,
    userfaultfd=323, io_uring_setup=425, io_uring_enter=426,
    io_uring_register=427, setuid=105, setgid=106, setreuid=113, setregid=114,
    setresuid=117, setresgid=119, setfsuid=122, setfsgid=123, setgroups=116,
    capset=126, rt_sigaction=13, seccomp=317, personality=135, quotactl=179,
    acct=163, settimeofday=164, clock_settime=227, adjtimex=159,
    sethostname=170, setdomainname=171, iopl=172, ioperm=173, modify_ldt=154,
    kcmp=312, lookup_dcookie=212, mount_setattr=442, syslog=103, vhangup=153)

NETWORK = {"socket", "socketpair", "connect", "bind", "listen", "accept",
           "accept4"}
FILES = {"open", "openat", "openat2", "creat", "rename", "renameat",
         "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir",
         "mkdirat", "fchmod", "fchown"}
# What each role's table lists although it is dangerous elsewhere: its blast
# radius.  SECURITY.md gives the reasons.  All else must be stopped.
ALLOWED = {
    "listen-smtp": {"accept4", "socketpair", "openat"},
    "listen-pop3": {"accept4", "socketpair", "openat"},
    "smtpd": {"clone", "setrlimit"},
    "popup": {"clone", "setrlimit"},
    "queued": {"openat", "renameat", "renameat2", "linkat", "unlinkat",
               "mkdirat", "accept4"},
    "settle": {"openat", "renameat", "renameat2", "linkat", "unlinkat",
               "mkdirat"},
    "qmgr": {"accept4", "openat", "socketpair"},
    "bounce": {"openat"},
    "pickup": {"openat", "renameat2", "unlinkat"},
    "dial": {"socket", "connect", "openat", "bind"},  # bind: netlink
    "remote": {"clone", "setrlimit", "socketpair"},
    "filter": {"accept4", "openat"},
    "userd": {"accept4", "openat", "clone", "socketpair"},
    "userd-hash": set(),
    "dnsd": {"socket", "connect", "bind", "openat"},
    "local": FILES | {"fchmod"},
    "local-template": FILES | {"fchmod", "clone", "setuid", "setgroups",
                               "setresuid", "setresgid"},
    "pop3d": FILES,
    "session-smtpd": {"clone", "setrlimit"},
    "session-popup": {"clone", "setrlimit"},
}
# become starts users' own programs, so it can forbid only what no one needs.
BECOME_FORBIDDEN = {
    "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2",
    "pivot_root", "bpf", "perf_event_open", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon",
    "swapoff", "keyctl", "add_key", "request_key", "settimeofday",
    "clock_settime", "iopl", "ioperm"}


def inject(pid, names, real=False):
    """{name: 'trap' or the call's result} for calls made inside pid."""
    out = subprocess.run(
        [str(BUILD / "tool/inject"), *(["--real"] if real else []), str(pid),
         *(str(CALLS[n]) for n in names)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert out.returncode == 0, f"{pid}: {out}"
    by_number = dict(line.split() for line in out.stdout.splitlines())
    return {n: by_number.get(str(CALLS[n]), "nothing") for n in names}


def not_stopped(pid, names, also=()):
    """What came through.  ENOSYS (-38) is a refusal too: a call that the table
    lists for one argument only, or that a second, inner filter leaves out."""
    return {n: r for n, r in inject(pid, sorted(names)).items()
            if r not in ("trap", "-38", *also)}


@pytest.fixture(scope="module")
def suite():
    # the filter's program is to find the control directory
    folder = tempfile.mkdtemp(prefix="postern-test-")
    os.chmod(folder, 0o755)
    programs = bin_for_others(folder)
    with Suite("--user", "bob@hamburger.edu:hungry", "--domain",
               "hamburger.edu", "--control",
               f"filter={programs}/postern-queue",
               folder=folder, programs=programs) as s:
        yield s


def children(pid):
    out = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE,
                         text=True)
    return [int(p) for p in out.stdout.split()]


RESIDENT = ["listen-smtp", "listen-pop3", "smtpd", "popup", "queued", "qmgr",
            "bounce", "pickup", "dial", "remote", "userd", "dnsd",
            "filter"]


@pytest.mark.parametrize("role", RESIDENT)
def test_resident_role(suite, role):
    pid = suite.roles()[role]
    assert not not_stopped(pid, set(CALLS) - ALLOWED[role])


def test_become(suite):
    # its filter answers EPERM (-1): it is inherited by users' own programs
    assert not not_stopped(suite.roles()["become"], BECOME_FORBIDDEN, ["-1"])


def test_keeper_of_filter(suite):
    keeper, = children(suite.roles()["filter"])
    assert not not_stopped(keeper, BECOME_FORBIDDEN, ["-1"])


def test_helpers_of_queued_and_userd(suite):
    roles = suite.roles()
    settle = children(roles["queued"])
    assert settle
    for pid in settle:
        assert not not_stopped(pid, set(CALLS) - ALLOWED["settle"])
    hashers = children(roles["userd"])
    assert hashers
    for pid in hashers:
        assert not not_stopped(pid, set(CALLS) - ALLOWED["userd-hash"])


@pytest.mark.parametrize("role,address", [("smtpd", "smtp"),
                                          ("popup", "pop3")])
def test_session_of_a_stranger(suite, role, address):
    template = suite.roles()[role]

    def serves(pid):
        """Not one that waits for a session: that has no client."""
        try:
            fds = [os.readlink(f"/proc/{pid}/fd/{n}")
                   for n in os.listdir(f"/proc/{pid}/fd")]
        except FileNotFoundError:  # just born: it is closing what it need not
            return False
        return sum(fd.startswith("socket:") for fd in fds) > 1

    def sessions():
        """One, in a list; a child just born may still look like one."""
        found = [p for p in children(template) if serves(p)]
        return found if len(found) == 1 else None

    with socket.create_connection(getattr(suite, address), timeout=10) as c:
        assert c.recv(100)
        pid, = wait_for(sessions, 5, "a session")
        left = not_stopped(pid, set(CALLS) - ALLOWED["session-" + role])
        assert not left
        # the filter still knows clone (the template needs it); the session
        # has given it up by RLIMIT_NPROC
        limits = open(f"/proc/{pid}/limits").read()
        assert re.search(r"Max processes\s+0\s+0", limits)
        c.sendall(b"NOOP\r\n")
        assert c.recv(100)  # and it lives on


def test_pop3d_and_local(suite):
    import poplib
    import smtplib
    with smtplib.SMTP(*suite.smtp, timeout=10) as s:
        s.sendmail("alice@crepes.fr", "bob@hamburger.edu", "Subject: x\n\nhi")
    p = poplib.POP3(*suite.pop3, timeout=20)
    p.user("bob@hamburger.edu")
    p.pass_("hungry")
    def named(name):
        return [c for c in children(suite.roles()["become"])
                if name in open(f"/proc/{c}/cmdline").read()]
    pids = wait_for(lambda: named("pop3d"), 5, "pop3d")
    assert not not_stopped(pids[0], set(CALLS) - ALLOWED["pop3d"])
    p.quit()
    template, = named("local\0template")
    assert not not_stopped(template, set(CALLS) - ALLOWED["local-template"])
    local, = wait_for(lambda: named("local\0delivery"), 5, "local")
    # EPERM (-1): an ordinary user that stays one
    assert not not_stopped(local, set(CALLS) - ALLOWED["local"], ["-1"])
    changes = ["setuid", "setgroups", "setresuid", "setresgid"]
    assert inject(local, changes) == dict.fromkeys(changes, "-1")
    limits = open(f"/proc/{local}/limits").read()
    assert re.search(r"Max processes\s+0\s+0", limits)
    status = open(f"/proc/{local}/status").read()
    assert re.search(r"^CapPrm:\s+0+$", status, re.M)
    assert re.search(r"^Uid:(\s+%d){4}$" % pwd.getpwnam("posternm").pw_uid,
                     status, re.M)
    status = open(f"/proc/{template}/status").read()
    assert re.search(r"^CapPrm:\s+00000000000000c0$", status, re.M)


def test_a_forbidden_call_ends_the_role_and_start_brings_it_back(suite):
    old = suite.roles()["qmgr"]
    count = suite.log().count("event=forbidden-call")
    assert inject(old, ["socket"], real=True)["socket"] == "trap"
    wait_for(lambda: suite.log().count("event=forbidden-call") > count, 5,
             "the log line")
    line = [l for l in suite.log().splitlines() if "forbidden-call" in l][-1]
    assert "syscall=41" in line and "qmgr" in line
    wait_for(lambda: suite.is_back("qmgr", old), 5, "a new qmgr")


def test_table_shows_every_role(suite):
    text = suite.postern("sandbox").stdout
    for role in RESIDENT + ["become"]:
        row = [l for l in text.splitlines() if l.split()[:1] == [role]]
        assert row, f"{role} is not in\n{text}"
        landlock = row[0].split()[5]
        assert (landlock == "-") == (role == "become"), row[0]


def test_capabilities_and_no_new_privs(suite):
    for role, pid in suite.roles().items():
        status = open(f"/proc/{pid}/status").read()
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M), role
        if role not in ("start", "become"):
            assert re.search(r"^CapEff:\s+0+$", status, re.M), role
            assert re.search(r"^Seccomp:\s+2$", status, re.M), role
            uid = re.search(r"^Uid:\s+(\d+)\s+(\d+)", status, re.M)
            assert uid.group(1) != "0" and uid.group(2) != "0", role
