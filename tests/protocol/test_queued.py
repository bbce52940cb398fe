# SPDX-License-Identifier: ISC
"""postern-queued, its ring and its files, against played neighbours."""
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from queued_world import (Listen, Qmgr, Stream, World, digest, frame,
                          message)
from roles import text, u8, u32, u64

RCPT = "bob@tester.example"
ROUNDS = int(os.environ.get("POSTERN_KILLS", "12"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
SANITIZED = os.environ.get("POSTERN_SANITIZED")
no_sanitizer = pytest.mark.skipif(
    bool(SANITIZED), reason="strace and sanitizers do not go together")


def bounce_stream(world):
    return Stream(world.link("bounce", socket.SOCK_STREAM))


def finishes(qid, *idx):
    return frame("O", u64(qid) + u32(len(idx)) + b"".join(map(u32, idx)))


def files(world, folder):
    return sorted(str(p.relative_to(world.spool))
                  for p in (world.spool / folder).rglob("*") if p.is_file())


def wait_for(what, timeout=20):
    stop = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < stop
        time.sleep(0.02)


# ---- the stream ----

def test_streams_that_do_not_wait_for_answers():
    """Behind a large message, which takes longer, a stream goes on in the
    middle of another one's batch."""
    def post(stream, seed):
        sizes = random.Random(seed).choices((10, 10, 100_000), k=30)
        data = b"".join(message("alice@crepes.fr", [RCPT], b"x" * n)
                        for n in sizes)
        sending = threading.Thread(target=stream.send, args=(data,))
        sending.start()
        answers[seed] = [stream.answer() for _ in sizes]
        sending.join()
    answers = {}
    with World() as w:
        q, listen, pid = Qmgr(w).index(), Listen(w), w.queued_pid()
        posts = [threading.Thread(target=post, args=(listen.session(), i))
                 for i in range(12)]
        for p in posts:
            p.start()
        q.until(lambda: len(q.notes) == 360)
        for p in posts:
            p.join()
        assert {a and a[0] for some in answers.values() for a in some} == {"K"}
        assert w.queued_pid() == pid


def test_a_message_goes_in_and_is_told():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session(sid="abc")
        verdict, qid = s.post("alice@crepes.fr", [RCPT, "x@tester.example"],
                              b"Subject: hi\n\nhello\n")
        assert verdict == "K" and len(qid) == 16
        q.until(lambda: q.notes)
        n = q.notes[int(qid, 16)]
        assert n.sender == "alice@crepes.fr" and n.sid == "abc"
        assert n.recipients == {0: RCPT, 1: "x@tester.example"}
        assert n.body() == b"Subject: hi\n\nhello\n" and n.flags == 0
        assert abs(n.birth - time.time()) < 5
        # lines are written when the answers are out
        wait_for(lambda: f"event=queued qid={qid} sid=abc "
                 "sender=alice@crepes.fr size=19 nrcpt=2" in w.log())
        q.mark([(n.id, 0), (n.id, 1)])
        wait_for(lambda: f"event=done qid={qid}" in w.log())


def test_descriptors_are_sealed():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        s.post("", [RCPT], b"x" * 100)
        q.until(lambda: q.notes)
        fd = next(iter(q.notes.values())).fd
        with pytest.raises(PermissionError):
            os.write(fd, b"y")
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)


def test_same_result_however_the_bytes_are_cut():
    body = os.urandom(3000)
    data = message("a@b.example", [RCPT], body, chunk=700) + \
        frame("F", "x@y.example") + frame("X") + \
        message("c@d.example", [RCPT], body[:10], chunk=3)
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        for step in (1, 2, 3, 7, 61, 699, 4096):
            s = l.session()
            for i in range(0, len(data), step):
                s.send(data[i:i + step])
            assert [s.answer()[0] for _ in range(2)] == ["K", "K"]
        q.until(lambda: len(q.notes) == 14)
        bodies = [q.notes[i].body() for i in sorted(q.notes)]
        assert bodies == [body, body[:10]] * 7


def test_frames_in_any_order_and_many_in_one_session():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        s.send(frame("B", "one ") + frame("T", RCPT) + frame("B", "two") +
               frame("F", "a@b.example") + frame("C"))
        assert s.answer()[0] == "K"
        s.send(b"".join(message("a@b.example", [RCPT], b"m%d" % i)
                        for i in range(100)))
        ids = [s.answer()[1] for _ in range(100)]
        assert ids == sorted(ids) and len(set(ids)) == 100
        q.until(lambda: len(q.notes) == 101)
        assert [n.body() for n in q.notes.values()] == \
            [b"one two"] + [b"m%d" % i for i in range(100)]


def test_a_byte_over_0x7f_is_told_wherever_it_is():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        for size, at in [(1, 0), (15, 14), (16, 0), (16, 15), (33, 32),
                         (40, 8), (40, 20), (70000, 69999), (40, None)]:
            body = bytearray(b"\x7f" * size)
            if at is not None:
                body[at] = 0x80
            qid = int(s.post("", [RCPT], bytes(body))[1], 16)
            q.until(lambda: qid in q.notes)
            assert q.notes[qid].flags == (0 if at is None else 2)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200000, 3000000])
def test_bodies_of_every_size(size):
    body = os.urandom(size)
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        verdict, qid = s.post("a@b.example", [RCPT], body)
        assert verdict == "K"
        q.until(lambda: q.notes)
        n = q.notes[int(qid, 16)]
        assert n.size == size and n.body() == body
        assert bool(files(w, "mess")) == (size > 65536)
        assert q.open(n.id)[:2] == ("K", body)
        w.kill()
        w.start()
        q = Qmgr(w).index()
        # of a file no descriptor comes before its body was checked
        assert (q.notes[n.id].body() is None) == (size > 65536)
        assert q.open(n.id)[:2] == ("K", body)
        q.mark([(n.id, 0)])
        wait_for(lambda: files(w, "mess") == [])


