# SPDX-License-Identifier: ISC
"""postern-filter alone: frames of an smtpd that may be hostile, and what its
program finds."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from queued_world import Stream, frame, message
from roles import Role, text, u8
from suite import children, wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")
ID = "000660d7b9dd7157"
# the envelope, the message, and the facts go to files; the answer is an id
PROGRAM = """#!/bin/sh
set -e
cd {folder}/out
cat >message.$$
cat <&1 >envelope
echo "$POSTERN_QUEUE_FACTS" >facts
! grep -q wait-please message.$$ || sleep 1.242
mv message.$$ message
echo K{id} >&4
"""


class Filter:
    def __init__(self, **control):
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        os.chmod(self.folder, 0o755)
        out = pathlib.Path(self.folder, "out")
        out.mkdir()
        out.chmod(0o777)
        self.out = out
        path = pathlib.Path(self.folder, "program")
        path.write_text(PROGRAM.format(folder=self.folder, id=ID))
        path.chmod(0o755)
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(self.folder + "/filter")
        os.chmod(self.folder + "/filter", 0o666)
        self.door.listen(16)
        self.door.setblocking(False)
        self.role = Role("postern-filter", {"filter": str(path), **control},
                         doors=[self.door])

    def __enter__(self):
        self.role.start()
        self.listen = self.role.link("listen-smtp")
        return self

    def __exit__(self, *args):
        self.role.__exit__(*args)
        self.door.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def session(self, sid="stest", relay=0):
        near, far = socket.socketpair()
        socket.send_fds(self.listen, [b"S" + text(sid) + text("192.0.2.7") +
                                      u8(relay)], [far.fileno()])
        far.close()
        return Stream(near)

    def dial(self, uid=None):
        if uid is None:
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.folder + "/filter")
            return Stream(s)
        near, far = socket.socketpair()
        code = ("import os, socket, sys\n"
                "s = socket.socket(socket.AF_UNIX)\n"
                f"s.connect('{self.folder}/filter')\n"
                "t = socket.socket(fileno=0)\n"
                "socket.send_fds(t, [b'x'], [s.fileno()])\n")
        subprocess.run(["/usr/bin/python3", "-c", code], stdin=far, user=uid,
                       check=True, timeout=20)
        _, fds, _, _ = socket.recv_fds(near, 1, 1)
        return Stream(socket.socket(fileno=fds[0]))

    def got(self, name):
        return (self.out / name).read_bytes()


@pytest.fixture(scope="module")
def world():
    with Filter(filtermemorymb="8", databytes="5000000") as f:
        yield f


def test_what_the_program_finds(world):
    body = bytes(range(1, 256)) * 3000
    assert world.session("s1").post(
        "alice@crepes.fr", ["bob@tester.example", "\"c d\"@tester.example"],
        body) == ("K", ID)
    assert world.got("message") == body
    assert world.got("envelope") == (
        b"Falice@crepes.fr\0Tbob@tester.example\0"
        b"T\"c d\"@tester.example\0\0")
    assert world.got("facts") == b"s1 192.0.2.7 0\n"
    # the null path; no body at all; frames in another order
    s = world.session("s2", relay=1)
    s.send(frame("T", "x@far.example") + frame("F", "") + frame("C"))
    assert s.answer() == ("K", ID)
    assert world.got("message") == b""
    assert world.got("envelope") == b"F\0Tx@far.example\0\0"
    assert world.got("facts") == b"s2 192.0.2.7 1\n"


def test_several_messages_at_once_and_forgotten_ones(world):
    s = world.session()
    one = message("a@b.c", ["bob@tester.example"], b"one\n")
    s.send(one + frame("F", "x@y.z") + frame("B", b"begun\n") + frame("X") +
           message("a@b.c", ["bob@tester.example"], b"two\n" * 20000) + one)
    assert [s.answer() for _ in range(3)] == [("K", ID)] * 3
    assert world.got("message") == b"one\n"


def test_1000_recipients(world):
    s = world.session()
    many = [f"{'x' * 60}{i}@tester.example" for i in range(1000)]
    assert s.post("a@b.c", many, b"x\n") == ("K", ID)
    assert world.got("envelope").count(b"\0T") == 1000
    assert s.post("a@b.c", many + many[:1], b"x\n")[1][:5] == "4.5.3"


@pytest.mark.parametrize("frames,answer", [
    (frame("T", "x@far.example"), "5.7.1"),
    (frame("T", "x@far.example") + frame("T", "bob@tester.example"), "5.7.1"),
    (frame("F", "a@b.c"), "5.5.1"),
    (frame("F", "a@b.c") + frame("F", "a@b.c"), "5.1.7"),
    (frame("F", b"a\0Tx@far.example"), "5.1.7"),
    (frame("F", b"a\n@b.c"), "5.1.7"),
    (frame("F", "a@b.c") + frame("T", b"bob\0Tx@tester.example"), "5.1.3"),
    (frame("F", "a@b.c") + frame("T", "bob"), "5.7.1"),
    (frame("F", "a@b.c") + frame("T", "x" * 300 + "@tester.example"), "5.1.3"),
    (frame("F", "a@b.c") + frame("T", "bob@tester.example") +
     frame("B", b"x" * 16000) * 320, "5.3.4"),
])
def test_refused_without_the_program(world, frames, answer):
    for name in ("message", "envelope"):
        (world.out / name).unlink(missing_ok=True)
    s = world.session()
    s.send(frames + frame("C"))
    assert s.answer()[1][:5] == answer
    assert not (world.out / "message").exists()
    # the session goes on
    assert s.post("a@b.c", ["bob@tester.example"], b"x\n") == ("K", ID)


@pytest.mark.parametrize("junk", [
    b"junk", b"0:,", b"1:Q,", b"99999:B", b"3:Cxx,", b"01:C,",
    frame("P", text("s") + text("") + u8(1)), frame("O", b"x" * 16),
    frame("F", "a@b.c") + b"-1:", b"16385:B" + b"x" * 16384 + b","])
def test_bad_frames_cost_their_session(world, junk):
    other = world.session()
    other.send(frame("F", "a@b.c"))
    s = world.session()
    s.send(junk)
    assert s.answer() is None
    other.send(frame("T", "bob@tester.example") + frame("C"))
    assert other.answer() == ("K", ID)


def test_memory_is_bounded_and_comes_back(world):
    half = frame("F", "a@b.c") + frame("T", "bob@tester.example") + \
        frame("B", b"x" * 16000) * 250  # 4 MB
    begun = [world.session() for _ in range(3)]
    for s in begun:
        s.send(half)
    for s in begun:
        s.send(frame("C"))
    answers = sorted(s.answer() for s in begun)
    # 8 MiB: two of three
    assert answers[:2] == [("K", ID)] * 2
    assert answers[2][1].startswith("4.3.1")
    for _ in range(4):
        s = world.session()
        s.send(half + frame("C"))
        assert s.answer() == ("K", ID)
    # who goes away in the middle gives it back, too
    for _ in range(4):
        s = world.session()
        s.send(half)
        s.close()
    s = world.session()
    s.send(half + frame("C"))
    assert s.answer() == ("K", ID)


def test_larger_than_all_its_memory_is_refused_for_good():
    """Its sender would try for days."""
    with Filter(filtermemorymb="8", databytes="0") as f:
        s = f.session()
        s.send(frame("F", "a@b.c") + frame("T", "bob@tester.example") +
               frame("B", b"x" * 16000) * 600 + frame("C"))
        assert s.answer()[0] == "D"
        s.send(message("a@b.c", ["bob@tester.example"], b"small\n"))
        assert s.answer() == ("K", ID)


def test_who_dawdles_gives_way(world):
    half = frame("F", "a@b.c") + frame("T", "bob@tester.example") + \
        frame("B", b"x" * 16000) * 250
    slow = [world.session() for _ in range(2)]
    for s in slow:
        s.send(half)
    time.sleep(5.2)  # the role's patience
    s = world.session()
    s.send(half + frame("C"))
    assert s.answer() == ("K", ID)
    slow[0].send(frame("C"))
    assert slow[0].answer()[1].startswith("4.3.1")
    slow[1].send(frame("C"))
    assert slow[1].answer() == ("K", ID)


def test_the_peer_goes_while_its_program_runs(world):
    s = world.session()
    s.send(message("a@b.c", ["bob@tester.example"], b"wait-please\n"))
    keeper, = children(world.role.process.pid)
    wait_for(lambda: children(keeper), 5, "a program")
    s.close()
    wait_for(lambda: not children(keeper), 5, "its end")
    wait_for(lambda: "result=accepted" in world.role.log().splitlines()[-1], 5,
             "its line")
    assert world.session().post("a@b.c", ["bob@tester.example"],
                                b"x\n") == ("K", ID)


@needs_root
def test_facts_only_from_smtpd_and_root(world):
    smtpd = pwd.getpwnam("posternd").pw_uid
    facts = frame("P", text("tcpsid") + text("192.0.2.8") + u8(1))
    far = message("", ["x@far.example"], b"x")
    s = world.dial(smtpd)
    s.send(far)
    assert s.answer()[1].startswith("5.7.1")
    s = world.dial(smtpd)
    s.send(facts + far)
    assert s.answer() == ("K", ID)
    assert world.got("facts") == b"tcpsid 192.0.2.8 1\n"
    s.send(facts)
    assert s.answer() is None
    assert world.dial().post("", ["x@far.example"], b"x") == ("K", ID)
    assert world.got("facts").split()[1:] == [b"-", b"1"]
    try:
        assert world.dial(65534).post("", ["b@tester.example"], b"x") is None
    except BrokenPipeError:
        pass


def test_stop_waits_for_what_runs_but_not_for_long():
    with Filter() as f:
        s = f.session()
        s.send(message("a@b.c", ["bob@tester.example"], b"wait-please\n"))
        keeper, = children(f.role.process.pid)
        wait_for(lambda: children(keeper), 5, "a program")
        f.role.channel.send(b"Q")
        assert s.answer() == ("K", ID)
        f.role.process.wait(5)
