# SPDX-License-Identifier: ISC
"""Log lines are as postern-log(5) says: those in the source, and all that a
suite writes."""
import os
import re
import signal
import smtplib
import socket

import pytest

from queued_world import Stream
from roles import TOP
from suite import Suite

PAGE = TOP / "install/postern-log.5"
LINE = re.compile(r'([a-z-]+)=("[^"]*"|[^ "]*)(?: |$)')


def documented():
    """{event: [[(field, optional)]]}"""
    table = {}
    for event, fields in re.findall(r"^\.It Li ([\w-]+) : *(.*)$",
                                    PAGE.read_text(), re.M):
        table.setdefault(event, []).append(
            [(f.strip("[]"), f.startswith("[")) for f in fields.split()])
    return table


def fits(fields, form):
    """All that are needed, none that is not known, in that order."""
    rest = list(fields)
    for name, optional in form:
        if rest and rest[0] == name:
            rest.pop(0)
        elif not optional:
            return False
    return not rest


def calls():
    """(file, events, fields) of every LOG in the source."""
    for path in sorted(TOP.glob("*/*.c")):
        text = path.read_text()
        for m in re.finditer(r"\bLOG\(\w+,\s*(\w+,)?", text):
            depth, at = 1, m.end()
            while depth:
                if text[at] == '"':
                    at += 1
                    while text[at] != '"':
                        at += 2 if text[at] == "\\" else 1
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
            body = text[m.start() + 4:at - 1]
            head = body.split("F_")[0]
            fields = [{"ID": "qid", "ERRNO": "error"}.get(kind, name)
                      for kind, name in re.findall(
                          r'\bF_(STR|TEXT|NUM|ID|ERRNO)\(\s*(?:"(\w+)")?',
                          body)]
            yield (path.relative_to(TOP), re.findall(r'"([\w-]+)"', head),
                   fields)


def test_every_event_in_the_source_is_documented():
    table = documented()
    wrong = [(str(path), event, fields) for path, events, fields in calls()
             for event in events
             if not any(fits(fields, form) for form in table.get(event, []))]
    assert not wrong, f"{PAGE.name} does not have these: {wrong}"


def test_every_documented_event_is_in_the_source():
    source = "".join(p.read_text() for p in TOP.glob("*/*.c"))
    assert not [e for e in documented() if f'"{e}"' not in source]


def read(line):
    """[(key, value)]; fails when the line is not made of fields."""
    fields, at = [], 0
    while at < len(line):
        m = LINE.match(line, at)
        assert m, (line, at)
        fields.append((m[1], m[2].strip('"')))
        at = m.end()
    return fields


def check(log):
    table = documented()
    for line in log.splitlines():
        assert line.isascii() and line.isprintable(), line
        fields = read(line)
        keys = [k for k, _ in fields]
        assert keys[:4] == ["t", "level", "role", "event"], line
        values = dict(fields)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
                            values["t"]), line
        assert values["level"] in ("info", "warn", "error"), line
        rest = keys[4:-1] if keys[-1] == "cut" else keys[4:]
        forms = table.get(values["event"], [])
        assert any(fits(rest, f) for f in forms), line
        assert re.fullmatch("[0-9a-f]{16}", values.get("qid", "0" * 16)), line
        for key in ("port", "delay", "took", "attempt", "size", "nrcpt"):
            assert values.get(key, "0").isdigit(), line


@pytest.fixture(scope="module")
def suite():
    with Suite("--route", "nowhere.example=127.0.0.1:1") as s:
        yield s


def test_a_suite_logs_what_is_documented(suite):
    address, password = suite.env["USER_1"], suite.env["PASSWORD_1"]
    assert password
    c = smtplib.SMTP(*suite.smtp)
    c.ehlo('evil"\\ qid=0 \x01')
    c.docmd("MAIL FROM:<alice@crepes.fr>")
    c.docmd("RCPT TO:<x@far.example> qid=0000000000000001\x1b[31m")
    c.docmd("RCPT TO:<nobody@" + address.split("@")[1] + ">")
    c.docmd("X" * 600)
    c.quit()
    c = smtplib.SMTP(*suite.smtp)
    c.sendmail("alice@crepes.fr", [address], "Subject: x\n\nhello\n")
    c.quit()
    suite.wait_log(r"event=delivered .*sender=alice@crepes.fr")
    suite.wait_log(r"event=done", count=2)
    check(suite.log())


def test_a_life_by_hand(suite):
    """Deferred, held over a restart of all, released, bounced; every line is
    as documented, and the trace leads from the bounce to the beginning."""
    address = suite.env["USER_1"]
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.path.join(suite.folder, "run/postern/queue"))
    stream = Stream(sock)
    verdict, qid = stream.post(address, ["bob@nowhere.example"],
                               b"Subject: x\n\nhello\n")
    assert verdict == "K"
    stream.close()
    suite.wait_log(f"event=deferred qid={qid}")
    assert "1 recipient of 1 message held" in suite.postern(
        "queue", "hold", "--domain", "nowhere.example").stdout
    before = suite.log().count("event=scheduling")
    for role in ("queued", "qmgr"):
        os.kill(suite.roles()[role], signal.SIGKILL)
    suite.wait_log("event=scheduling", count=before + 1)
    assert '"state":"held"' in suite.postern(
        "queue", "list", "--json", qid).stdout
    suite.postern("queue", "bounce", "--text", "no such place", qid)
    suite.wait_log(f"event=bounce qid={qid}")
    bounce = re.search(f"event=bounce qid={qid} .*bounce=(\\w+)",
                       suite.log())[1]
    suite.wait_log(f"event=done qid={bounce}")
    check(suite.log())
    words = suite.postern("trace", bounce).stdout
    for part in (f"{qid}  queued", f"written: message {bounce}",
                 f"{bounce}  qmgr         delivered to {address}"):
        assert part in words, (part, words)


def test_trace_finds_the_suites_log(suite):
    suite.wait_log(r"event=delivered .*sender=alice@crepes.fr")
    out = suite.postern("trace", "alice@crepes.fr").stdout.splitlines()
    assert "connection from 127.0.0.1" in out[0]
    words = "\n".join(out)
    for part in ("refused RCPT TO:<x@far.example>", "accepted into the queue",
                 f"delivered to {suite.env['USER_1']}", "has left the queue"):
        assert part in words, (part, words)