@pytest.mark.parametrize("data, verdict, code", [
    (frame("T", RCPT) + frame("C"), "D", "5.5.1"),
    (frame("F", "a@b.c") + frame("C"), "D", "5.5.1"),
    (frame("F", "a@b.c") + frame("F", "a@b.c") + frame("T", RCPT) +
     frame("C"), "D", "5.1.7"),
    (frame("F", "a\n@b.c") + frame("T", RCPT) + frame("C"), "D", "5.1.7"),
    (frame("F", "") + frame("T", "") + frame("C"), "D", "5."),
    (frame("F", "") + frame("T", "nowhere") + frame("C"), "D", "5."),
    (frame("F", "") + frame("T", b"a\0@tester.example") + frame("C"),
     "D", "5.1.3"),
    (frame("F", "") + frame("T", "x" * 300 + "@tester.example") +
     frame("C"), "D", "5.1.3"),
    (frame("F", "") + frame("T", RCPT) * 1001 + frame("C"), "Z", "4.5.3"),
    (frame("F", "") + frame("T", "a@elsewhere.example") + frame("B", "x") +
     frame("C"), "D", "5.7.1"),
    (frame("F", "") + frame("T", RCPT) + frame("T", "a@elsewhere.example") +
     frame("C"), "D", "5.7.1"),
])
def test_refusals_are_answered_at_commit_and_the_session_goes_on(
        data, verdict, code):
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        s.send(data + message("a@b.example", [RCPT], b"fine"))
        got, why = s.answer()
        assert got == verdict and why.startswith(code)
        assert s.answer()[0] == "K"
        q.until(lambda: q.notes)
        q.drain()
        assert len(q.notes) == 1


def test_relaying_with_the_right():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        assert l.session(relay=True).post(
            "a@b.example", ["x@elsewhere.example"], b"x")[0] == "K"
        q.until(lambda: q.notes)


@pytest.mark.parametrize("junk", [
    b"0:,", b"x", b"99999:", b"17000:F", b"3:Fab;", b"03:Fab,", frame("Q"),
    frame("P", text("s") + text("p") + u8(1)), frame("C", "x"),
    frame("X", "y"), frame("O", u64(1) + u32(1) + u32(0)), b"\0" * 100,
])
def test_bad_frames_end_that_session_only(junk):
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        other, s = l.session(), l.session()
        other.send(frame("F", "a@b.example"))
        s.send(frame("F", "") + junk)
        assert s.answer() is None
        other.send(frame("T", RCPT) + frame("B", "x") + frame("C"))
        assert other.answer()[0] == "K"


def test_databytes():
    with World({"databytes": "100000"}) as w:
        s = Listen(w).session()
        assert s.post("", [RCPT], b"x" * 150000)[0] == "K"
        assert s.post("", [RCPT], b"x" * 170000) == \
            ("D", "5.3.4 Message too big")
        assert s.post("", [RCPT], b"x" * 10)[0] == "K"
        assert files(w, "mess/tmp") == []


def test_closed_before_commit_is_nothing():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        for n in (10, 200000):
            s = l.session()
            s.send(message("", [RCPT], b"x" * n)[:-5])
            s.close()
        l.session().post("", [RCPT], b"y")
        q.until(lambda: q.notes)
        wait_for(lambda: files(w, "mess/tmp") == [])
        q.drain()
        assert [n.body() for n in q.notes.values()] == [b"y"]


# ---- run/queue ----

def dial(w, uid=None):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.geteuid()
    if uid is not None:
        os.seteuid(uid)
    try:
        sock.connect(w.door_path)
    finally:
        os.seteuid(old)
    return Stream(sock)


def test_local_senders_may_send_anywhere():
    with World() as w:
        q = Qmgr(w).index()
        assert dial(w).post("me@tester.example", ["x@far.example"],
                            b"x")[0] == "K"
        q.until(lambda: q.notes)
        assert next(iter(q.notes.values())).sid.startswith("local-")


def test_a_stop_waits_for_who_hands_in_mail():
    """postern-queue has seen run/queue, so it uses no drop box."""
    text = message("me@tester.example", ["x@far.example"], b"x")
    with World() as w:
        silent, begun, idle = dial(w), dial(w), dial(w)
        begun.send(text[:20])
        assert idle.post("me@tester.example", ["y@far.example"], b"y")[0] == "K"
        asked = time.monotonic()
        w.channel.send(b"Q")
        late = dial(w)  # start has removed run/queue when it says Q
        for s in (silent, begun, late):
            time.sleep(0.2)
            s.send(text[20:] if s is begun else text)
            assert s.answer()[0] == "K"
            s.close()
        w.process.wait(5)  # and not for who keeps a connection for later
        assert time.monotonic() - asked < 2.4  # then start would kill it
        assert w.process.returncode == 0
        w.stop()
        w.start()
        assert len(Qmgr(w).index().notes) == 4


@needs_root
@pytest.mark.parametrize("user", ["posternd", "posternf"])
def test_facts_only_from_some_roles_and_root(user):
    import pwd
    smtpd = pwd.getpwnam(user).pw_uid
    facts = frame("P", text("tcpsid") + text("192.0.2.7") + u8(1))
    far = message("", ["x@far.example"], b"x")
    with World() as w:
        q = Qmgr(w).index()
        s = dial(w, smtpd)
        s.send(far)
        assert s.answer()[1].startswith("5.7.1")
        s = dial(w, smtpd)
        s.send(facts + far)
        assert s.answer()[0] == "K"
        s.send(facts)
        assert s.answer() is None
        s = dial(w, 65534)
        s.send(facts + far)
        assert s.answer() is None
        s = dial(w, 65534)
        s.send(far)
        assert s.answer()[0] == "K"
        q.until(lambda: len(q.notes) == 2)
        assert {n.sid.split("-")[0] for n in q.notes.values()} == \
            {"tcpsid", "local"}


