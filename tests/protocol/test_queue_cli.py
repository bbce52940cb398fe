# SPDX-License-Identifier: ISC
"""`postern queue` against a running postern-qmgr."""
import json
import os
import subprocess
import time

from qmgr_world import BODY, World, take
from roles import BIN, text, u32, u64

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
        process = w.cli("show", id_)
        w.body()
        out = process.communicate(timeout=10)[0].decode()
        assert f"id         {id_}" in out and REASON in out
        assert "  Subject: hello\n" in out
        process = w.cli("cat", id_)
        w.body()
        assert process.communicate(timeout=10)[0] == BODY


def test_retry():
    with World() as w:
        ids = deferred(w, 2)
        assert w.postern("retry", ids[0]) == \
            "1 recipient of 1 message tried now\n"
        w.refuse(w.dialled()[0])
        w.wait_status(deferred_remote=2)
        assert w.postern("retry", "--all") == \
            "2 recipients of 2 messages tried now\n"
        w.dialled()


def test_delete():
    with World() as w:
        ids = deferred(w, 3)
        process = w.cli("delete", ids[1])
        w.wait_marks([(int(ids[1], 16), 0, "D")])
        assert process.communicate(timeout=10)[0] == \
            b"1 recipient of 1 message removed\n"
        assert process.returncode == 0
        assert ids[1] not in w.postern("list")
        process = w.cli("delete", "--all")
        w.wait_marks([(int(i, 16), 0, "D") for i in (ids[0], ids[2])])
        assert process.communicate(timeout=10)[0] == \
            b"2 recipients of 2 messages removed\n"
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


WHOLE = 0xffffffff  # idx of a mark that holds or releases


def ordered(w, marks, *args):
    """What an order prints; its marks are durable before."""
    process = w.cli(*args)
    w.wait_marks(marks)
    out, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    return out.decode()


def test_hold_and_release():
    with World() as w:
        ids = deferred(w, 3)
        nums = [int(i, 16) for i in ids]
        assert ordered(w, [(nums[0], WHOLE, "H"), (nums[2], WHOLE, "H")],
                       "hold", ids[0], ids[2]) == \
            "2 recipients of 2 messages held\n"
        w.wait_status(held=2, deferred_remote=1)
        assert "no message" in w.postern("hold", ids[0], code=1)
        # retry leaves them alone
        assert "0 recipients" in w.cli("retry", ids[0]).communicate()[0].decode()
        assert w.postern("list", "--state=held", "--json").count("\n") == 2
        assert ordered(w, [(nums[0], WHOLE, "R")], "release", ids[0]) == \
            "1 recipient of 1 message released\n"
        w.refuse(w.dialled()[0])
        w.wait_status(held=1, deferred_remote=2)


def test_what_queued_says_is_held_stays():
    with World() as w:
        held = w.note(["a@hamburger.edu"], flags=4)
        free = w.note(["b@hamburger.edu"])
        w.told()
        key, domain, _ = w.dialled()
        w.wait_status(held=1, messages=2)
        w.refuse(key)
        w.wait_status(held=1, deferred_remote=1)
        assert [r["state"] for r in w.listing(held)] == ["h"]
        ordered(w, [(held, WHOLE, "R")], "release", "--all")
        w.refuse(w.dialled()[0])
        w.wait_status(held=0, deferred_remote=2)
        assert w.listing(free)


def test_hold_of_what_stands_in_line():
    """Held while it waits in a destination's queue: not delivered from there,
    and once only after it is released."""
    with World() as w:
        w.told()
        first = w.note(["a@hamburger.edu"])
        remote = w.connect("hamburger.edu")
        job = remote.job()
        second = w.note(["b@hamburger.edu"])
        w.wait_status(queued_remote=1)
        ordered(w, [(second, WHOLE, "H"), (first, WHOLE, "H")],
                "hold", "--all")
        w.wait_status(held=1, queued_remote=0)
        remote.report(job, "Z", "4.0.0 later")
        w.wait_status(held=2)
        remote.quiet("J")
        ordered(w, [(second, WHOLE, "R")], "release", f"{second:016x}")
        w.body()
        job = remote.job()
        assert job.id == second
        remote.report(job, "K", "2.0.0 fine")
        w.wait_marks([(second, 0, "K")])
        remote.quiet("J")
        w.wait_status(messages=1)


