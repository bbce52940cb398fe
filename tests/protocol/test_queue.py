# SPDX-License-Identifier: ISC
"""postern-queue while Postern runs, and with a queued that is played here: its
interface is qmail-queue's, exit codes and all."""
import os
import pathlib
import re
import resource
import signal
import socket
import time

import pytest

from queue_caller import (BYTES, ENVELOPE, Caller, FakeQueued, as_given, frame,
                          pipe_with, queue)
from suite import Suite, wait_for

NOBODY = 65534


@pytest.fixture(scope="module")
def suite():
    with Suite("--no-first-message") as s:
        os.chmod(s.folder, 0o755)
        yield s


@pytest.fixture
def root(tmp_path):
    """No suite: only settings."""
    (tmp_path / "etc/postern").mkdir(parents=True)
    (tmp_path / "etc/postern/me").write_text("me.example\n")
    tmp_path.chmod(0o755)
    return tmp_path


def delivered(suite, subject):
    """The message with that subject, once it is there."""
    folder = pathlib.Path(suite.env["MAILDIR_1"], "new")

    def look():
        for path in folder.iterdir() if folder.exists() else ():
            raw = path.read_bytes()
            if b"\nSubject: %s\n" % subject in raw:
                return raw
        return None
    return wait_for(look, 20, f"{subject} in the Maildir")


def test_a_message_is_queued_and_its_id_told(suite):
    done = queue(suite.folder, b"Subject: first\n\n\xc3\xa4 text\n.\nx")
    assert (done.code, done.errors) == (0, "")
    qid = re.fullmatch(r"K([0-9a-f]{16})\n", done.report).group(1)
    suite.wait_log(rf"event=delivered qid={qid} sid=local-\d+-\d+ "
                   "sender=bob@example.test")
    raw = delivered(suite, b"first")
    assert raw.endswith(b"Subject: first\n\n\xc3\xa4 text\n.\nx")
    trace = re.search(
        rb"^Received: by (\S+) \(postern-queue \d+ invoked by uid (\d+)\);\n"
        rb"\t\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$", raw, re.M)
    assert trace.group(2) == b"%d" % os.getuid()


def test_without_a_report_descriptor_it_is_silent(suite):
    done = queue(suite.folder, report=False)
    assert (done.code, done.report, done.errors) == (0, "", "")


@pytest.mark.parametrize("message", BYTES)
def test_bytes_arrive_as_they_were_given(suite, message):
    done = queue(suite.folder, message)
    assert done.code == 0, done
    qid = done.report[1:17]
    folder = pathlib.Path(suite.env["MAILDIR_1"], "new")
    path, = wait_for(lambda: list(folder.glob(f"*Q{qid}*")), 20, qid)
    raw = path.read_bytes()
    assert as_given(raw) == message


def test_crlf_text_becomes_lf(suite):
    done = queue(suite.folder, b"Subject: crlf\r\n\r\na\r\n\r\nb\r\n")
    assert done.code == 0
    assert delivered(suite, b"crlf").endswith(b"Subject: crlf\n\na\n\nb\n")


def test_50_megabytes_in_little_memory(suite):
    """It holds a few frames at a time."""
    line = b"0123456789abcde\n" * 64
    size = 50_000_000 // len(line)
    r, w = os.pipe()
    e = pipe_with(ENVELOPE)
    call = Caller(suite.folder).start(r, e)
    os.close(r)
    os.close(e)
    with os.fdopen(w, "wb") as f:
        f.write(b"Subject: large\n\n")
        for _ in range(size):
            f.write(line)
        f.flush()
        status = pathlib.Path(f"/proc/{call.process.pid}/status").read_text()
    done = call.finish()
    assert done.code == 0, done
    if "POSTERN_SANITIZED" not in os.environ and "build-asan" not in \
            os.environ.get("POSTERN_BUILD", ""):
        assert int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) < 4096
    raw = delivered(suite, b"large")
    assert raw.count(line) == size


def test_a_slow_writer_is_waited_for(suite):
    r, w = os.pipe()
    er, ew = os.pipe()
    call = Caller(suite.folder).start(r, er)
    os.close(r)
    os.close(er)
    for part in (b"Subject: sl", b"ow\n\nte", b"xt\n"):
        os.write(w, part)
        time.sleep(0.05)
    os.close(w)
    for part in (b"F", b"bob@example.te", b"st\0Talice@ex", b"ample.test\0"):
        os.write(ew, part)
        time.sleep(0.05)
    assert call.process.poll() is None
    os.write(ew, b"\0")  # it need not be closed
    done = call.finish()
    os.close(ew)
    assert done.code == 0, done
    assert delivered(suite, b"slow").endswith(b"text\n")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle_nothing_is_queued(suite, sign):
    before = suite.log().count("event=queued")
    r, w = os.pipe()
    e = pipe_with(ENVELOPE)
    call = Caller(suite.folder).start(r, e)
    os.close(e)
    os.write(w, b"Subject: never\n\n" + b"x\n" * 20_000)
    os.close(r)
    call.process.send_signal(sign)
    assert call.finish().code == -sign
    os.close(w)
    assert queue(suite.folder).code == 0  # queued goes on
    suite.wait_log("event=queued", count=before + 1)
    assert suite.log().count("event=queued") == before + 1


