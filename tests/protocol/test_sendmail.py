# SPDX-License-Identifier: ISC
"""postern-sendmail and postern-inject before a queue program of ours: what it is
handed, what they say, and how they end."""
import email
import email.policy
import os
import pathlib
import pwd
import re
import subprocess
import sys

import pytest

from suite import BIN

USER = pwd.getpwuid(os.getuid()).pw_name
ME = f"{USER}@mail.example.org"
# keeps fd 0 and 1; ends as the environment says
STUB = f"""#!{sys.executable}
import os, signal
d = os.environ["STUB_DIR"]
say = os.environ.get("STUB_REPORT", "K000660d7b54cc277\\n")
if "STUB_EARLY" not in os.environ:
    for fd, name in (0, "message"), (1, "envelope"):
        with open(os.path.join(d, name), "wb") as f:
            while True:
                piece = os.read(fd, 65536)
                if not piece:
                    break
                f.write(piece)
if say:
    os.write(int(os.environ["POSTERN_QUEUE_REPORT"]), say.encode())
if "STUB_DIE" in os.environ:
    os.kill(os.getpid(), signal.SIGKILL)
os._exit(int(os.environ.get("STUB_EXIT", "0")))
"""


class World:
    def __init__(self, path):
        self.path = path
        self.control = path / "etc/postern"
        self.control.mkdir(parents=True)
        self.set("me", "mail.example.org")
        self.stub = path / "stub"
        self.stub.write_text(STUB)
        self.stub.chmod(0o755)
        for name in "mailq", "newaliases", "sendmail":
            (path / name).symlink_to(BIN / "postern-sendmail")

    def set(self, name, value):
        (self.control / name).write_text(value + "\n")

    def run(self, program, *args, stdin=b"Subject: s\n\nbody\n", **env):
        for name in "message", "envelope":
            (self.path / name).unlink(missing_ok=True)
        path = self.path / program
        keep = {k: v for k, v in os.environ.items()
                if k not in ("NAME", "TMPDIR") and "MAIL" not in k}
        done = subprocess.run(
            [str(path if path.exists() else BIN / program), *args],
            input=stdin, capture_output=True, timeout=60,
            env={**keep, "POSTERN_ROOT": str(self.path),
                 "STUB_DIR": str(self.path), "QMAILQUEUE": str(self.stub),
                 **env})
        done.stderr = done.stderr.decode()
        assert len(done.stderr.splitlines()) == (done.returncode != 0), done
        return done

    def mail(self, *args, code=0, **kw):
        done = self.run("sendmail", *args, **kw)
        assert done.returncode == code, done
        return done

    def message(self):
        return (self.path / "message").read_bytes()

    def parsed(self):
        return email.message_from_bytes(
            self.message(), policy=email.policy.default)

    def envelope(self):
        data = (self.path / "envelope").read_bytes()
        assert data.endswith(b"\0\0"), data
        sender, *to = data[:-2].decode().split("\0")
        assert sender[0] == "F" and all(t[0] == "T" for t in to)
        return sender[1:], [t[1:] for t in to]


@pytest.fixture
def w(tmp_path):
    return World(tmp_path)


def test_plain(w):
    w.mail("bob", "Carol <carol@x.example>, dave@localhost", "e@host", "bob")
    assert w.envelope() == (ME, ["bob@mail.example.org", "carol@x.example",
                                 "dave@mail.example.org", "e@host"])
    m = w.parsed()
    assert m["Subject"] == "s" and m.get_payload() == "body\n"
    assert ME in m["From"] and m["Date"] and m["To"] == \
        "undisclosed-recipients:;"
    assert re.fullmatch(r"<\d+\.\d+\.postern@mail\.example\.org>",
                        m["Message-ID"])
    assert "MIME-Version" not in m