@needs_root
def test_one_user_cannot_take_all_places():
    with World() as w:
        got = [dial(w, 65534) for _ in range(300)]
        alive = sum(1 for s in got if s_alive(s))
        assert alive == 256
        assert dial(w).post("", [RCPT], b"x")[0] == "K"


def s_alive(s):
    s.sock.settimeout(0.02)
    try:
        return s.sock.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionResetError:
        return False


# ---- notes ----

def test_index_again_on_a_new_link():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        for i in range(50):
            s.post("a@b.example", [RCPT, "c@tester.example"], b"%d" % i)
        q.until(lambda: len(q.notes) == 50)
        ids = sorted(q.notes)
        q.mark([(i, 0) for i in ids[:20]] + [(i, 1) for i in ids[:10]])
        q.sock.close()
        q = Qmgr(w).index()
        assert sorted(q.notes) == ids[10:]
        assert [sorted(q.notes[i].recipients) for i in ids[10:]] == \
            [[1]] * 10 + [[0, 1]] * 30
        assert [q.notes[i].body() for i in ids[10:]] == \
            [b"%d" % i for i in range(10, 50)]


def test_a_slow_qmgr_lags_and_loses_nothing():
    with World() as w:
        q, s = Qmgr(w), Listen(w).session()
        for i in range(0, 3000, 50):
            s.send(b"".join(message("a@b.example", [RCPT], b"%d" % j)
                            for j in range(i, i + 50)))
            for _ in range(50):
                assert s.answer()[0] == "K"
        q.until(lambda: len(q.notes) == 3000)
        assert sum(n.fd is not None for n in q.notes.values()) < 3000
        for n, i in zip(list(q.notes.values())[::371], range(0, 3000, 371)):
            assert q.open(n.id)[:2] == ("K", b"%d" % i)


def test_many_recipients_take_many_packets():
    rcpts = [f"{i:03}{'x' * 40}@{'d' * 50}.tester.example" for i in range(1000)]
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        s = l.session(relay=True)
        assert s.post("a@b.example", rcpts, b"x")[0] == "K"
        q.until(lambda: q.notes and all(n.whole for n in q.notes.values()))
        n = next(iter(q.notes.values()))
        assert list(n.recipients.values()) == rcpts
        q.mark([(n.id, i) for i in range(0, 1000, 2)])
        w.restart()
        q = Qmgr(w).index()
        n = q.notes[n.id]
        assert sorted(n.recipients) == list(range(1, 1000, 2))
        assert all(n.recipients[i] == rcpts[i] for i in n.recipients)


def test_many_marks_wait_for_no_mail():
    """An order to many messages is not held up after each two thousand."""
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        for i in range(3):
            assert s.post("a@b.fr", [f"u{j}@tester.example" for j in
                                     range(1000)], b"x")[0] == "K"
        q.until(lambda: len(q.notes) == 3 and
                all(n.whole for n in q.notes.values()))
        notes = list(q.notes.values())
        times = []
        for n in notes:
            begun = time.monotonic()
            q.mark([(n.id, 0)])
            times.append(time.monotonic() - begun)
        many = [(n.id, i) for n in notes for i in range(1, 500)]
        begun = time.monotonic()
        q.mark(many)
        assert time.monotonic() - begun < min(times) / 2


def test_marks_twice_unknown_and_nonsense():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        s.post("", [RCPT], b"x")
        q.until(lambda: q.notes)
        (qid,) = q.notes
        q.send(b"M" + u32(7))
        q.send(b"W" + u64(qid) + u32(0) + u32(1) + text("no at"))
        q.send(b"W" + u64(qid) + u32(0) + u32(0))
        q.send(b"?")
        q.send(b"M" + u32(1) + u64(qid) + u32(0) + b"Z")
        q.mark([(123, 4), (qid, 77)])
        q.mark([(qid, 0), (qid, 0)])
        q.marked.clear()
        q.mark([(qid, 0)])
        assert q.open(qid)[0] == "D"


def test_replacements_are_one_step():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        s.post("a@b.example", [RCPT, "c@tester.example"], b"x")
        q.until(lambda: q.notes)
        (qid,) = q.notes
        many = [f"u{i}@list.example" for i in range(200)]
        assert q.replace(qid, 0, ["d@e.example", "f@g.example"])[0] == "K"
        assert q.replace(qid, 3, many)[0] == "K"
        n = q.notes[qid]
        assert n.recipients[2] == "d@e.example"
        assert [n.recipients[i] for i in range(4, 204)] == many
        assert q.replace(qid, 3, ["again@e.example"])[0] == "K"
        assert len(q.notes[qid].recipients) == 204
        q.mark([(qid, 1), (qid, 5)])
        for how in (w.kill, w.stop):
            how()
            w.start()
            q = Qmgr(w).index()
            n = q.notes[qid]
            assert sorted(n.recipients) == [2, 4, *range(6, 204)]
            assert n.recipients[2] == "d@e.example"
            assert q.replace(qid, 0, ["late@e.example"])[0] == "K"
        q.mark([(qid, i) for i in n.recipients])
        w.restart()
        assert Qmgr(w).index().notes == {}


def test_bounce_and_what_it_finishes_are_one_record():
    with World() as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        s.post("a@far.example", [RCPT, "c@tester.example"], b"x")
        q.until(lambda: q.notes)
        (qid,) = q.notes
        b = bounce_stream(w)
        b.send(finishes(qid, 0) + message("", ["a@far.example"], b"sorry"))
        verdict, bounce = b.answer()
        assert verdict == "K"
        q.until(lambda: len(q.notes) == 2)
        b.send(finishes(qid, 0) + message("", ["a@far.example"], b"again"))
        assert b.answer() == ("K", f"{qid:016x}")
        w.kill()
        w.start()
        q = Qmgr(w).index()
        assert sorted(q.notes) == sorted([qid, int(bounce, 16)])
        assert sorted(q.notes[qid].recipients) == [1]
        assert q.notes[int(bounce, 16)].sender == ""
        b = bounce_stream(w)
        b.send(finishes(qid, 0, 1) + message("", ["a@far.example"], b"rest"))
        assert b.answer()[0] == "K"
        w.restart()
        q = Qmgr(w).index()
        assert qid not in q.notes and len(q.notes) == 2


