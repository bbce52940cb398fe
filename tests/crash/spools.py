# SPDX-License-Identifier: ISC
"""Spools as test matter: where each message's bytes lie, copies, damage."""
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent
                       / "protocol"))
from queued_world import Listen, Qmgr, World  # noqa: E402
from roles import BIN  # noqa: E402

RCPT = "bob@tester.example"
HEAD, BLOCK = 64, 4096


class Place:
    """A folder with a spool where POSTERN_ROOT looks for it."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="postern-spool-"))
        os.chmod(self.root, 0o755)
        self.spool = self.root / "var/spool/postern"
        self.spool.parent.mkdir(parents=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root)

    def copy_from(self, other):
        subprocess.run(["cp", "-a", str(other), str(self.spool)], check=True)
        return self

    def world(self, control=None, **kw):
        return World({"journalsegments": "12", **(control or {})},
                     spool=str(self.spool), **kw)

    def fsck(self, *args, code=None, timeout=120):
        done = subprocess.run(
            [str(BIN / "postern-fsck"), *args], timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "POSTERN_ROOT": str(self.root)})
        assert done.returncode in (0, 1, 4, 8, 16), done
        assert "Sanitizer" not in done.stdout, done.stdout
        assert "runtime error" not in done.stdout, done.stdout
        if code is not None:
            codes = code if isinstance(code, tuple) else (code,)
            assert done.returncode in codes, done.stdout
        return done

    def files(self, folder):
        top = self.spool / folder
        return sorted(str(p.relative_to(top)) for p in top.rglob("*")
                      if not p.is_dir() or p.is_symlink())


def records(path):
    """[(offset, end, type, sequence, id)] of a sound segment."""
    data = pathlib.Path(path).read_bytes()
    if data[:4] != b"PrS1" or data[7] != 1:
        return []
    epoch, at, out = data[8:16], BLOCK, []
    while at + HEAD <= len(data):
        if data[at:at + 4] != b"PrR1" or data[at + 8:at + 16] != epoch:
            at = (at // BLOCK + 1) * BLOCK
            continue
        kind = chr(data[at + 7])
        sequence, qid, meta, body = struct.unpack_from(">QQII", data, at + 16)
        end = at + (HEAD + meta + body + 7) // 8 * 8
        out.append((at, end, kind, sequence, qid))
        at = end
    return out


def fill(world, rng, count):
    """Mail of all sizes, some of it finished.  {id: (sender, body)} of what is
    left, and the ids of what is done."""
    q, s = Qmgr(world).index(), Listen(world).session()
    all_, done = {}, set()
    for i in range(count):
        size = rng.choice([1, 80, 700, 4000, 4000, 9000, 30000, 70000])
        body = b"Subject: %d\n\n" % i + rng.randbytes(size)
        verdict, qid = s.post(f"s{i}@a.example", [RCPT, f"x{i}@tester.example"],
                              body)
        assert verdict == "K", (verdict, qid)
        all_[int(qid, 16)] = (f"s{i}@a.example", body)
    q.until(lambda: set(all_) <= set(q.notes))
    marks = []
    for qid in all_:
        lot = rng.random()
        if lot < 0.4:
            marks.append((qid, 0))
        if lot < 0.2:
            marks.append((qid, 1))
            done.add(qid)
        if len(marks) >= 20:
            q.mark(marks)
            marks = []
    q.mark(marks)
    return {i: m for i, m in all_.items() if i not in done}, done


def told(world):
    """{id: (sender, body, recipients)} of what queued knows."""
    q = Qmgr(world).index()
    out = {}
    for qid, note in q.notes.items():
        body = note.body()
        if body is None:
            verdict, body, _ = q.open(qid)
            if verdict != "K":
                body = None
        out[qid] = (note.sender, body, sorted(note.recipients))
    return out


def flip(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)