def test_recipients_of_the_header(w):
    header = (b"From: a@x.example\nTo: b@x.example\nCc: c@x.example\n"
              b"Bcc: d@x.example\n\n")
    w.mail("-t", "-i", stdin=header)
    assert w.envelope()[1] == ["b@x.example", "c@x.example", "d@x.example"]
    assert b"Bcc" not in w.message() and b"d@x.example" not in w.message()
    w.mail("-t", "e@x.example", "b@x.example", stdin=header)  # added, once
    assert w.envelope()[1] == ["e@x.example", "b@x.example", "c@x.example",
                               "d@x.example"]
    w.mail("e@x.example", stdin=header)
    assert w.envelope()[1] == ["e@x.example"]
    assert b"Bcc" not in w.message()
    w.mail("-t", stdin=b"Resent-To: new@x.example\nResent-Bcc: blind@x.example\n"
           + header)
    assert w.envelope()[1] == ["new@x.example", "blind@x.example"]
    assert w.parsed()["Resent-From"] and w.parsed()["Resent-Message-ID"]
    done = w.mail("-t", stdin=b"Subject: x\n\n", code=65)
    assert "no recipients" in done.stderr
    done = w.mail("-t", stdin=b"To: b c\n\n", code=65)
    assert "To: put a comma" in done.stderr
    assert not (w.path / "message").exists()


@pytest.mark.parametrize("args, sender, author", [
    ((), ME, ME), (("-f", "a@x.example"), "a@x.example", "a@x.example"),
    (("-fa",), "a@mail.example.org", "a@mail.example.org"),
    (("-r", "A B <a@x.example>"), "a@x.example", "a@x.example"),
    (("-f", "<>"), "", ME), (("-f", ""), "", ME), (("-f<>",), "", ME)])
def test_senders(w, args, sender, author):
    w.mail(*args, "-F", 'Grüße, "A" B', "bob")
    assert w.envelope()[0] == sender
    got = w.parsed()["From"].addresses[0]
    assert (got.display_name, got.addr_spec) == ('Grüße, "A" B', author)


def test_dot(w):
    text = b"Subject: s\n\na\n..\n.b\n.\nlast\n"
    w.mail("bob", stdin=text)
    assert w.message().endswith(b"\n\na\n..\n.b\n")
    for option in "-i", "-oi", "-OIgnoreDots":
        w.mail(option, "bob", stdin=text)
        assert w.message().endswith(b"\n\na\n..\n.b\n.\nlast\n")
    assert w.run("postern-inject", "bob", stdin=text).returncode == 0
    assert w.message().endswith(b".\nlast\n")


@pytest.mark.parametrize("body, charset", [
    ("Schöne Grüße\n.\nFrom me \n".encode(), "utf-8"),
    ("Gr\xfc\xdfe\n".encode("latin-1"), "unknown-8bit"),
    (b"x" * 999 + b"\n", "us-ascii")], ids=["utf-8", "latin-1", "long"])
def test_text_without_mime(w, body, charset):
    w.mail("-i", "bob", stdin=b"Subject: s\n\n" + body)
    m = w.parsed()
    assert m.get_content_charset() == charset
    assert m["Content-Transfer-Encoding"] == "quoted-printable"
    assert m.get_payload(decode=True) == body
    assert max(map(len, w.message().split(b"\n"))) <= 76 and w.message().isascii()


def test_mime_stays(w):
    body = bytes(range(128, 256)) + b"\n" + b"y" * 5000 + b"\n"
    mime = b"Content-Type: text/plain; charset=latin1\n"
    w.mail("bob", stdin=mime + b"\n" + body)
    assert w.message().startswith(mime) and w.message().endswith(b"\n\n" + body)
    assert b"quoted" not in w.message()