def test_bounce_by_hand():
    with World() as w:
        [id_, other] = deferred(w, 2)
        out = w.postern("bounce", "--text", "no such project", id_)
        assert out == "1 recipient of 1 message given up\n"
        w.body()
        job = w.bounce_job()
        assert job.id == int(id_, 16)
        assert job.rcpts == [(0, "bob0@hamburger.edu",
                              "5.0.0 no such project")]
        w.bounced(job)
        w.wait_status(messages=1, bounced=1)
        assert other in w.postern("list")


def test_bounce_of_what_stands_in_line():
    with World() as w:
        w.told()
        w.note(["a@hamburger.edu"])
        remote = w.connect("hamburger.edu")
        job = remote.job()
        second = w.note(["b@hamburger.edu"])
        w.wait_status(queued_remote=1)
        out = w.postern("bounce", "--all")
        assert "1 recipient of 2 messages given up" in out
        assert "1 being delivered now: left alone" in out
        bounce = w.bounce_job()
        assert bounce.id == second
        w.bounced(bounce)
        remote.report(job, "K", "2.0.0 fine")
        w.wait_marks([(job.id, 0, "K")])
        remote.quiet("J")
        w.wait_status(messages=0)


def test_filters():
    with World() as w:
        w.told()
        now = time.time()
        a = w.note(["x@one.example", "y@two.example"], birth=now - 7200)
        b = w.note(["z@One.Example"], sender="", birth=now - 60,
                   body=BODY + b"x" * 5000)
        c = w.note(["x@three.example"], sender="news@lists.example",
                   birth=now - 60)
        for _ in range(3):
            key, domain, _ = w.dialled()
            w.refuse(key, f"4.4.1 {domain} timed out")
        w.wait_status(deferred_remote=4)

        def found(*args):
            out = w.postern("list", "--json", *args)
            return [(int(r["id"], 16), x["recipient"])
                    for r in map(json.loads, out.splitlines())
                    for x in r["recipients"]]

        ax, ay = (a, "x@one.example"), (a, "y@two.example")
        bz, cx = (b, "z@One.Example"), (c, "x@three.example")
        assert found() == [ax, ay, bz, cx]
        assert found("--domain", "one.example") == [ax, bz]
        assert found("--domain=ONE.*") == [ax, bz]
        assert found("--recipient", "x@*") == [ax, cx]
        assert found("--sender", "<>") == [bz]
        assert found("--sender", "*@lists.example") == [cx]
        assert found("--older", "1h") == [ax, ay]
        assert found("--newer", "1h") == [bz, cx]
        assert found("--larger", "1K") == [bz]
        assert found("--smaller", "1K") == [ax, ay, cx]
        assert found("--reason", "TWO.EXAMPLE TIMED") == [ay]
        assert found("--reason", "*three*out") == [cx]
        assert found("--state", "deferred,held", "--newer=1h") == [bz, cx]
        assert found("--limit", "2") == [ax, ay, bz]
        assert "nothing matches" in w.postern("list", "--state=held", code=1)
        # an order takes the recipients that match, not whole messages
        assert w.postern("delete", "--dry-run", "--domain=one.example") == \
            "2 recipients of 2 messages would be removed\n"
        assert found() == [ax, ay, bz, cx]
        assert ordered(w, [(a, 0, "D"), (b, 0, "D")], "delete",
                       "--domain=one.example") == \
            "2 recipients of 2 messages removed\n"
        assert found() == [ay, cx]
        process = w.cli("delete", "--domain=one.example")
        assert process.communicate()[0] == \
            b"0 recipients of 0 messages removed\n"
        assert process.returncode == 1
        # so many messages, and no more
        assert "of 1 message " in ordered(
            w, [(a, 1, "D")], "delete", "--limit=1")
        assert found() == [cx]