def test_what_a_bounce_finished_stays_so_when_the_bounce_is_a_file():
    with World({"journalsegments": "4"}) as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        # a finished file that still waits for its removal keeps the segment
        s.post("a@far.example", [RCPT], b"x" * 100_000)
        s.post("a@far.example", [RCPT], b"x")
        q.until(lambda: len(q.notes) == 2)
        large, qid = sorted(q.notes)
        q.mark([(large, 0)])
        b = bounce_stream(w)
        b.send(finishes(qid, 0) + message("", ["a@far.example"], b"sorry"))
        verdict, bounce = b.answer()
        assert verdict == "K"
        w.kill()
        w.start()
        assert sorted(Qmgr(w).index().notes) == [int(bounce, 16)]
        wait_for(lambda: [n for n in files(w, "mess") if bounce in n], 5)
        w.kill()
        w.start()
        assert sorted(Qmgr(w).index().notes) == [int(bounce, 16)]


def test_a_later_mark_does_not_hide_what_a_bounce_finished():
    with World({"journalsegments": "6"}) as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        s.post("a@far.example", [RCPT, "c@tester.example"], b"x" * 100_000)
        q.until(lambda: q.notes)
        (qid,) = q.notes
        b = bounce_stream(w)
        b.send(finishes(qid, 0) + message("", ["a@far.example"], b"sorry"))
        verdict, bounce = b.answer()
        assert verdict == "K"
        w.kill()
        w.start()  # another segment takes the mark
        Qmgr(w).index().mark([(qid, 1)])
        w.kill()
        # with a smaller ring the bounce becomes a file at once, while the
        # finished one waits a second for its removal
        (w.controls / "journalsegments").write_text("4\n")
        for path in (w.spool / "journal").iterdir():
            if path.read_bytes()[:1] == b"\0":
                path.unlink()
        w.start()
        wait_for(lambda: [n for n in files(w, "mess") if bounce in n], 5)
        time.sleep(0.2)
        w.kill()
        w.start()
        assert sorted(Qmgr(w).index().notes) == [int(bounce, 16)]


def test_ids_rise_over_restarts():
    with World() as w:
        last = 0
        for _ in range(4):
            s = Listen(w).session()
            for _ in range(5):
                qid = int(s.post("", [RCPT], b"x")[1], 16)
                assert qid > last
                last = qid
            w.restart()


# ---- the ring ----

def fill(w, l, n, size=30000, relay=False):
    s = l.session(relay)
    ids = {}
    for i in range(n):
        body = b"%d " % i + random.randbytes(size)
        verdict, qid = s.post("a@b.example", [RCPT, f"x{i}@tester.example"],
                              body)
        assert verdict == "K", qid
        ids[int(qid, 16)] = body
    return ids


def test_the_ring_goes_round_and_what_waits_becomes_files():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        ids = fill(w, l, 40)
        order = sorted(ids)
        q.mark([(i, 0) for i in order[:5]])
        q.replace(order[1], 1, ["new@far.example"])
        for _ in range(12):
            more = fill(w, l, 40)
            q.until(lambda: set(more) <= set(q.notes))
            q.mark([(i, j) for i in more for j in (0, 1)])
        names = files(w, "mess")
        assert {int(n.split("/")[-1], 16) for n in names} == set(ids)
        assert len(files(w, "journal")) <= 8
        q.mark([(i, 1) for i in order[:5] if i != order[1]])
        q.mark([(order[1], 2)])
        q.mark([(i, 0) for i in order[5:10]])
        wait_for(lambda: len(files(w, "mess")) == 35)
        for how in (w.kill, w.stop):
            how()
            w.start()
            q = Qmgr(w).index()
            assert sorted(q.notes) == order[5:]
            for i in order[5:]:
                assert sorted(q.notes[i].recipients) == \
                    ([1] if i in order[5:10] else [0, 1])
                assert q.open(i)[:2] == ("K", ids[i])
        # their marks must get into the files before their segment goes
        l = Listen(w)
        for _ in range(12):
            more = fill(w, l, 40)
            q.until(lambda: set(more) <= set(q.notes))
            q.mark([(i, j) for i in more for j in (0, 1)])
        w.kill()
        shutil.rmtree(w.spool / "journal")
        w.start()
        q = Qmgr(w).index()
        assert sorted(q.notes) == order[5:]
        for i in order[5:10]:
            assert sorted(q.notes[i].recipients) == [1]


def test_replacements_survive_in_files():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        ids = fill(w, l, 3)
        a, b, c = sorted(ids)
        q.until(lambda: len(q.notes) == 3)
        many = [f"u{i}{'y' * 100}@list.example" for i in range(250)]
        for _ in range(5):
            q.replace(a, max(q.notes[a].recipients), many)
        want = dict(q.notes[a].recipients)
        for _ in range(12):
            more = fill(w, l, 40)
            q.until(lambda: set(more) <= set(q.notes))
            q.mark([(i, j) for i in more for j in (0, 1)])
        assert len(files(w, "mess")) == 3
        # now that it is a file
        q.replace(b, 0, many)
        want_b = dict(q.notes[b].recipients)
        for _ in range(12):
            more = fill(w, l, 40)
            q.until(lambda: set(more) <= set(q.notes))
            q.mark([(i, j) for i in more for j in (0, 1)])
        w.kill()
        shutil.rmtree(w.spool / "journal")
        w.start()
        q = Qmgr(w).index()
        left = q.notes[a].recipients
        assert all(want[i] == left[i] for i in left) and len(left) == 1247
        assert q.notes[b].recipients == \
            {i: r for i, r in want_b.items() if i != 0}


