# SPDX-License-Identifier: ISC
"""`postern trace` on written logs; on a suite's own log in test_log.py."""
import gzip
import json
import subprocess
import time

from roles import BIN

A, B, C, D = (f"{n:016x}" for n in (0xa1, 0xb2, 0xc3, 0xd4))


def line(second, role, event, rest, level="info"):
    return (f"t=2026-11-22T03:12:{second:02}.000123Z level={level} "
            f"role={role} event={event} {rest}\n")


STORY = [
    line(1, "listen-smtp", "accept", "sid=s1 ip=192.0.2.1 port=99 relay=0"),
    line(2, "queued", "queued",
         f"qid={A} sid=s1 sender=ann@a.example size=10 nrcpt=1"),
    line(2, "queued", "queued",
         f"qid={D} sid=s1 sender=dan@a.example size=10 nrcpt=1"),
    line(3, "smtpd", "end", "sid=s1 ip=192.0.2.1 helo=h messages=2 "
         "reason=quit"),
    line(4, "qmgr", "failed",
         f"qid={A} sid=s1 sender=ann@a.example rcpt=bob@b.example "
         'host="mx[192.0.2.2]" delay=1 took=3 attempt=1 '
         'text="5.1.1 gone \\x22really\\x22"'),
    line(5, "queued", "queued", f'qid={B} sid="" sender="" size=10 nrcpt=1'),
    line(5, "bounce", "bounce",
         f"qid={A} sender=ann@a.example bounce={B} to=ann@a.example"),
    line(6, "qmgr", "delivered",
         f'qid={B} sid="" sender="" rcpt=ann@a.example host="" delay=0 '
         'took=1 attempt=1 text="2.0.0 delivered"'),
    line(7, "listen-smtp", "accept", "sid=s2 ip=192.0.2.9 port=98 relay=0"),
    # a stranger writes what looks like our fields
    line(8, "smtpd", "refused", f'sid=s2 ip=192.0.2.9 '
         f'command="RCPT TO:<x@y> qid={A} sid=s1" reply="550 5.7.1 no"'),
    line(9, "queued", "queued",
         f"qid={C} sid=s2 sender=cat@c.example size=10 nrcpt=1"),
    "something that a library wrote \x1b[31m\n",
]


def trace(folder, *args, code=0, stdin=None, log="log"):
    done = subprocess.run(
        [str(BIN / "postern"), "trace",
         *(["--log", str(folder / log)] if log else []), *args],
        input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, timeout=60)
    assert done.returncode == code, done
    return done.stdout


def test_from_connection_to_the_bounce(tmp_path):
    (tmp_path / "log").write_text("".join(STORY))
    for key in (A, B):  # the link leads both ways
        out = trace(tmp_path, key).splitlines()
        assert [x[:23] for x in out] == [
            f"2026-11-22T03:12:{s:02}.000" for s in (1, 2, 3, 4, 5, 5, 6)]
        assert "connection from 192.0.2.1 port 99" in out[0]
        assert f"{A}  queued       accepted into the queue: from " \
            "<ann@a.example>, 10 bytes" in out[1]
        assert "session ends (quit)" in out[2]
        assert "failed for bob@b.example at mx[192.0.2.2]: 5.1.1" in out[3]
        assert f"bounce to ann@a.example written: message {B}" in out[5]
        assert "delivered to ann@a.example, 0 s" in out[6]


def test_of_an_address_or_a_session(tmp_path):
    (tmp_path / "log").write_text("".join(STORY))
    assert trace(tmp_path, "CAT@c.example").count("\n") == 3
    assert trace(tmp_path, "at@c.example", code=1) == ""
    assert A in trace(tmp_path, "bob@b.example")
    assert D not in trace(tmp_path, "bob@b.example")
    assert trace(tmp_path, "x@y").count("\n") == 2  # accept, refused
    assert trace(tmp_path, "s1").count("\n") == 2
    assert trace(tmp_path, "f" * 16, code=1) == ""