def test_costly_patterns():
    """Nobody waits for qmgr while it matches: it answers in more parts."""
    with World() as w:
        w.told()
        n, long = 2000, "a" * 60 + "@" + ("a" * 60 + ".") * 3 + "example"
        for _ in range(n):
            w.note([long], sender=long, fd=False)
        w.wait_status(messages=n)
        costly = "*" + "a*" * 150 + "example"
        with w.control() as s:
            for what, cursor_is_0 in (("*@*", True), (costly, False)):
                s.send(b"L" + u64(0) + u64(0) * 5 + text("") + text(what) +
                       text("") + text("no such reason") + text(""))
                assert (take(s, "l").u64() == 0) == cursor_is_0
        out = w.postern("list", "--json", "--sender", costly, "--recipient",
                        costly, "--domain", "*" + "a*" * 90 + "example")
        assert out.count("\n") == n


def test_messages_are_counted_once():
    """Also those that an answer ends before, or in the middle of."""
    with World() as w:
        w.told()
        n, big = 9000, 40
        for i in range(n):
            w.note([f"u{i}@hamburger.edu"], fd=False)
        for i in range(big):  # the one that matches comes last
            w.note([f"x{j}@hamburger.edu" for j in range(400)] + ["u@last"],
                   fd=False)
        w.wait_status(messages=n + big)
        assert w.postern("delete", "--dry-run", "--recipient", "u*") == \
            f"{n + big} recipients of {n + big} messages would be removed\n"
        assert w.postern("delete", "--dry-run", "--recipient", "u*",
                         "--limit", "8500") == \
            "8500 recipients of 8500 messages would be removed\n"


def test_stats():
    with World() as w:
        w.told()
        now = time.time()
        for i, age in enumerate((60, 60, 700, 100000)):
            w.note([f"u{i}@hamburger.edu"], birth=now - age)
        w.note(["a@other.example"], birth=now - 60, sender="")
        w.refuse(w.dialled()[0], REASON)
        w.refuse(w.dialled()[0], "4.4.1 timed out")
        w.wait_status(deferred_remote=5)
        head, total, most, least = w.postern("stats").splitlines()[:4]
        assert head.split()[2:] == ["ALL", "<5", "10", "20", "40", "80",
                                    "160", "320", "640", "1280", "more"]
        assert total.split()[:3] == ["TOTAL", "5", "3"]
        assert most.split() == ["hamburger.edu", "4", "2", "0", "1", "0", "0",
                                "0", "0", "0", "0", "1"]
        assert least.split()[:3] == ["other.example", "1", "1"]
        out = w.postern("stats")
        assert "STATES  5 deferred\n" in out
        assert f"       4  {REASON}" in out
        assert all(len(line) <= 80 for line in out.splitlines())
        assert "<>" in w.postern("stats", "--senders")
        rows = [json.loads(x) for x in
                w.postern("stats", "--json", "--newer=1h").splitlines()]
        assert rows[0]["total"] == 4 and rows[0]["states"]["deferred"] == 4
        assert rows[1] == {"domain": "hamburger.edu", "recipients": 3,
                           "ages": [2, 0, 1, 0, 0, 0, 0, 0, 0, 0]}
        assert {"reason": REASON, "recipients": 3} in rows


def test_settle():
    with World() as w:
        w.told()
        process = w.cli("settle")
        for left in (2, 1, 0):
            bound = take(w.queued, "S").u64()
            assert bound == (0 if left == 2 else 77)
            w.queued.send(b"s" + u64(77) + u64(left))
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 0 and b"files" in out
        # queued is replaced meanwhile: it is asked again
        process = w.cli("settle")
        take(w.queued, "S")
        w.relink("queued").send(b"E")
        take(w.queued, "S")
        w.queued.send(b"s" + u64(77) + u64(0))
        assert process.wait(10) == 0


def test_a_terminal_gets_80_columns():
    with World() as w:
        ids = deferred(w, 2)
        out = subprocess.run(
            ["script", "-qec",
             f"stty cols 80; {BIN}/postern queue list", "/dev/null"],
            env={**os.environ, "POSTERN_ROOT": w.folder.name},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            timeout=20).stdout.decode()
        lines = out.replace("\r", "").splitlines()
        assert all(len(line) <= 80 for line in lines)
        at = lines[0].index("RECIPIENT")
        assert lines[1].startswith(ids[0])
        assert lines[1][at:] == "bob0@hamburger.edu"
        assert lines[2].startswith(f"    from alice@crepes.fr: {REASON[:40]}")