def test_settle_makes_files_of_all_that_waits():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        ids = sorted(fill(w, l, 150))  # several segments, one of them open
        q.until(lambda: len(q.notes) == 150)
        q.mark([(ids[0], 0)])
        bound, left = q.settle()
        assert bound >= ids[-1]
        late = fill(w, l, 1)  # not asked for
        end = time.monotonic() + 20
        while left > 0:
            assert time.monotonic() < end
            time.sleep(0.02)
            bound, left = q.settle(bound)
        assert set(ids) <= {
            int(n.split("/")[-1], 16) for n in files(w, "mess")}
        q.mark([(ids[2], 1)])
        bound, left = q.settle()
        while left > 0:
            bound, left = q.settle(bound)
        w.kill()
        shutil.rmtree(w.spool / "journal")
        w.start()
        q = Qmgr(w).index()
        assert sorted(q.notes) == sorted({*ids, *late})
        assert sorted(q.notes[ids[0]].recipients) == [1]
        assert sorted(q.notes[ids[2]].recipients) == [0]


def test_mail_is_taken_before_the_files_are_read():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        ids = []
        for _ in range(20):
            ids += fill(w, l, 40)
            bound, left = q.settle()
            end = time.monotonic() + 20
            while left > 0 and time.monotonic() < end:
                time.sleep(0.02)
                bound, left = q.settle(bound)
        for _ in range(20):  # an idle queued may have read them by now
            w.kill()
            shutil.rmtree(w.spool / "journal")
            w.start()
            log = w.log()
            assert "files=800 unread=800" in log
            if "event=files-read" not in log.rsplit("unread=800", 1)[1]:
                break
        else:
            raise AssertionError("never served before the files were read")
        # what is said of one of them finds it read
        ids.sort()
        bounce = bounce_stream(w)
        bounce.send(finishes(ids[-1], 0) +
                    message("", ["a@far.example"], b"sorry"))
        s = Listen(w).session()
        fresh = [s.post("a@far.example", [RCPT], b"x") for _ in range(5)]
        assert all(v == "K" for v, _ in fresh)
        verdict, sorry = bounce.answer()
        assert verdict == "K"
        q = Qmgr(w).index()  # up to E: all are told, each once
        assert sorted(q.notes) == sorted(
            [*ids, int(sorry, 16), *(int(i, 16) for _, i in fresh)])
        assert sorted(q.notes[ids[-1]].recipients) == [1]
        assert sorted(q.notes[ids[-2]].recipients) == [0, 1]


WHOLE = 0xffffffff  # idx of a mark that holds or releases


def held(world):
    """The ids that a fresh qmgr is told as held."""
    q = Qmgr(world).index()
    return {i for i, n in q.notes.items() if n.flags & 4}, q


def go_round(q, w, l):
    for _ in range(12):
        more = fill(w, l, 40)
        q.until(lambda: set(more) <= set(q.notes))
        q.mark([(i, j) for i in more for j in (0, 1)])


def test_a_hold_survives_in_records_and_in_files():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        ids = sorted(fill(w, l, 4))
        large = l.session().post(
            "a@b.example", [RCPT], b"x: y\n\n" + b"line\n" * 30000)[1]
        ids.append(int(large, 16))
        q.until(lambda: len(q.notes) == 5)
        assert not any(n.flags & 4 for n in q.notes.values())
        a, b, c, d, e = ids
        q.mark([(i, WHOLE) for i in (a, b, c, e)], "H")
        q.marked.clear()
        q.mark([(b, WHOLE)], "R")
        w.kill()
        w.start()
        now, q = held(w)
        assert now == {a, c, e}
        assert len(q.notes[a].recipients) == 2  # a hold finishes nobody
        go_round(q, w, Listen(w))  # all are files now
        assert len(files(w, "mess")) == 5
        q.mark([(c, WHOLE)], "R")
        q.mark([(d, WHOLE)], "H")
        w.kill()
        w.start()
        now, q = held(w)
        assert now == {a, d, e}
        go_round(q, w, Listen(w))  # into the files, before the ring forgets
        w.kill()
        shutil.rmtree(w.spool / "journal")
        w.start()
        assert held(w)[0] == {a, d, e}


def test_holding_what_there_is_not():
    with World() as w:
        q, l = Qmgr(w).index(), Listen(w)
        [(qid, _)] = fill(w, l, 1).items()
        q.until(lambda: q.notes)
        q.mark([(7, WHOLE)], "H")
        q.send_marks([(qid, 0)], "H")  # of a recipient: nonsense
        q.drain()
        assert (qid, 0) not in q.marked and "event=bad-packet" in w.log()
        q.mark([(qid, 0), (qid, 1)])
        q.mark([(qid, WHOLE)], "H")


def test_a_spool_can_be_copied_elsewhere():
    with World() as w:
        l = Listen(w)
        ids = fill(w, l, 120)
        big = l.session().post("", [RCPT], b"z" * 100000)
        w.stop()
        copy = w.folder + "/copy"
        subprocess.run(["cp", "-a", str(w.spool), copy], check=True)
        with World(spool=copy) as other:
            q = Qmgr(other).index()
            assert set(q.notes) == {*ids, int(big[1], 16)}
            for i in list(ids)[::17]:
                assert q.open(i)[1] == ids[i]
        w.start()


