# SPDX-License-Identifier: ISC
"""What make install-system lays down for systemd and logrotate."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from suite import BUILD, TOP, Suite

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="users are root's to make")


def run(*args, **kw):
    kw = {"capture_output": True, "text": True, "timeout": 60, **kw}
    done = subprocess.run([str(a) for a in args], **kw)
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture(scope="module")
def dest(tmp_path_factory):
    d = tmp_path_factory.mktemp("dest")
    run("make", "-s", f"B={BUILD}", f"DESTDIR={d}", "PREFIX=/usr", "install",
        "install-system", cwd=TOP)
    return d


def unit(dest):
    """{key: [value]} of the unit."""
    keys = {}
    for k, v in re.findall(r"^(\w+)=(.*)$", (
            dest / "usr/lib/systemd/system/postern.service").read_text(), re.M):
        keys.setdefault(k, []).append(v)
    return keys


def words(dest, key):
    return " ".join(unit(dest)[key]).split()


def test_systemd_understands_the_unit(dest, tmp_path):
    text = (dest / "usr/lib/systemd/system/postern.service").read_text()
    copy = tmp_path / "postern.service"
    copy.write_text(text.replace("ExecStart=/usr/", f"ExecStart={dest}/usr/"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stdout + done.stderr, done
    score = run("systemd-analyze", "security", "--offline=true", "--no-pager", copy)
    assert float(re.search(r"exposure level for \S+ ([\d.]+)", score)[1]) <= 4, score


def test_the_unit_gives_what_start_keeps_and_no_more(dest):
    kept = set(re.findall(r"\{ (CAP_\w+),", (TOP / "start/caps.c").read_text()))
    assert len(kept) == 7
    assert set(words(dest, "CapabilityBoundingSet")) == kept | {
        "CAP_NET_BIND_SERVICE", "CAP_SETPCAP"}


def test_the_unit_lets_the_suite_write_where_it_does(dest):
    writable = [w.lstrip("-") for w in words(dest, "ReadWritePaths")]
    writable += ["/run/postern"]
    rows = [json.loads(r) for r in run(BUILD / "bin/postern", "layout", "--json")
            .splitlines()]
    for row in rows:
        path = row["path"]
        if row["kind"] != "folder" or path.startswith(("/etc/", "/var/log/")):
            continue  # read only; written by nobody of the suite under systemd
        assert any(path == w or path.startswith(w + "/") for w in writable), path


def test_sysusers_and_tmpfiles_make_what_users_and_init_make(dest, tmp_path):
    root = tmp_path / "root"
    for d in "etc", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "var", "run":
        (root / d).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\n")
    for kind in "sysusers", "tmpfiles":
        shutil.copy(dest / f"usr/lib/{kind}.d/postern.conf",
                    root / f"usr/lib/{kind}.d/postern.conf")
    run("systemd-sysusers", f"--root={root}")
    users = [u.split(":") for u in (root / "etc/passwd").read_text().splitlines()]
    names = {u[0]: u for u in users if u[0] != "root"}
    assert set(names) == set(run(TOP / "install/users", "--list").split())
    for name, u in names.items():
        told = run("getent", "passwd", name).strip().split(":")
        assert (u[4], u[6]) == (told[4], told[6]), name
        assert u[5] == told[5] == "/nonexistent"
    groups = {g.split(":")[0]: int(g.split(":")[2])
              for g in (root / "etc/group").read_text().splitlines()}
    assert set(names) <= set(groups)
    run("systemd-tmpfiles", f"--root={root}", "--create")
    for line in run(BUILD / "bin/postern", "layout", "--json").splitlines():
        row = json.loads(line)
        if row["kind"] != "folder":
            continue
        st = os.stat(f"{root}{row['path']}")
        uid = 0 if row["user"] == "root" else int(names[row["user"]][2])
        assert (st.st_uid, st.st_gid) == (uid, groups[row["group"]]), row
        assert f"{st.st_mode & 0o7777:04o}" == row["mode"], row


def test_an_install_again_writes_nothing_and_uninstall_leaves_nothing(dest, tmp_path):
    def listing(d):
        return sorted((str(p.relative_to(d)), p.lstat().st_mtime_ns, p.lstat().st_ino)
                      for p in d.rglob("*") if p.is_file() and not p.is_symlink())
    d = tmp_path / "dest"
    flags = ["-s", f"B={BUILD}", f"DESTDIR={d}", "PREFIX=/usr"]
    run("make", *flags, "install", "install-system", cwd=TOP)
    before = listing(d)
    run("make", *flags, "install", "install-system", cwd=TOP)
    assert listing(d) == before and len(before) > 30
    run("make", *flags, "uninstall", "uninstall-system", cwd=TOP)
    assert [p for p in d.rglob("*") if not p.is_dir()] == []


def test_systemd_hears_that_the_suite_is_ready_and_stops(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(30)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            with Suite("--no-first-message"):
                said = []
                while not said or b"READY=1" not in said[-1]:
                    said.append(s.recv(500))
                assert re.fullmatch(
                    rb"READY=1\nSTATUS=(\d+) of \1 roles are ready", said[-1])
        finally:
            del os.environ["NOTIFY_SOCKET"]
        while b"STOPPING=1" not in said[-1]:
            said.append(s.recv(500))
        assert sum(b"READY=1" in m for m in said) == 1


def test_logrotate_copies_and_empties_the_log(dest, tmp_path):
    log = tmp_path / "log"
    config = tmp_path / "logrotate.conf"
    text = (dest / "etc/logrotate.d/postern").read_text()
    run("logrotate", "-d", dest / "etc/logrotate.d/postern")
    log.write_text("t=1 level=info\n")
    shutil.chown(log, "posternlog", "adm")
    shutil.chown(tmp_path, "posternlog", "adm")
    os.chmod(tmp_path, 0o2750)
    for p in tmp_path.parents:
        if p.stat().st_mode & 0o001 == 0:
            os.chmod(p, p.stat().st_mode | 0o011)
    config.write_text(text.replace("/var/log/postern/log", str(log)))
    with open(log, "a") as held:  # as the roles hold it
        run("logrotate", "-f", "-s", tmp_path / "state", config)
        held.write("t=2 level=info\n")
    assert pathlib.Path(f"{log}.1").read_text() == "t=1 level=info\n"
    assert log.read_text() == "t=2 level=info\n"
    assert log.owner() == "posternlog" and log.group() == "adm"
