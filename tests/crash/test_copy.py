# SPDX-License-Identifier: ISC
"""A spool that is copied starts where it was copied to."""
import os
import random
import shutil
import subprocess

import pytest

from spools import Listen, Place, Qmgr, fill, told

COPIES = {
    "cp": "cp -a {a} {b}",
    "rsync": "rsync -a {a}/ {b}/",
    "tar": "mkdir {b} && tar -C {a} -c . | tar -C {b} -xp",
    "sparse": "cp -a --sparse=always {a} {b}",
}


@pytest.fixture(scope="module")
def full():
    with Place() as place:
        place.left = {}
        for ring in ("4", "12"):
            with place.world({"journalsegments": ring}) as w:
                place.left |= fill(w, random.Random(ring), 120)[0]
        yield place


def copy(how, a, b):
    if how == "rsync" and not shutil.which("rsync"):
        pytest.skip("no rsync here")
    subprocess.run(["bash", "-ec", COPIES[how].format(a=a, b=b)], check=True)


def check(place, left):
    with place.world() as w:
        found = told(w)
        assert {i: m for i, m in left.items()
                if i not in found or found[i][:2] != m} == {}
        assert set(found) == set(left)
        assert "quarantine" not in w.log() and "damaged" not in w.log()
        assert Listen(w).session().post("", ["bob@tester.example"],
                                        b"goes on")[0] == "K"


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_starts_and_has_everything(full, how):
    with Place() as p:
        copy(how, full.spool, p.spool)
        p.fsck(code=0)
        check(p, full.left)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_copy_that_lost_owners_and_modes(full):
    with Place() as p:
        subprocess.run(["cp", "-r", full.spool, p.spool], check=True)
        subprocess.run(["chmod", "-R", "a+rX,u+w", p.spool], check=True)
        out = p.fsck("--quiet", code=4).stdout
        assert "should be" in out
        p.fsck("--repair", "--quiet", code=1)
        p.fsck("--quiet", code=0)
        check(p, full.left)


@pytest.mark.skipif(not shutil.which("rsync"), reason="no rsync here")
def test_a_copy_made_while_it_runs_then_once_more(full):
    with Place() as a, Place() as b:
        a.copy_from(full.spool)
        left = dict(full.left)
        with a.world({"journalsegments": "4"}) as w:
            q = Qmgr(w).index()
            s = Listen(w).session()
            rsync = subprocess.Popen(["rsync", "-a", f"{a.spool}/",
                                      f"{b.spool}/"],
                                     stderr=subprocess.DEVNULL)
            for i in range(150):
                body = os.urandom(20000)
                left[int(s.post("", ["bob@tester.example"], body)[1],
                         16)] = ("", body)
            gone = sorted(full.left)[:20]
            q.mark([(i, n) for i in gone for n in q.notes[i].recipients])
            for i in gone:
                del left[i]
            assert rsync.wait(60) in (0, 24)  # 24: files vanished
            w.stop()
            w.process = None
        subprocess.run(["rsync", "-a", "--delete", f"{a.spool}/",
                        f"{b.spool}/"], check=True)
        check(b, left)