@pytest.mark.parametrize("size", [60_000, 70_000, 300_000, 8_000_000])
@pytest.mark.parametrize("mime", [b"", b"MIME-Version: 1.0\n"])
def test_sizes(w, size, mime):
    body = (b"%063d\n" * (size // 64)) % tuple(range(size // 64))
    w.mail("bob", stdin=mime + b"\n" + body)
    assert w.message().endswith(b"\n\n" + body)
    if size > 1_000_000 and not mime:
        w.mail("bob", stdin=b"\n" + body + "ü".encode())
        assert w.parsed().get_payload(decode=True) == body + "ü\n".encode()


def test_memory_is_bounded(w):
    """40 MB through either way, in 32 MB of address space."""
    w.stub.write_text('#!/bin/sh\ncat >"$STUB_DIR/message"\n'
                      'cat <&1 >"$STUB_DIR/envelope"\n')
    text = w.path / "text"
    # what the sanitizers map is without bounds
    limit = [] if "ASAN_OPTIONS" in os.environ else ["prlimit",
                                                     "--as=32000000"]
    for mime in b"", b"MIME-Version: 1.0\n":
        with open(text, "wb") as f:
            f.write(mime + b"\n")
            for _ in range(40):
                f.write((b"a" * 63 + b"\n") * 16384)
        with open(text, "rb") as f:
            subprocess.run(
                [*limit, str(w.path / "sendmail"), "bob"], stdin=f, check=True, timeout=60,
                env={**os.environ, "POSTERN_ROOT": str(w.path),
                     "STUB_DIR": str(w.path), "QMAILQUEUE": str(w.stub)})
        assert (w.path / "message").stat().st_size > 40 * 1024 * 1024
        assert w.envelope()[1] == ["bob@mail.example.org"]


@pytest.mark.parametrize("text, out", [
    (b"To: b@x.example\r\n\r\na\r\nb\r\n", b"a\nb\n"),
    (b"To: b@x.example\r\n\r\na\nb", b"a\nb\n"),  # PHP's mail()
    (b"hello\nworld\n", b"hello\nworld\n"),
    (b"", b""), (b"\n", b""), (b"\n\n\n", b"\n\n"),
    (b"From bob Sat Nov 21 2026\nSubject: x\n\nb\n", b"b\n")])
def test_shapes(w, text, out):
    w.mail("-i", "bob", stdin=text)
    header, body = w.message().split(b"\n\n", 1)
    assert body == out and b"\r" not in w.message()
    assert b"\nDate: " in b"\n" + header and b"From bob" not in header


@pytest.mark.parametrize("text, says", [
    (b"a\rb\n", "CR"), (b"Subject: a\rb\n\n", "CR"), (b"\n\0\n", "NUL"),
    (b"MIME-Version: 1.0\n\n" + b"a" * 100_000 + b"\r\r\n", "CR"),
    (b"X: " + b"x" * 300_000, "256 KiB"),
    (b"To: " + b"a," * 120_000 + b"\n\n", "too large")],
    ids=["cr", "cr-in-header", "nul", "cr-late", "long", "grows"])
def test_refused_messages(w, text, says):
    done = w.mail("-t", "-i", "bob", stdin=text, code=65)
    assert says in done.stderr
    assert not (w.path / "envelope").exists() or \
        not (w.path / "envelope").read_bytes()


def test_too_large_and_too_many(w):
    w.set("databytes", "1000")
    assert "databytes" in w.mail("b", stdin=b"x" * 1001, code=65).stderr
    w.mail("b", stdin=b"x" * 900)
    w.set("databytes", "0")
    to = [f"u{i}@x.example" for i in range(1001)]
    assert "1000 recipients" in w.mail(*to, code=65).stderr
    w.mail(*to[1:])
    assert w.envelope()[1] == to[1:]


CODES = [
    (0, "", 0, ""), (11, "", 65, "too long"), (31, "", 69, "refused"),
    (31, "D5.1.1 no such user\n", 67, "no such user"),
    (31, "D5.6.0 bad\n", 65, "bad"), (31, "D5.7.1 no\n", 69, "5.7.1 no"),
    (51, "", 75, "memory"), (52, "", 75, "try again"), (53, "", 75, "disk full"),
    (54, "", 75, "try again"), (55, "", 75, "postern check"),
    (56, "", 75, "running"), (61, "", 75, "exit code 61"),
    (62, "", 75, "start it"), (66, "", 75, "try again"), (71, "", 75, "try"),
    (74, "Z4.3.0 went away\n", 75, "went away"), (81, "", 70, "bug"),
    (91, "", 70, "envelope"), (35, "", 69, "35"), (115, "", 75, "115")]


@pytest.mark.parametrize("code, report, ends, says", CODES)
def test_exit_codes(w, code, report, ends, says):
    env = {"STUB_EXIT": str(code), "STUB_REPORT": report}
    done = w.mail("bob", code=ends, **env)
    assert says in done.stderr
    assert done.stderr.startswith("sendmail: ") == (code != 0)
    done = w.run("postern-inject", "bob", **env)
    assert done.returncode == (0 if code == 0 else 111 if ends == 75 else 100)
    # and one that does not read, with more to come than a pipe holds: its 0
    # is not believed, unless it reports so
    done = w.mail("bob", stdin=b"MIME-Version: 1.0\n\n" + b"x\n" * 400_000,
                  code=75 if (code, report) == (0, "") else ends,
                  STUB_EARLY="1", **env)


def test_queue_program_dies_or_is_not_there(w):
    assert "killed" in w.mail("bob", code=75, STUB_DIE="1").stderr
    done = w.mail("bob", code=75, QMAILQUEUE="/nonexistent")
    assert "cannot run" in done.stderr


def test_done_without_the_whole_message_is_not_believed(w):
    done = w.run("postern-inject", "bob", stdin=b"\n" + b"x\n" * 400_000,
                 STUB_EARLY="1", STUB_REPORT="")
    assert done.returncode == 111 and "did not read all" in done.stderr


def test_queue_id(w):
    assert w.mail("bob").stdout == b""
    assert w.mail("-v", "bob").stdout == \
        b"sendmail: queued as 000660d7b54cc277\n"
    assert w.mail("--id", "bob").stdout == b"000660d7b54cc277\n"
    assert w.mail("--id", "bob", STUB_REPORT="K\n").stdout == b"-\n"
    assert b"until Postern runs" in w.mail(
        "-v", "bob", STUB_REPORT="K\n").stdout
    assert w.run("postern-inject", "--id", "bob").stdout == \
        b"000660d7b54cc277\n"


def test_usage(w):
    for args in (("-z",), ("-f",), (), ("-f", "a b", "bob"), ("bob@",),
                 ("-f", "a@x, b@x", "bob"), ("-bd",), ("-B8", "b"), ("-q15m",)):
        assert w.mail(*args, code=64).stderr.startswith("sendmail: "), args
    assert "POSTERN_ROOT" in w.mail("b", code=64, POSTERN_ROOT="etc").stderr
    assert "POSTERN_ROOT" in w.mail(
        "b", code=64, POSTERN_ROOT="/x" * 300).stderr
    w.set("me", "no domain")
    assert "me" in w.mail("bob", code=78).stderr
    (w.control / "me").unlink()
    w.control.rmdir()
    assert "configuration" in w.mail("bob", code=78).stderr


def test_unknown_dash_o_and_what_has_no_effect(w):
    w.mail("-oem", "-odb", "-oQ/x", "-o", "7", "-OTimeout.x=1h", "-G", "-U",
           "-L", "tag", "-X", "/nonexistent/log", "-d8.1", "-n", "-m", "-Ac",
           "-h", "3", "-Nsuccess,delay", "-Rhdrs", "-V", "id", "-bm",
           "-B", "8BITMIME", "-ep", "-p", "ESMTP", "-D", "/x", "bob")
    assert w.envelope()[1] == ["bob@mail.example.org"]


def test_closed_descriptors(w):
    done = subprocess.run(
        ["sh", "-c", 'printf "\\nx" | "$0" bob >&- 2>&-',
         str(w.path / "sendmail")],
        env={**os.environ, "POSTERN_ROOT": str(w.path),
             "STUB_DIR": str(w.path), "QMAILQUEUE": str(w.stub)}, timeout=20)
    assert done.returncode == 0 and w.message().endswith(b"\n\nx\n")


def test_completion(w):
    w.set("defaulthost", "hosts.example")
    w.set("defaultdomain", "dom.example")
    w.set("plusdomain", "plus.example")
    w.set("idhost", "ids.example")
    w.mail("-t", stdin=b"To: a, b@host, c@host+, d@localhost, e@[192.0.2.1]\n\n")
    want = ["a@hosts.example", "b@host.dom.example", "c@host.plus.example",
            "d@hosts.example", "e@[192.0.2.1]"]
    assert w.envelope()[1] == want
    assert [a.addr_spec for a in w.parsed()["To"].addresses] == want
    assert w.parsed()["Message-ID"].endswith("@ids.example>")


# ---- postern-inject ----

def test_inject_sources(w):
    text = b"To: h@x.example\n\n"

    def to(*args):
        assert w.run("postern-inject", *args, stdin=text).returncode == 0
        return [t.split("@")[0] for t in w.envelope()[1]]
    assert to("a@x.example") == ["a"]
    assert to() == ["h"]
    assert to("-h", "a@x.example") == ["h"]
    assert to("-H", "a@x.example") == ["a", "h"]
    assert to("-A", "a@x.example") == ["a"]
    done = w.run("postern-inject", "-a", stdin=text)
    assert done.returncode == 100 and "no recipients" in done.stderr


def test_inject_environment(w):
    run = w.run
    assert run("postern-inject", "b", QMAILUSER="u", QMAILHOST="h.example",
               QMAILNAME="U N", QMAILINJECT="c").returncode == 0
    assert w.envelope()[0] == "u@h.example"
    assert b"\nFrom: u@h.example (U N)\n" in w.message()
    run("postern-inject", "b", QMAILSUSER="s", QMAILSHOST="s.example")
    assert w.envelope()[0] == "s@s.example" and ME in w.parsed()["From"]
    text = b"Return-Path: <r@x.example>\nFrom: f@x\nMessage-ID: <1@x>\n\n"
    run("postern-inject", "b", stdin=text)
    assert w.envelope()[0] == "r@x.example"
    assert b"Return-Path" not in w.message()
    run("postern-inject", "-f", "", "b", stdin=text)
    assert w.envelope()[0] == ""
    run("postern-inject", "b", stdin=text, QMAILINJECT="sfi")
    assert w.envelope()[0] == ME
    assert ME in w.parsed()["From"] and w.parsed()["Message-ID"] != "<1@x>"
    run("postern-inject", "b@host", QMAILDEFAULTHOST="d.example",
        QMAILDEFAULTDOMAIN="e.example", QMAILIDHOST="i.example")
    assert w.envelope() == (f"{USER}@d.example", ["b@host.e.example"])
    assert run("postern-inject", "b", QMAILINJECT="r").returncode == 100
    assert run("postern-inject", "b", QMAILDEFAULTHOST="a b").returncode == 100


def test_inject_prints(w):
    done = w.run("postern-inject", "-n", "b@x.example",
                 stdin=b"Subject: s\n\nx\n")
    assert done.returncode == 0 and done.stdout.endswith(b"\n\nx\n")
    assert not (w.path / "message").exists()
    (w.path / "out").touch()
    with open(w.path / "out", "wb") as f:  # a file may be written to
        subprocess.run([str(BIN / "postern-inject"), "-n", "b"], input=b"\nx",
                       stdout=f, check=True, timeout=20,
                       env={**os.environ, "POSTERN_ROOT": str(w.path)})
    assert (w.path / "out").read_bytes().endswith(b"\n\nx\n")


def test_sandbox_comes_before_the_first_byte(w):
    """While it waits for input it has a filter and no_new_privs, and the program
    it would start has not been started."""
    p = subprocess.Popen(
        [str(w.path / "sendmail"), "bob"], stdin=subprocess.PIPE,
        env={**os.environ, "POSTERN_ROOT": str(w.path),
             "STUB_DIR": str(w.path), "QMAILQUEUE": str(w.stub)})
    try:
        from suite import wait_for
        status = pathlib.Path(f"/proc/{p.pid}/status")
        wait_for(lambda: "Seccomp:\t2" in status.read_text(), 10, "a sandbox")
        assert "NoNewPrivs:\t1" in status.read_text()
        child = pathlib.Path(
            f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()
        assert len(child) == 1
        comm = pathlib.Path(f"/proc/{child[0]}/comm").read_text().strip()
        assert comm == "sendmail"  # not yet the stub
    finally:
        p.communicate(b"\n")
    assert p.returncode == 0
