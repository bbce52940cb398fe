# SPDX-License-Identifier: ISC
"""What pickup and queued agree on about the files of the drop box: each enters
the queue once (INTERNALS.md "The drop box")."""
import fcntl
import os
import signal
import socket
import sys
import termios

import pytest

from queued_world import Qmgr, Stream, World, frame, message
from roles import u32, u64
from suite import children, wait_for

KEY, OTHER = 0x0123456789abcdef, 0xfedcba9876543210
BODY = b"Subject: hello\n\nThere.\n"


def pickup(world):
    return Stream(world.link("pickup", socket.SOCK_STREAM))


def have(*keys):
    return frame("H", b"".join(u64(k) for k in keys))


def file(key, body=BODY):
    return frame("U", u64(key) + u32(0)) + \
        message("root@tester.example", ["bob@tester.example"], body)


def is_read(sock):
    """Has the peer read all that was sent?"""
    left = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(left, sys.byteorder) == 0


def ask(stream, *frames):
    stream.send(b"".join(frames))
    return stream.answer()


def begun(world, *keys):
    p = pickup(world)
    assert ask(p, have(*keys))[0] == "K"
    return p


def test_a_key_is_taken_once_also_over_a_crash():
    with World() as w:
        p = begun(w)
        first = ask(p, file(KEY))
        assert first[0] == "K"
        assert ask(p, file(KEY)) == first
        other = ask(p, file(OTHER))
        assert other[0] == "K" and other != first
        w.kill()
        w.start()
        # not before the files are said that there are: one may be gone
        assert ask(pickup(w), file(KEY)) is None
        assert ask(begun(w, KEY, OTHER), file(KEY)) == first
        q = Qmgr(w).index()
        assert sorted(q.notes) == sorted(int(n, 16) for _, n in (first, other))
        # recipient 0, the file, is none of qmgr's
        assert all(n.recipients == {1: "bob@tester.example"}
                   for n in q.notes.values())


@pytest.mark.parametrize("say", ["gone", "not there"])
def test_a_file_that_is_gone_is_forgotten(say):
    with World() as w:
        p = begun(w)
        q = Qmgr(w).index()
        first = ask(p, file(KEY))
        qid = int(first[1], 16)
        q.until(lambda: qid in q.notes)
        q.mark([(qid, 1)])
        assert ask(p, file(KEY)) == first  # delivered, and still known
        if say == "gone":
            p.send(frame("G", u64(KEY)))
        else:
            p = begun(w)
        again = ask(p, file(KEY))
        assert again[0] == "K" and again != first
        w.kill()
        w.start()
        q = Qmgr(w).index()
        assert list(q.notes) == [int(again[1], 16)]


def test_nothing_is_forgotten_while_an_older_link_has_mail_under_way():
    """Else its key would be unknown when it is asked for, and its file sent
    again."""
    with World() as w:
        old = begun(w)
        helpers = children(w.queued_pid())
        assert helpers
        for pid in helpers:  # who make a large message durable
            os.kill(pid, signal.SIGSTOP)
        try:
            old.send(file(KEY, BODY * 4000))
            wait_for(lambda: is_read(old.sock), 20, "all to be read")
            new = pickup(w)
            assert ask(new, have(KEY)) == ("Z", "4.3.2 Ask again")
        finally:
            for pid in helpers:
                os.kill(pid, signal.SIGCONT)
        q = Qmgr(w).index()
        q.until(lambda: q.notes)
        assert ask(new, have(KEY))[0] == "K"
        assert ask(new, file(KEY))[1] == f"{list(q.notes)[0]:016x}"


@pytest.mark.parametrize("nonsense", [
    frame("T", "bob@tester.example"), frame("U", b""), frame("U", u64(KEY)),
    frame("U", u64(KEY) + u32(0)) * 2, frame("H", b"1234567"),
    frame("U", u64(KEY) + u32(0)) + have(), frame("G", b"1")])
def test_nonsense_costs_the_link_alone(nonsense):
    with World() as w:
        p = begun(w)
        assert ask(p, nonsense) is None
        assert ask(begun(w), file(KEY))[0] == "K"


@pytest.mark.parametrize("what", [have(), file(KEY), frame("G", u64(KEY))])
def test_only_pickup_may_speak_of_files(what):
    with World() as w:
        s = socket.socket(socket.AF_UNIX)
        s.connect(w.door_path)
        assert ask(Stream(s), what) is None
