# SPDX-License-Identifier: ISC
"""The layout table: what init makes of it, what check says, what is written."""
import json
import os
import pathlib
import re
import socket
import subprocess

import pytest

from suite import BIN, TOP

ROOT = os.geteuid() == 0


def postern(root, *args, code=0):
    done = subprocess.run(
        [str(BIN / "postern"), *args], env={**os.environ, "POSTERN_ROOT": str(root)},
        capture_output=True, text=True, timeout=30)
    assert code is None or done.returncode == code, done
    return done.stdout


def rows(root):
    return [json.loads(r) for r in postern(root, "layout", "--json").splitlines()]


def mistakes(root):
    """{path: what} of what check says of paths."""
    out = [json.loads(r) for r in
           postern(root, "check", "--json", code=None).splitlines()]
    return {m["file"]: m["what"] for m in out
            if m["kind"] == "mistake" and m["line"] == 0}


@pytest.fixture
def root(tmp_path):
    os.chmod(tmp_path, 0o755)
    postern(tmp_path, "init")
    return tmp_path


def listing(root):
    return sorted((str(p), p.stat().st_mode, p.stat().st_uid, p.stat().st_gid,
                   p.stat().st_mtime_ns) for p in root.rglob("*"))


def test_init_makes_every_folder_and_a_second_one_changes_nothing(root):
    assert not mistakes(root)
    for row in rows(root):
        if row["kind"] == "folder":
            assert pathlib.Path(row["path"]).is_dir(), row
    before = listing(root)
    assert postern(root, "init") == "" and listing(root) == before


def make(row, name):
    """What a row stands for, as it must not be."""
    path = pathlib.Path(row["path"].replace("*", name))
    if row["kind"] == "socket":
        socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{os.open(path.parent, os.O_RDONLY)}/{path.name}")
    elif row["kind"] == "file":
        path.write_text("")
    os.chmod(path, 0o777)
    if ROOT:
        os.chown(path, 2, 3)
    return path


def test_check_tells_every_wrong_owner_and_mode_and_its_command_mends_it(root):
    names = {"control files": "me"}
    wrong = {}
    for row in rows(root):
        if row["kind"] != "program":
            name = "aliases" if "/users/" in row["path"] else "me"
            wrong[str(make(row, names.get(row["what"], name)))] = row
    said = mistakes(root)
    assert set(wrong) <= set(said), set(wrong) - set(said)
    for path, row in wrong.items():
        what = said[path]
        assert f"must be {row['user']}:{row['group']} {row['mode']}: run " in what
        if ROOT:  # root:root or posternq:posternq: not an ordinary user's to give
            subprocess.run(
                what.split(": run ", 1)[1], shell=True, check=True,
                stdout=subprocess.DEVNULL,
                env={"POSTERN_ROOT": str(root),
                     "PATH": f"{BIN}:{os.environ['PATH']}"})
    if ROOT:
        assert not mistakes(root)


@pytest.mark.parametrize("kind", ["missing", "link", "file"])
def test_check_tells_of_a_folder_that_is_none(root, kind):
    folders = [pathlib.Path(r["path"]) for r in rows(root) if r["kind"] == "folder"]
    for path in reversed(folders):
        if path.parent in folders or path.name == "run":
            continue
        path.rename(f"{path}.was")
        if kind == "link":
            path.symlink_to(f"{path.name}.was")
        elif kind == "file":
            path.write_text("")
    said = mistakes(root)
    for path in folders:
        if path.parent in folders:
            continue
        if kind == "missing" and path.parts[-2:] == ("run", "postern"):
            assert str(path) not in said  # start makes it
            continue
        what = said[str(path)]
        assert what.endswith("postern init")
        assert ("is missing" if kind == "missing" else "must be a folder") in what
        if kind != "missing":
            subprocess.run(["mv", path, f"{path}.old"], check=True)
    postern(root, "init")
    assert not {p: w for p, w in mistakes(root).items() if p != "control"}


def test_installed_programs_are_looked_at(root):
    """Only where they are installed: below libexec/postern."""
    folder = root / "usr/libexec/postern"
    folder.mkdir(parents=True)
    program = folder / "postern"
    program.write_bytes((BIN / "postern").read_bytes())
    os.chmod(folder, 0o755)
    os.chmod(program, 0o775)
    done = subprocess.run([program, "check"], capture_output=True, text=True,
                          env={**os.environ, "POSTERN_ROOT": str(root)})
    assert re.search(rf"^mistake: {program}: .*0775, and must be root:root 0755: "
                     rf"run chown root:root {program} && chmod 0755 {program}$",
                     done.stdout, re.M), done


def test_the_manual_has_the_table():
    page = (TOP / "install/postern-layout.1").read_text()
    written = re.findall(r"^\.It Pa (\S+) Ta (\S+):(\S+) Ta (\d+) Ta (.*)$", page, re.M)
    told = [(r["path"].replace(f"{BIN}/", "libexec/postern/"), r["user"],
             r["group"], r["mode"], r["what"]) for r in rows("/")]
    assert written == told


def test_the_table_fits_a_terminal():
    out = subprocess.run([str(BIN / "postern"), "layout"], capture_output=True,
                         text=True, check=True).stdout.splitlines()
    assert max(map(len, out)) <= 80
