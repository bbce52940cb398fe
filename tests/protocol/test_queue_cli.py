# SPDX-License-Identifier: ISC
"""`postern queue` against a running postern-qmgr."""
import json
import time

from qmgr_world import BODY, World

REASON = "4.4.1 connection to mx.hamburger.edu refused"


def deferred(w, n=1):
    """n messages that wait: their ids as the user writes them."""
    w.told()
    ids = [w.note([f"bob{i}@hamburger.edu"], birth=time.time() - 3700)
           for i in range(n)]
    w.refuse(w.dialled()[0], REASON)
    w.wait_status(deferred_remote=n)
    return [f"{i:016x}" for i in ids]


def test_empty():
    with World() as w:
        w.told()
        assert w.postern("list") == "The queue is empty.\n"
        assert w.postern("list", "--json") == ""


def test_list_is_aligned_and_says_why():
    with World() as w:
        [first, second] = deferred(w, 2)
        head, a, b = w.postern("list").splitlines()
        assert a.startswith(first) and b.startswith(second)
        at = head.index("RECIPIENT")
        assert a[at:].startswith("bob0@hamburger.edu")
        assert b[at:].startswith("bob1@hamburger.edu")
        assert "1h01m" in a and a.endswith(REASON) and "deferred" in a
        assert w.postern("list", second).count("\n") == 2


def test_json_is_an_object_a_line():
    with World() as w:
        ids = deferred(w, 3)
        lines = w.postern("list", "--json").splitlines()
        rows = [json.loads(line) for line in lines]
        assert [r["id"] for r in rows] == ids
        assert rows[0]["sender"] == "alice@crepes.fr"
        [r] = rows[0]["recipients"]
        assert r["recipient"] == "bob0@hamburger.edu"
        assert (r["state"], r["attempts"], r["reason"]) == (
            "deferred", 1, REASON)
        assert r["next_attempt"] > time.time()


def test_a_long_list_comes_in_many_packets():
    with World() as w:
        w.told()
        ids = []
        for i in range(30):
            ids.append(w.note([f"user{i}-{j}@hamburger.edu"
                               for j in range(100)], fd=False))
        w.refuse(w.dialled()[0], REASON)
        try:
            while True:
                w.refuse(w.dialled(timeout=0.3)[0], REASON)
        except TimeoutError:
            pass
        w.wait_status(deferred_remote=3000)
        rows = [json.loads(s) for s in
                w.postern("list", "--json").splitlines()]
        assert [r["id"] for r in rows] == [f"{i:016x}" for i in ids]
        assert all(len(r["recipients"]) == 100 for r in rows)


def test_show_and_cat():
    with World() as w:
        [id_] = deferred(w)
        out = w.postern("show", id_)
        assert f"id         {id_}" in out and REASON in out
        process = w.cli("cat", id_)
        w.body()
        assert process.communicate(timeout=10)[0] == BODY


def test_retry():
    with World() as w:
        ids = deferred(w, 2)
        assert w.postern("retry", ids[0]) == "1 recipient tried now\n"
        w.refuse(w.dialled()[0])
        w.wait_status(deferred_remote=2)
        assert w.postern("retry", "--all") == "2 recipients tried now\n"
        w.dialled()


def test_delete():
    with World() as w:
        ids = deferred(w, 3)
        process = w.cli("delete", ids[1])
        w.wait_marks([(int(ids[1], 16), 0, "D")])
        assert process.communicate(timeout=10)[0] == b"1 recipient removed\n"
        assert process.returncode == 0
        assert ids[1] not in w.postern("list")
        assert w.postern("delete", "--all") == "2 recipients removed\n"
        w.wait_marks([(int(i, 16), 0, "D") for i in (ids[0], ids[2])])
        w.wait_status(messages=0)


def test_delete_in_flight_waits():
    with World() as w:
        w.told()
        id_ = w.note(["a@hamburger.edu"])
        remote = w.connect("hamburger.edu")
        job = remote.job()
        process = w.cli("delete", f"{id_:016x}")
        time.sleep(0.5)
        assert process.poll() is None
        remote.report(job, "Z", "4.0.0 later")
        w.wait_marks([(id_, 0, "D")])
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 0 and b"1 being delivered" in out


def test_wrong_usage():
    with World() as w:
        w.told()
        for args in ((), ("frobnicate",), ("show",), ("cat",), ("retry",),
                     ("delete",), ("list", "xyz"), ("show", "12")):
            assert w.postern(*args, code=100)
        for sub in ("show", "cat", "retry", "delete", "list"):
            assert "no message" in w.postern(sub, "0" * 15 + "1", code=100)
        assert "usage" in w.postern("--help")


def test_without_the_suite():
    w = World()
    w.door.close()
    assert "run/qmgr" in w.postern("list", code=111)
