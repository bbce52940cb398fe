# SPDX-License-Identifier: ISC
"""postern-bounce: the report it writes, and what it does when others die."""
import email
import email.policy
import os
import socket
import time

import pytest

from roles import Role, body_fd, packet, text, u32, u64

HEADER = (b"Received: from crepes.fr by mx.example; today\n"
          b"From: Alice <alice@crepes.fr>\nSubject: Tour de France\n")
BODY = HEADER + b"\nThe body stays here.\n"
ID = 0x000660D2CE744D3F


def frames(sock, count):
    """The next `count` frames: [(type, payload)]."""
    data, out = b"", []
    sock.settimeout(10)
    while len(out) < count:
        head, colon, rest = data.partition(b":")
        if colon and len(rest) > int(head):
            n = int(head)
            assert rest[n:n + 1] == b","
            out.append((chr(rest[0]), rest[1:n]))
            data = rest[n + 1:]
            continue
        more = sock.recv(65536)
        assert more, "stream ended"
        data += more
    assert data == b""
    return out


def message(sock):
    """(sender, recipients, finishes, body) of one message."""
    data, body = b"", b""
    seen = {"T": []}
    sock.settimeout(10)
    while True:
        head, colon, rest = data.partition(b":")
        if not colon or len(rest) <= int(head):
            more = sock.recv(65536)
            assert more, "stream ended"
            data += more
            continue
        n = int(head)
        assert n <= 16384 and rest[n:n + 1] == b","
        kind, payload, data = chr(rest[0]), rest[1:n], rest[n + 1:]
        if kind == "C":
            break
        if kind == "B":
            body += payload
        elif kind == "T":
            seen["T"].append(payload)
        else:
            seen[kind] = payload
    o = seen["O"]
    idx = [int.from_bytes(o[i:i + 4], "big") for i in range(12, len(o), 4)]
    assert int.from_bytes(o[8:12], "big") == len(idx)
    return (seen["F"], seen["T"], (int.from_bytes(o[:8], "big"), idx), body,
            data)


def frame(kind, payload=b""):
    data = kind.encode() + payload
    return str(len(data)).encode() + b":" + data + b","


class World:
    def __init__(self, control=None):
        self.role = Role("postern-bounce", {
            "me": "mx.example", "bouncehost": "example",
            "postmaster": "root@mx.example", **(control or {})})

    def __enter__(self):
        self.role.start()
        self.qmgr = self.role.link("qmgr")
        self.stream()
        return self

    def __exit__(self, *what):
        self.role.__exit__(*what)

    def stream(self):
        self.queued = self.role.link("queued", socket.SOCK_STREAM)

    def job(self, rcpts, sender="alice@crepes.fr", body=BODY, id_=ID):
        data = (b"J" + u64(id_) + u64(1400000000) + u64(0) + u64(len(body)) +
                text(sender) + u32(len(rcpts)) +
                b"".join(u32(i) + text(a) + text(t)
                         for i, (a, t) in enumerate(rcpts)))
        fd = body_fd(body)
        socket.send_fds(self.qmgr, [data], [fd])
        os.close(fd)

    def report(self):
        p = packet(self.qmgr)
        assert p.type == "R"
        return (p.u64(), chr(p.u8()), p.str(),
                [p.u32() for _ in range(p.u32())])


ONE = [("bob@hamburger.edu", "5.1.1 mx.hamburger.edu[192.0.2.1] said: "
                             "550 5.1.1 No such user here")]


def test_the_report_is_one_that_programs_read():
    with World() as w:
        w.job(ONE + [("bob2@hamburger.edu", "no code at all")])
        sender, rcpts, finishes, body, _ = message(w.queued)
        assert (sender, rcpts) == (b"", [b"alice@crepes.fr"])
        assert finishes == (ID, [0, 1])
        m = email.message_from_bytes(body, policy=email.policy.default)
        assert not m.defects
        assert m.get_content_type() == "multipart/report"
        assert m.get_param("report-type") == "delivery-status"
        assert m["From"] == "Mail system <MAILER-DAEMON@example>"
        assert m["To"] == "alice@crepes.fr"
        assert m["Auto-Submitted"] == "auto-replied"
        assert m["Message-ID"].endswith("@mx.example>") and m["Date"]
        people, status, header = m.get_payload()
        assert "No such user" in people.get_content()
        assert "bob2@hamburger.edu" in people.get_content()
        assert status.get_content_type() == "message/delivery-status"
        fields, first, second = status.get_payload()
        assert fields["Reporting-MTA"] == "dns; mx.example"
        assert fields["Arrival-Date"] == "Tue, 13 May 2014 16:53:20 +0000"
        assert first["Final-Recipient"] == "rfc822; bob@hamburger.edu"
        assert first["Action"] == "failed" and first["Status"] == "5.1.1"
        assert " ".join(first["Diagnostic-Code"].split()) == "smtp; " + ONE[0][1]
        assert second["Status"] == "5.0.0"
        assert header.get_content_type() == "text/rfc822-headers"
        assert header.get_payload().encode() == HEADER
        assert b"body stays" not in body
        w.queued.send(frame("K", b"%016x" % 7))
        assert w.report()[:2] == (ID, "K")