def test_signals_that_qmail_queue_ignores(suite):
    r, w = os.pipe()
    e = pipe_with(ENVELOPE)
    call = Caller(suite.folder).start(r, e)
    os.close(r)
    os.close(e)

    def sleeps():
        path = f"/proc/{call.process.pid}/status"
        return re.search(r"Seccomp:\s+2", pathlib.Path(path).read_text())
    wait_for(sleeps, 10, "its sandbox")
    for sign in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE,
                 signal.SIGALRM, signal.SIGXCPU):
        call.process.send_signal(sign)
    os.write(w, b"Subject: alive\n\n")
    os.close(w)
    assert call.finish().code == 0
    assert delivered(suite, b"alive")


TEXT = b"Subject: x\n\nx\n"
REFUSED = [  # message, envelope, exit code, report
    (TEXT, b"F" + b"a" * 255 + b"\0\0", 11, "D5.1.3"),
    (TEXT, b"Fa@b\0T" + b"a" * 65 + b"@b.example\0\0", 11, "D5.1.3"),
    (b"a\rb\n", ENVELOPE, 31, "D5.6.0"),
    (b"a\r\nb\n", ENVELOPE, 31, "D5.6.0"),
    (b"a\0b\n", ENVELOPE, 31, "D5.6.0"),
    (TEXT, b"Fbob@\0Talice@example.test\0\0", 31, "D5.1.7"),
    (TEXT, b"Fbob@b\0T\0\0", 31, "D5.1.3"),
    (TEXT, b"Fbob@b\0Tali\xc3\xa7e@b\0\0", 31, "D5.1.3"),
    (TEXT, b"Fbob@b\0Ta\nb@c\0\0", 31, "D5.1.3"),
    (TEXT, b"Fbob@b\0\0", 31, "D5.5.1"),
    (TEXT, b"F\0" + b"Talice@example.test\0" * 1001 + b"\0", 31, "D5.5.3"),
    (TEXT, b"", 54, "Z4.3.0"),
    (TEXT, b"Fbob@b", 54, "Z4.3.0"),
    (TEXT, b"Fbob@b\0Talice@example.test\0", 54, "Z4.3.0"),
    (TEXT, b"\0", 91, "Z4.3.0"),
    (TEXT, b"bob@b\0\0", 91, "Z4.3.0"),
    (TEXT, b"Fbob@b\0Fx\0\0", 91, "Z4.3.0"),
    (TEXT, b"Fbob@b\0\nTx\0\0", 91, "Z4.3.0"),
]


@pytest.mark.parametrize("message,envelope,code,report", REFUSED)
def test_what_is_refused(suite, message, envelope, code, report):
    before = suite.log().count("event=queued")
    done = queue(suite.folder, message, envelope)
    assert done.code == code, done
    assert re.match(re.escape(report) + r" \S.*\n$", done.report), done
    assert done.errors == ""
    assert suite.log().count("event=queued") == before


def test_a_thousand_recipients(suite):
    one = b"Tnobody@example.test\0"
    assert queue(suite.folder, TEXT, b"F\0" + one * 1000 + b"\0").code == 0


def test_what_is_wrong_goes_to_standard_error_without_a_report(suite):
    done = queue(suite.folder, b"\0", report=False)
    assert done.code == 31
    assert re.fullmatch(r"postern-queue: 5\.6\.0 .*NUL.*\n", done.errors)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_descriptor_that_is_not_open(suite, missing):
    import subprocess
    from suite import BIN
    close = {0: "<&-", 1: ">&-"}[missing]
    done = subprocess.run(
        ["sh", "-c", f"exec {BIN}/postern-queue {close}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env={**os.environ,
                                     "POSTERN_ROOT": suite.folder})
    assert done.returncode == 54, done


def test_a_message_that_cannot_be_read(suite):
    folder = os.open("/", os.O_RDONLY)
    e = pipe_with(ENVELOPE)
    done = Caller(suite.folder).start(folder, e).finish()
    assert (done.code, done.report[:6]) == (54, "Z4.3.0")


def test_too_large(suite):
    limit = pathlib.Path(suite.env["CONTROL"], "databytes")
    before = limit.read_text() if limit.exists() else None
    limit.write_text("1000\n")
    try:
        done = queue(suite.folder, b"x" * 999 + b"\n")
        assert done.code == 0, done
        done = queue(suite.folder, b"x" * 1000 + b"\n")
        assert (done.code, done.report[:6]) == (31, "D5.3.4")
    finally:
        limit.unlink() if before is None else limit.write_text(before)


# ---- facts ----