def test_one_queued_per_spool_and_no_newer_spool():
    with World() as w:
        other = World(spool=w.spool)
        other.start(wait=False)
        time.sleep(0.3)
        assert other.process.poll() is None
        other.process.wait(20)
        assert other.process.returncode == 111
        other.forget()
        w.stop()
        (w.spool / "version").write_text("2\n")
        w.start(wait=False)
        assert w.process.wait(10) == 100
        (w.spool / "version").write_text("1\n")
        (w.spool / "key").rename(w.spool / "key.away")
        w.start(wait=False)
        assert w.process.wait(10) == 100
        assert "lost its key" in w.log()
        (w.spool / "key.away").rename(w.spool / "key")
        w.start()


# ---- damage ----

def damage(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def find(path, what):
    return path.read_bytes().find(what)


def live_segment(w, what):
    return next(p for p in sorted((w.spool / "journal").glob("0*"))
                if find(p, what) >= 0)


@pytest.mark.parametrize("bit", [0, 20, 70, 130, 5000])
def test_a_flipped_bit_costs_one_message(bit):
    with World() as w:
        s = Listen(w).session()
        ids = {}
        for i in range(9):
            body = b"body%d " % i * 1000
            ids[int(s.post("a@b.example", [RCPT], body)[1], 16)] = body
        w.kill()
        seg = live_segment(w, b"body4 ")
        at = find(seg, b"body4 ") // 4096 * 4096
        old = seg.read_bytes()[at + bit]
        damage(seg, at + bit, bytes([old ^ 1]))
        w.start()
        q = Qmgr(w).index()
        lost = sorted(ids)[4]
        assert sorted(q.notes) == sorted(set(ids) - {lost})
        assert "records-lost" in w.log()
        assert files(w, "quarantine") or bit == 0
        for i in q.notes:
            assert q.notes[i].body() == ids[i]


def test_a_torn_tail_is_no_message():
    with World() as w:
        s = Listen(w).session()
        for i in range(3):
            s.post("a@b.example", [RCPT], b"body%d " % i * 1000)
        w.kill()
        seg = live_segment(w, b"body2 ")
        at = find(seg, b"body2 ") // 4096 * 4096
        damage(seg, at + 4096, b"\0" * 4096)
        w.start()
        q = Qmgr(w).index()
        assert len(q.notes) == 2 and "torn-record" in w.log()
        s = Listen(w).session()
        assert s.post("", [RCPT], b"goes on")[0] == "K"


def test_a_body_that_looks_like_a_record_is_none():
    with World() as w:
        s = Listen(w).session()
        qid = int(s.post("a@b.example", [RCPT], b"first" * 1000)[1], 16)
        w.kill()
        seg = live_segment(w, b"first")
        at = find(seg, b"first") // 4096 * 4096
        forged = seg.read_bytes()[at:at + 8192]
        w.start()
        s = Listen(w).session()
        # its block boundaries lie on those of the segment, wherever it is
        body = b"".join(b"\0" * i + forged for i in range(0, 4096, 1024))
        other = int(s.post("a@b.example", [RCPT], body[:65000])[1], 16)
        w.kill()
        # and its own head is destroyed, so that recovery looks behind it
        seg = live_segment(w, b"PrR1\0\0\0A")
        for p in sorted((w.spool / "journal").glob("0*")):
            i = find(p, other.to_bytes(8, "big"))
            if i >= 0:
                damage(p, i, b"\xff" * 8)
        w.start()
        q = Qmgr(w).index()
        assert list(q.notes) == [qid]


def test_damaged_files_and_segments_are_put_aside():
    with World() as w:
        s = Listen(w).session()
        s.post("", [RCPT], b"in the segment whose header is damaged")
        bad = int(s.post("", [RCPT], b"a" * 70000)[1], 16)
        worse = int(s.post("", [RCPT], b"b" * 70000)[1], 16)
        good = int(s.post("", [RCPT], b"c" * 70000)[1], 16)
        w.stop()
        names = {int(n.split("/")[-1], 16): w.spool / n
                 for n in files(w, "mess")}
        damage(names[bad], 20, b"\xff")
        damage(names[worse], 5000, b"\xff")
        (w.spool / "mess/00").mkdir(exist_ok=True)
        (w.spool / "mess/00/strange").write_text("?")
        (w.spool / "mess/tmp/left").write_text("?")
        damage(sorted((w.spool / "journal").glob("0*"))[0], 40, b"\xff")
        w.start()
        q = Qmgr(w).index()
        assert set(q.notes) == {worse, good}
        verdict, _, why = q.open(worse)
        assert verdict == "D" and "damaged" in why
        assert q.open(good)[0] == "K"
        aside = files(w, "quarantine")
        assert f"quarantine/{bad:016x}" in aside
        assert any("journal-0000" in n for n in aside)
        assert files(w, "mess/tmp") == []
        assert Listen(w).session().post("", [RCPT], b"x")[0] == "K"


# ---- no room ----

def test_the_ring_full_answers_late_and_then_goes_on():
    """Nothing is delivered, and settle keeps up: nobody is refused."""
    with World({"journalsegments": "4"}) as w:
        l = Listen(w)
        ids = fill(w, l, 300)
        q = Qmgr(w).index()
        assert set(q.notes) == set(ids)
        b = bounce_stream(w)
        b.send(message("", ["x@far.example"], b"sorry"))
        assert b.answer()[0] == "K"


@needs_root
def test_a_full_disk_refuses_and_recovers():
    mount = "/tmp/postern-full-%d" % os.getpid()
    os.makedirs(mount, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", mount],
                   check=True)
    try:
        os.mkdir(mount + "/spool", 0o700)
        with World({"spoolfloormb": "2", "spoolfloorinodes": "0",
                    "journalsegments": "4"}, spool=mount + "/spool") as w:
            q, l = Qmgr(w).index(), Listen(w)
            s = l.session()
            assert s.post("", [RCPT], b"x")[0] == "K"
            # local users leave the last room to others
            with open(mount + "/filler", "wb") as f:
                f.write(b"x" * (1200 << 10))
            time.sleep(1.2)
            assert s.post("", [RCPT], b"x")[0] == "K"
            door = [dial(w, uid) for uid in (65534, 0)]
            assert door[0].post("", [RCPT], b"x")[1][:5] == "4.3.1"
            assert door[1].post("", [RCPT], b"x")[0] == "K"
            with open(mount + "/filler", "wb") as f:
                f.write(b"x" * (2500 << 10))
            time.sleep(1.2)
            verdict, why = s.post("", [RCPT], b"x")
            assert (verdict, why[:5]) == ("Z", "4.3.1")
            assert "event=few-bytes have=" in w.log()
            q.until(lambda: q.notes)
            q.mark([(i, 0) for i in q.notes])  # marks go on
            os.unlink(mount + "/filler")
            time.sleep(1.2)
            assert s.post("", [RCPT], b"x")[0] == "K"
            # without a floor the disk itself says no, to large ones
            (w.controls / "spoolfloormb").write_text("0\n")
            w.channel.send(b"H")
            wait_for(lambda: "event=reload" in w.log())
            verdict, why = s.post("", [RCPT], b"x" * (9 << 20))
            assert (verdict, why[:5]) == ("Z", "4.3.0")
            assert s.post("", [RCPT], b"x")[0] == "K"
            assert files(w, "mess/tmp") == []
    finally:
        subprocess.run(["umount", mount], check=True)
        os.rmdir(mount)


def test_memory_has_a_limit_and_others_go_on():
    with World({"queuememorymb": "8"}) as w:
        q, l = Qmgr(w).index(), Listen(w)
        many = [l.session() for _ in range(200)]
        for s in many:
            s.send(frame("F", "") + frame("T", RCPT) +
                   frame("B", b"x" * 15000) * 4)
        time.sleep(0.3)
        rss = int(next(x for x in open(f"/proc/{w.process.pid}/status")
                       if x.startswith("VmRSS")).split()[1])
        assert SANITIZED or rss < 30000
        for s in many:
            s.send(frame("C"))
        got = [s.answer() for s in many]
        assert {g[0] for g in got} <= {"K", "Z"}
        assert all(g[1].startswith("4.3.2") for g in got if g[0] == "Z")
        assert sum(g[0] == "K" for g in got) > 50
        assert l.session().post("", [RCPT], b"y")[0] == "K"


# ---- failing disks (strace) ----

def strace(*inject, pid_only=True):
    trace = sorted({i.split(":")[0] for i in inject})
    return ["strace", "-o", "/dev/null", "--seccomp-bpf", "-f",
            "-e", "trace=" + ",".join(trace),
            *[x for i in inject for x in ("-e", "inject=" + i)]]


@no_sanitizer
def test_a_failed_write_is_refused_and_voided():
    with World(wrap=strace("pwritev2:error=EIO:when=3")) as w:
        s = Listen(w).session()
        got = [s.post("a@b.example", [RCPT], b"body%d" % i) for i in range(6)]
        assert [g[0] for g in got] == ["K", "K", "Z", "K", "K", "K"]
        assert got[2][1].startswith("4.3.0")
        assert "event=sync-failed" in w.log()
        w.kill()
        w.wrap = []
        w.start()
        q = Qmgr(w).index()
        assert [q.notes[i].body() for i in sorted(q.notes)] == \
            [b"body%d" % i for i in (0, 1, 3, 4, 5)]


@no_sanitizer
def test_a_session_that_cannot_be_read_is_told_of():
    with World(wrap=strace("recvfrom:error=ENOMEM:when=2")) as w:
        l = Listen(w)
        s = l.session()
        assert s.post("", [RCPT], b"x")[0] == "K"
        assert l.session(sid="unread").post("", [RCPT], b"y") is None
        assert s.post("", [RCPT], b"z")[0] == "K"
        assert re.findall("event=stream .*", w.log()) == \
            ['event=stream sid=unread error="Cannot allocate memory"']


@no_sanitizer
def test_two_failures_in_a_row_end_the_taking_of_mail():
    with World(wrap=strace("pwritev2:error=EIO:when=2..3")) as w:
        q, s = Qmgr(w).index(), Listen(w).session()
        got = [s.post("a@b.example", [RCPT], b"body%d" % i) for i in range(5)]
        assert [g[0] for g in got] == ["K", "Z", "Z", "Z", "Z"]
        assert "event=no-more-mail" in w.log()
        w.kill()
        w.wrap = []
        w.start()
        q, s = Qmgr(w).index(), Listen(w).session()
        assert [n.body() for n in q.notes.values()] == [b"body0"]
        assert s.post("a@b.example", [RCPT], b"new")[0] == "K"


@no_sanitizer
def test_a_file_system_without_dsync_and_a_failing_fdatasync():
    # the first fdatasync is that of the segment's header
    with World(wrap=strace("pwritev2:error=EOPNOTSUPP",
                           "fdatasync:error=EIO:when=3")) as w:
        s = Listen(w).session()
        got = [s.post("a@b.example", [RCPT], b"body%d" % i) for i in range(5)]
        assert [g[0] for g in got] == ["K", "Z", "K", "K", "K"]
        w.kill()
        w.wrap = []
        w.start()
        q = Qmgr(w).index()
        # the write had come to the disk: its void takes it back
        assert [q.notes[i].body() for i in sorted(q.notes)] == \
            [b"body%d" % i for i in (0, 2, 3, 4)]


@no_sanitizer
def test_large_messages_on_a_failing_disk():
    with World(wrap=strace("fsync:error=EIO:when=8+")) as w:
        s = Listen(w).session()
        got = [s.post("a@b.example", [RCPT], b"x" * 100000)
               for i in range(6)]
        assert {g[0] for g in got} <= {"K", "Z"} and got[-1][0] == "Z"
        kept = {int(g[1], 16) for g in got if g[0] == "K"}
        w.kill()
        w.wrap = []
        w.start()
        assert set(Qmgr(w).index().notes) == kept


@no_sanitizer
def test_settle_fails_for_a_while():
    """Its files cannot be written at first: nobody who had a K loses."""
    with World({"journalsegments": "6"},
               wrap=strace("pwritev:error=ENOSPC:when=1..400")) as w:
        l = Listen(w)
        ids = fill(w, l, 250)
        assert "event=settle-failed" in w.log()
        w.kill()
        w.wrap = []
        w.start()
        q = Qmgr(w).index()
        assert set(q.notes) == set(ids)
        for i in list(ids)[::13]:
            assert q.open(i)[1] == ids[i]


@no_sanitizer
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: strace can read no "
                    "file names of a process that is not dumpable")