def test_json_and_raw(tmp_path):
    (tmp_path / "log").write_text("".join(STORY))
    rows = [json.loads(x) for x in trace(tmp_path, "--json", A).splitlines()]
    assert rows[3]["text"] == '5.1.1 gone "really"'
    assert rows[3]["rcpt"] == "bob@b.example" and rows[3]["role"] == "qmgr"
    assert trace(tmp_path, "--raw", A) == "".join(
        x for i, x in enumerate(STORY) if i in (0, 1, 3, 4, 5, 6, 7))


def test_rotated_compressed_and_piped(tmp_path):
    with gzip.open(tmp_path / "log.2.gz", "wt") as f:
        f.write("".join(STORY[:3]))
    (tmp_path / "log.1").write_text("".join(STORY[3:6]))
    (tmp_path / "log").write_text("".join(STORY[6:]))
    whole = subprocess.run(
        [str(BIN / "postern"), "trace", "--log", str(tmp_path / "log.2.gz"),
         "--log", str(tmp_path / "log.1"), "--log", str(tmp_path / "log"), B],
        stdout=subprocess.PIPE, text=True, timeout=60)
    assert whole.returncode == 0 and whole.stdout.count("\n") == 7
    out = subprocess.run(
        [str(BIN / "postern"), "trace", "--log", "-", A],
        input="".join(STORY), stdout=subprocess.PIPE, text=True, timeout=60)
    # in one pass: what came before the id was known is not there
    assert out.stdout.splitlines()[0][:19] == "2026-11-22T03:12:02"


def test_syslog_heads_are_skipped(tmp_path):
    (tmp_path / "log").write_text("".join(
        "Nov 22 03:12:01 mx postern[7]: " + x for x in STORY[:5]))
    assert "connection from" in trace(tmp_path, A)


def test_hostile_logs(tmp_path):
    """Lines that Postern did not write: no byte of them moves a cursor, and
    none takes long."""
    esc = "\x1b]0;owned\x07"
    (tmp_path / "log").write_text(
        line(1, "queued", "queued", f"qid={A} sid=s1 sender=x@y size=1") +
        line(2, "ev" + esc + "il", "ev" + esc + "il",
             f"qid={A} k{esc}=v{esc} text=\"{esc}\"", level=esc) +
        line(3, "qmgr", "deferred", f'qid={A} rcpt="{esc}" text="{esc}"'))
    out = trace(tmp_path, A)
    assert out.count("\n") == 3 and "\x1b" not in out and "\a" not in out
    for row in trace(tmp_path, "--json", A).splitlines():
        json.loads(row)
    assert "\x1b" not in trace(tmp_path, "--raw", A)


def test_damaged_archives(tmp_path):
    """What is before the damage is found; that there is some is said, once."""
    whole = gzip.compress("".join(STORY[1:2] * 2000).encode())
    for damaged, code, words in (
            (whole[:-12], 0, "ends early"), (whole[:40], 1, "ends early"),
            (whole[:60] + b"\xff" * 200, 111, "log.gz: ")):
        (tmp_path / "log.gz").write_bytes(damaged)
        done = subprocess.run(
            [str(BIN / "postern"), "trace", "--log",
             str(tmp_path / "log.gz"), A], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == code, done
        assert done.stderr.count("trace: " + str(tmp_path)) == 1, done.stderr
        assert words in done.stderr
        assert code != 0 or done.stdout.count("\n") > 1000


def test_endless_lines(tmp_path):
    """Of foreign text full of what looks like our fields, in no line."""
    with gzip.open(tmp_path / "log.gz", "wb") as f:
        f.write(STORY[1].encode() + b'"')
        for _ in range(16):
            f.write(b" qid= sid= bounce=" * 50000)
        f.write(b'"\n' + bytes(10000000) + STORY[4].encode())
    begun = time.monotonic()
    assert trace(tmp_path, A, log="log.gz").count("\n") == 2
    assert time.monotonic() - begun < 10


def test_wrong_usage(tmp_path):
    for args in ((), ("--json",), ("a", "b"), ("--log",), ("--bogus", "x")):
        trace(tmp_path, *args, code=100, log=None)
    trace(tmp_path, A, code=111, log="missing")