def test_double_bounce_goes_to_the_postmaster():
    with World() as w:
        w.job(ONE, sender="")
        sender, rcpts, _, body, _ = message(w.queued)
        assert (sender, rcpts) == (b"#@[]", [b"root@mx.example"])
        assert b"\nSubject: Double bounce" in body
        assert b"double bounce" in body


@pytest.mark.parametrize("evil", [
    "5.0.0 \r\nBcc: all@example\r\n\r\n--boundary",
    "5.0.0 \x00\x1b[2J\xff\xfe", "5.1.1 " + "x" * 1000, "", "\n\n\n",
    "5.9999.1 bad", "4.4.7", "5.1.1\ttab"])
def test_hostile_texts_stay_in_their_field(evil):
    with World() as w:
        w.job([("bob@hamburger.edu", evil.encode("latin1"))])
        _, _, _, body, _ = message(w.queued)
        m = email.message_from_bytes(body, policy=email.policy.default)
        assert "Bcc" not in m and len(m.get_payload()) == 3
        fields, rcpt = m.get_payload()[1].get_payload()
        assert "Bcc" not in rcpt and rcpt["Status"][0] in "45"
        assert max(map(len, body.split(b"\n"))) <= 998
        head = body.partition(b"text/rfc822-headers")[0]
        assert all(c == 10 or 9 <= c < 127 for c in head)


def test_hostile_headers_are_carried_whole():
    boundary_like = b"X-Evil: \n--postern-%016x-\n" % ID
    cases = [
        b"", b"\n", b"\nbody", b"Subject: caf\xe9 \xff\n\nx",
        b"no end", b"X: " + b"y" * 5000 + b"\n\n", b"X: a\0b\rc\n\n",
        b"A: " + b"b" * 70 + b"\n" + (b"C: " + b"d" * 60 + b"\n") * 3000,
        boundary_like + b"\n"]
    with World() as w:
        for body in cases:
            w.job(ONE, body=body)
            _, _, _, out, _ = message(w.queued)
            w.queued.send(frame("K", b"0" * 16))
            assert w.report()[1] == "K"
            assert b"\0" not in out and b"\r" not in out
            assert max(map(len, out.split(b"\n"))) <= 998
            m = email.message_from_bytes(out)
            assert len(m.get_payload()) == 3, body[:50]
        assert len(out) < 200000


def test_answers_of_queued_reach_qmgr():
    with World() as w:
        for verdict, why in (("Z", "4.3.1 disk full"), ("D", "5.1.3 bad")):
            w.job(ONE)
            message(w.queued)
            w.queued.send(frame(verdict, why.encode()))
            assert w.report() == (ID, verdict, why, [0])


def test_queued_restart_sends_it_again():
    with World() as w:
        w.job(ONE)
        first = message(w.queued)[:3]
        w.queued.close()
        w.job(ONE, id_=ID + 1)
        w.stream()
        assert message(w.queued)[:3] == first
        w.queued.send(frame("K", b"0" * 16))
        assert w.report()[0] == ID


def test_qmgr_restart_forgets_its_jobs():
    with World() as w:
        w.job(ONE)
        message(w.queued)
        w.qmgr.close()
        w.qmgr = w.role.link("qmgr")
        w.job(ONE, id_=ID + 5)
        _, _, finishes, _, _ = message(w.queued)
        assert finishes[0] == ID + 5
        w.queued.send(frame("K", b"0" * 16) + frame("K", b"1" * 16))
        assert w.report()[0] == ID + 5


def test_many_jobs_in_a_row():
    with World() as w:
        for i in range(60):
            w.job(ONE, id_=ID + i)
        rest = b""
        for i in range(60):
            rest = one_of_many(w.queued, rest, ID + i)
            w.queued.send(frame("K", b"0" * 16))
        assert [w.report()[0] for _ in range(60)] == [
            ID + i for i in range(60)]


def one_of_many(sock, data, id_):
    sock.settimeout(10)
    while True:
        head, colon, rest = data.partition(b":")
        if not colon or len(rest) <= int(head):
            data += sock.recv(65536)
            continue
        n = int(head)
        kind, payload, data = chr(rest[0]), rest[1:n], rest[n + 1:]
        if kind == "O":
            assert int.from_bytes(payload[:8], "big") == id_
        if kind == "C":
            return data


@pytest.mark.parametrize("junk", [
    b"J", b"x", b"J" + u64(1) * 4 + text("a@b.c") + u32(0),
    b"J" + u64(1) * 4 + text("a@b.c") + u32(2 ** 31), b"J" + b"\xff" * 60])
def test_junk_from_qmgr(junk):
    with World() as w:
        fd = body_fd(BODY)
        socket.send_fds(w.qmgr, [junk], [fd])
        w.qmgr.send(junk)
        os.close(fd)
        w.job(ONE)
        assert message(w.queued)[2] == (ID, [0])


def test_junk_from_queued_is_a_lost_stream():
    with World() as w:
        w.job(ONE)
        message(w.queued)
        w.queued.send(b"999999999:")
        deadline = time.monotonic() + 5
        while "event=link-lost" not in w.role.log():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        w.stream()
        assert message(w.queued)[2] == (ID, [0])