def test_a_file_has_its_data_on_the_disk_before_its_name():
    """Or a power cut leaves half a file under a name."""
    with World({"journalsegments": "6"}) as w:
        trace = os.path.join(w.folder, "trace")
        w.kill()
        w.wrap = ["strace", "-f", "-qq", "-y", "-o", trace, "-e",
                  "trace=sync_file_range,renameat"]
        w.start()
        fill(w, Listen(w), 250)
        w.kill()
        text = pathlib.Path(trace).read_text()
        waited = set(re.findall(r"sync_file_range\(\d+<[^>]*/(mess/tmp/\w+)>,"
                                r" 0, 0, [^)]*WAIT_AFTER\) = 0", text))
        named = re.findall(r'renameat\([^"]*"(mess/tmp/\w+)", [^"]*"mess/..'
                           r'/\w+"\) = 0', text)
        assert len(named) > 20 and not set(named) - waited


def test_senders_do_not_wait_for_a_long_index():
    with World({"journalsegments": "32"}) as w:
        l = Listen(w)
        s = l.session()
        for i in range(0, 20000, 500):
            s.send(b"".join(message("", [RCPT], b"x") for _ in range(500)))
            for _ in range(500):
                assert s.answer()[0] == "K"
        q = Qmgr(w)
        reader = threading.Thread(target=q.index, daemon=True)
        reader.start()
        slowest = 0
        while reader.is_alive():
            began = time.monotonic()
            assert s.post("", [RCPT], b"x")[0] == "K"
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1
        assert len(q.notes) >= 20000


