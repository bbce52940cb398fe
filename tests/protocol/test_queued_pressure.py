# SPDX-License-Identifier: ISC
"""postern-queued when its memory is held by those who do not go on."""
import os
import pwd
import select
import socket
import time

import pytest

from queued_world import Listen, World, frame

RCPT = "bob@tester.example"


def test_stalled_messages_give_way_to_others():
    with World({"queuememorymb": "8"}) as w:
        listen = Listen(w)
        stalled = [listen.session() for _ in range(97)]
        for s in stalled:  # together over three quarters of the memory
            s.send(frame("F", "") + frame("T", RCPT) +
                   frame("B", b"x" * 15000) * 4)
        begun = time.monotonic()
        s = listen.session()
        s.send(frame("F", "") + frame("T", RCPT) + frame("B", b"y") +
               frame("C"))
        assert s.answer()[0] == "K"
        assert time.monotonic() - begun < 9
        assert "event=stalled" in w.log()
        # an interrupted one learns it at its end, and may try again
        stalled[0].send(frame("C"))
        assert stalled[0].answer() == ("Z", "4.3.2 Out of memory, "
                                            "try again later")
        assert stalled[0].post("", [RCPT], b"z")[0] == "K"
        assert w.log().count("event=stalled") == 1
        # no more were interrupted than was needed
        stalled[-1].send(frame("C"))
        assert stalled[-1].answer()[0] == "K"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_one_user_fills_neither_the_places_nor_the_log():
    with World() as w:
        mine = []
        os.seteuid(65534)
        try:
            for _ in range(600):
                s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                s.connect(w.door_path)
                mine.append(s)
        finally:
            os.seteuid(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(w.door_path)
            s.settimeout(10)
            s.sendall(frame("F", "") + frame("T", RCPT) + frame("B", b"y") +
                      frame("C"))
            assert b":K" in s.recv(100)
        assert 1 <= w.log().count("event=too-many-local") <= 3
        for s in mine:
            s.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")
def test_many_users_leave_places_for_one_more_and_for_the_suite():
    def connect(w, uid):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.seteuid(uid)
        try:
            s.connect(w.door_path)
        finally:
            os.seteuid(0)
        return s

    with World() as w:
        theirs = [connect(w, 65500 + i) for i in range(8) for _ in range(256)]
        for uid in (0, pwd.getpwnam("posternf").pw_uid, 65533):
            with connect(w, uid) as s:
                s.settimeout(10)
                s.sendall(frame("F", "") + frame("T", RCPT) +
                          frame("B", b"y") + frame("C"))
                assert b":K" in s.recv(100), uid
        first = [s for s in theirs[:256] if select.select([s], [], [], 0)[0]]
        assert not first  # alone he may have as many
        for s in theirs:
            s.close()