def test_facts_of_root_or_the_one_user_are_taken(suite):
    env = {"POSTERN_QUEUE_FACTS": "mysid 192.0.2.1 0"}
    done = queue(suite.folder, env=env)
    assert done.code == 0
    suite.wait_log("event=queued qid=" + done.report[1:17] + " sid=mysid ")
    done = queue(suite.folder, TEXT, b"F\0Tx@elsewhere.example\0\0", env=env)
    assert (done.code, done.report[:6]) == (31, "D5.7.1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users")
def test_facts_of_others_are_not(suite):
    done = queue(suite.folder, uid=NOBODY,
                 env={"POSTERN_QUEUE_FACTS": "mysid - 1"})
    assert (done.code, done.verdict) == (74, "Z")
    assert "facts" in done.report


@pytest.mark.parametrize("facts", ["x", "a b", "a b 2", " b 1", "a b 1 ",
                                   "x" * 25 + " - 0"])
def test_facts_that_are_none(suite, facts):
    done = queue(suite.folder, env={"POSTERN_QUEUE_FACTS": facts})
    assert (done.code, done.verdict) == (81, "Z")


# ---- other codes, with a queued that is played ----

ANSWERS = [
    (frame(b"K", b"0123456789abcdef"), 0, "K0123456789abcdef\n"),
    (frame(b"D", b"5.3.4 Message too big"), 31, "D5.3.4 Message too big\n"),
    (frame(b"Z", b"4.3.1 No room"), 53, "Z4.3.1 No room\n"),
    (frame(b"Z", b"4.3.2 No memory"), 51, "Z4.3.2 No memory\n"),
    (frame(b"Z", b"4.4.5 Later"), 71, "Z4.4.5 Later\n"),
    (frame(b"Q", b"what"), 74, None),
    (b"no netstring", 74, None),
    (frame(b"K", b"x" * 2000), 74, None),
    (None, 74, None),
]


@pytest.mark.parametrize("answer,code,report", ANSWERS)
def test_answers_of_queued(root, answer, code, report):
    peer = FakeQueued(root, answer)
    done = queue(root, b"Subject: x\n\nbody\n",
                 b"FA@B.Example\0Tjoe\0Tjoe user@B.Example\0\0")
    assert done.code == code, done
    assert done.report == report or report is None and \
        done.report.startswith("Z4.3.0")
    frames = peer.frames()
    peer.close()
    assert [k for k, _ in frames] == [b"B", b"F", b"T", b"T", b"C"]
    assert frames[0][1].endswith(b"\nSubject: x\n\nbody\n")
    assert [p for _, p in frames[1:4]] == [
        b"A@b.example", b"joe@me.example", b'"joe user"@b.example']


def test_a_text_of_queued_cannot_forge_a_line(root):
    peer = FakeQueued(root, frame(b"D", b"5.0.0 a\nKbad\x1b[1m" + b"x" * 900))
    done = queue(root)
    peer.close()
    assert done.code == 31
    assert done.report.count("\n") == 1 and len(done.report) <= 512
    assert "\x1b" not in done.report


def test_time_is_over(root):
    """No minute is given: it is over before anything was read."""
    peer = FakeQueued(root, None)
    r, w = os.pipe()
    done = Caller(root, args=["--timeout", "0"]).start(r, r).finish()
    os.close(w)
    peer.close()
    assert (done.code, done.report[:6]) == (52, "Z4.4.2")


def test_envnoathost(root):
    (root / "etc/postern/envnoathost").write_text("home.example\n")
    peer = FakeQueued(root, frame(b"K", b"0123456789abcdef"))
    assert queue(root, TEXT, b"Fa\0Tb\0\0").code == 0
    assert peer.frames()[1:3] == [(b"F", b"a@home.example"),
                                  (b"T", b"b@home.example")]
    peer.close()


def test_a_setting_that_is_wrong(root):
    (root / "etc/postern/databytes").write_text("many\n")
    done = queue(root)
    assert done.code == 55
    assert re.match(r"Z4\.3\.5 control/databytes: \S", done.report), done


def test_no_control_directory(tmp_path):
    assert queue(tmp_path / "nothing").code == 55


def test_no_socket_to_be_had(root):
    """The caller's limits are its own."""
    FakeQueued(root, None).close()
    done = queue(root, limits=[(resource.RLIMIT_NOFILE, 4)], report=False)
    assert done.code in (55, 56), done


@pytest.mark.parametrize("args", [["-x"], ["--timeout"], ["--timeout", "x"],
                                  ["--timeout", "1441"], ["a", "b"]])
def test_wrong_arguments(root, args):
    done = queue(root, args=args, report=False)
    assert done.code == 100
    assert "usage" in done.errors


# ---- queued's own look at what local users send ----

@pytest.mark.parametrize("byte", [b"\r", b"\0"])
def test_queued_refuses_cr_and_nul_of_local_users(suite, byte):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(os.path.join(suite.folder, "run/postern/queue"))
        s.sendall(frame(b"B", b"Subject: x\n\na" + byte + b"b\n") +
                  frame(b"F", b"") + frame(b"T", b"alice@example.test") +
                  frame(b"C", b""))
        assert b"D5.6.0 " in s.recv(1000)