# ---- kill -9 ----

class Sender(threading.Thread):
    def __init__(self, stream, seed, known):
        super().__init__(daemon=True)
        self.stream, self.rng, self.known = stream, random.Random(seed), known
        self.accepted = {}

    def run(self):
        try:
            while True:
                large = self.rng.random() < 0.1
                n = self.rng.randrange(65000, 150000) if large \
                    else self.rng.randrange(8000)
                body = self.rng.randbytes(n)
                self.known.add(digest(body))
                got = self.stream.post("a@b.example", [RCPT], body)
                if got is None:
                    return
                assert got[0] == "K", got
                self.accepted[int(got[1], 16)] = digest(body)
        except (BrokenPipeError, ConnectionResetError):
            pass


def carry_on(q, rng, confirmed, sent):
    """A qmgr that delivers, forwards and keeps, until queued dies."""
    done = set()
    try:
        while q.take(30) is not None:
            for qid in set(q.notes) - done:
                done.add(qid)
                if rng.random() < 0.8:
                    sent.add(qid)
                    q.send_marks((qid, i) for i in q.notes[qid].recipients)
                elif rng.random() < 0.5:
                    q.send(b"W" + u64(qid) + u32(0) + u32(1) +
                           text("forward@far.example"))
    except (OSError, AssertionError):
        pass
    confirmed |= {m[0] for m in q.marked if m[1] == 0}


@pytest.mark.parametrize("who", ["queued", "settle"])
def test_kill_9_under_load_loses_nothing(who):
    rng = random.Random(int(os.environ.get("POSTERN_SEED", time.time_ns())))
    known, accepted, replaced = set(), {}, {}
    confirmed, sent = set(), set()
    with World({"journalsegments": "6"}) as w:
        for round_no in range(ROUNDS):
            q, l = Qmgr(w).index(), Listen(w)
            check_index(q, accepted, confirmed, sent, replaced, known)
            senders = [Sender(l.session(), rng.random(), known)
                       for _ in range(12)]
            for s in senders:
                s.start()
            marker = threading.Thread(
                target=carry_on, args=(q, rng, confirmed, sent), daemon=True)
            marker.start()
            time.sleep(rng.uniform(0.05, 0.8))
            if who == "settle":
                pid = w.process.pid
                kids = open(f"/proc/{pid}/task/{pid}/children").read()
                os.kill(int(kids.split()[0]), 9)
                w.process.wait(20)
                for sock in w.links:
                    sock.shutdown(socket.SHUT_RDWR)
                marker.join()
                w.forget()
            else:
                os.kill(w.process.pid, 9)
                w.process.wait(20)
                marker.join()
                w.forget()
            for s in senders:
                s.join(30)
                accepted.update(s.accepted)
            replaced.update({k[0]: True for k, v in q.replaced.items()
                             if v[0] == "K"})
            w.start()
        q = Qmgr(w).index()
        check_index(q, accepted, confirmed, sent, replaced, known)
        assert len(accepted) > 100


def check_index(q, accepted, confirmed, sent, replaced, known):
    """Every K is there unless marked; nothing marked is back; no body that
    nobody sent."""
    missing = set(accepted) - set(q.notes)
    for qid in missing:
        # marked, but the `m` died with queued: no loss, it was delivered
        assert qid in confirmed or qid in sent, hex(qid)
    for qid in confirmed - set(replaced):
        assert qid not in q.notes, hex(qid)
    for qid, n in q.notes.items():
        body = n.body()
        if body is None:
            verdict, body, _ = q.open(qid)
            assert verdict == "K"
        assert digest(body) in known
        if qid in accepted:
            assert digest(body) == accepted[qid]
        if qid in replaced:
            assert 0 not in n.recipients