def test_nothing_reaches_a_terminal():
    """Reasons and bodies of strangers: in lines, JSON and on a terminal."""
    bad = b"4.0.0 \x1b]0;owned\x07\xff\xc2\x9b \"q\" \\ \r\n next"
    body = b"Subject: \x1b[2Jhi\n\n\xc3\xa9 \x1b[31m\xc2\x9b1m\x9b\a\ttab\n"
    with World() as w:
        w.told()
        id_ = f"{w.note(['a@hamburger.edu'], body=body):016x}"
        key = w.dialled()[0]
        w.dial.send(b"F" + u64(key) + b"Z" + u32(len(bad)) + bad)
        w.wait_status(deferred_remote=1)
        for args in (("list",), ("list", "-w"), ("stats",)):
            out = w.postern(*args)
            assert "owned" in out
            assert all(x.isprintable() for x in out.splitlines()), out
        [row] = w.postern("list", "--json").splitlines()
        assert "owned" in json.loads(row)["recipients"][0]["reason"]
        for x in w.postern("stats", "--json").splitlines():
            json.loads(x)
        process = w.cli("show", id_)
        w.body(body)
        out = process.communicate(timeout=10)[0]
        assert b"\x1b" not in out and b"\x9b" not in out
        # what goes to a file is the message; what goes to a terminal is text
        process = w.cli("cat", id_)
        w.body(body)
        assert process.communicate(timeout=10)[0] == body
        process = subprocess.Popen(
            ["script", "-qec", f"{BIN}/postern queue cat {id_}", "/dev/null"],
            env={**os.environ, "POSTERN_ROOT": w.folder.name},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        w.body(body)
        out = process.communicate(timeout=10)[0].replace(b"\r", b"")
        assert out == (b"Subject: ?[2Jhi\n\n\xc3\xa9 "
                       b"?[31m??1m?" b"?\ttab\n")


def test_only_root_and_its_own_user():
    if os.geteuid() != 0:
        return
    with World() as w:
        deferred(w)
        os.chmod(w.folder.name, 0o755)
        out = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "--regid=65534",
             str(BIN / "postern"), "queue", "delete", "--all"],
            env={**os.environ, "POSTERN_ROOT": w.folder.name},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
        assert out.returncode == 111
        assert b"only root" in out.stderr
        w.wait_status(messages=1)


def test_wrong_usage():
    with World() as w:
        w.told()
        for args in ((), ("frobnicate",), ("show",), ("cat",), ("retry",),
                     ("delete",), ("list", "xyz"), ("show", "12"),
                     ("list", "--older", "2x"), ("list", "--bogus"),
                     ("list", "--state", "happy"), ("list", "--all=1"),
                     ("list", "--larger"), ("delete", "--all", "--older=1d"),
                     ("bounce", "--all", "--text", "two\nlines"),
                     ("hold", "--dry-run"), ("settle", "--older=1d"),
                     ("settle", "0" * 15 + "1"), ("list", "--older", "-1"),
                     ("list", "--older", "1" + "0" * 30),
                     ("list", "--older", ""), ("list", "--older", "\u0661d"),
                     ("list", "--larger", "5X"), ("list", "--larger", "K"),
                     ("list", "--limit", "0"), ("list", "--sender", ""),
                     # would be no filter at all, and everything removed
                     ("delete", "--smaller", "0"), ("list", "--sender", "x" * 321)):
            assert w.postern(*args, code=100), args
        for sub in ("show", "cat", "retry", "delete", "list", "hold",
                    "release", "bounce"):
            assert "no message" in w.postern(sub, "0" * 15 + "1", code=1)
        assert "usage" in w.postern("--help")


def test_without_the_suite():
    w = World()
    w.door.close()
    assert "run/qmgr" in w.postern("list", code=111)
