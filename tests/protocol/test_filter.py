# SPDX-License-Identifier: ISC
"""postern-filter: a program before the queue, as SMTP clients see it.

The program under test is a shell that does what the message's field X-Do says.
"""
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

import pytest

from suite import TOP, Suite, bin_for_others, children, wait_for

TIMEOUT = 3
PASS = 'exec "$QMAILQUEUE" </dev/stdin'
PROGRAM = """#!/bin/sh
eval "$(sed -n '/^$/q;s/^X-Do: //p')"
"""
RELOADED = ["role=listen-smtp event=reloaded", "role=filter event=reload "]
# qmail.c, qmail_close
CODES = {11: 554, 12: 554, 31: 550, 40: 554, 1: 451, 10: 451, 41: 451,
         51: 451, 52: 451, 53: 451, 54: 451, 55: 451, 56: 451, 61: 451,
         66: 451, 71: 451, 74: 451, 81: 451, 82: 451, 88: 451, 91: 451,
         99: 451, 100: 451, 111: 451, 120: 451, 255: 451}


def program(folder, name, text):
    path = pathlib.Path(folder, name)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def place():
    """A folder that posternf can look into."""
    folder = tempfile.mkdtemp(prefix="postern-test-")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def suite(place):
    path = program(place, "program", PROGRAM)
    with Suite("--no-first-message", "--control", f"filter={path}",
               "--control", f"timeoutfilter={TIMEOUT}", "--control",
               "concurrencyfilter=8", folder=place + "/suite",
               programs=bin_for_others(place)) as s:
        os.chmod(place + "/suite", 0o755)
        yield s
        assert "forbidden-call" not in s.log()
        assert "AddressSanitizer" not in s.log()


def client(suite):
    c = smtplib.SMTP(*suite.smtp, timeout=60)
    c.ehlo()
    return c


def to_do(what, body="hello\n"):
    text = f"X-Do: {what}\nSubject: x\n\n{body}"
    return text.replace("\n", "\r\n").encode()


def post(c, suite, what, body="hello\n"):
    """(code, text) of the reply to the message."""
    assert c.docmd("MAIL FROM:<alice@crepes.fr>")[0] == 250
    assert c.docmd(f"RCPT TO:<{suite.env['USER_1']}>")[0] == 250
    code, text = c.data(to_do(what, body))
    return code, text.decode()


def one(suite, what, **kw):
    c = client(suite)
    try:
        return post(c, suite, what, **kw)
    finally:
        c.close()


def is_of(suite, pid):
    """Whether it was started below the suite's filter."""
    ours = f"POSTERN_ROOT={suite.folder}".encode()
    proc = pathlib.Path("/proc", str(pid))
    try:
        return ours in (proc / "environ").read_bytes().split(b"\0")
    except PermissionError:  # postern-queue shows nobody but root its memory
        parent = re.search(r"^PPid:\t(\d+)", (proc / "status").read_text(), re.M)
        return int(parent[1]) > 1 and is_of(suite, parent[1])


def of_filter(suite, word):
    """Pids of this suite's processes with that word in their command line."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in p.read_bytes() and is_of(suite, p.parts[2]):
                found.append(int(p.parts[2]))
        except OSError:
            pass
    return found


def keeper(suite):
    return children(suite.roles()["filter"])[0]


def hup(suite):
    seen = [suite.log().count(e) for e in RELOADED]
    runs = "filter" in suite.roles()  # else it is about to start
    os.kill(suite.roles()["start"], signal.SIGHUP)
    for event, count in zip(RELOADED, seen):
        if event.startswith("role=listen") or runs:
            suite.wait_log(event, count=count + 1)


# ---- what a client is answered ----

def test_a_message_passes_and_its_trace_leads_to_the_delivery(suite):
    code, text = one(suite, PASS)
    qid = re.fullmatch(r"2\.0\.0 Queued as ([0-9a-f]{16})", text)[1]
    assert code == 250
    suite.wait_log(f"event=done qid={qid}")
    suite.wait_log(f"event=filtered sid=\\w+ qid={qid} result=accepted")
    words = suite.postern("trace", qid).stdout
    for part in ("connection from 127.0.0.1", "accepted into the queue",
                 "filter: accepted", f"delivered to {suite.env['USER_1']}"):
        assert part in words, words


def test_exit_codes(suite):
    c = client(suite)
    got = {}
    for code in CODES:
        if code == 41:  # not to be hung up on for too many errors
            c.close()
            c = client(suite)
        got[code] = post(c, suite, f"exit {code}")[0]
    c.close()
    assert got == CODES


def test_exit_0_without_a_report_discards(suite):
    assert one(suite, "exit 0") == (250, "2.0.0 Accepted")
    suite.wait_log("event=filtered sid=\\w+ result=discarded")


@pytest.mark.parametrize("what,code,text", [
    ("echo 'D5.7.1 No such things' >&4; exit 31", 550, "5.7.1 No such things"),
    ("echo 'Z4.7.1 Come back later' >&4; exit 71", 451,
     "4.7.1 Come back later"),
    # netqmail's way, without an enhanced status code
    ("echo 'DYour mail was refused' >&4; exit 82", 550,
     "5.7.1 Your mail was refused"),
    # the report wins over the code, and over a careless 0
    ("echo 'D5.6.0 Bad' >&4; exit 0", 554, "5.6.0 Bad"),
    ("echo 'Z4.3.0 Bad' >&4; exit 0", 451, "4.3.0 Bad"),
    ("echo D >&4; exit 31", 550, "5.7.1 Message refused"),
    # the last line counts; no LF at its end is fine
    ("printf 'Z4.3.0 no\\nD5.6.0 yes' >&4; exit 1", 554, "5.6.0 yes"),
    # what is no report is none
    ("head -c 5000 /dev/zero >&4; echo >&4; echo junk >&4; exit 31", 550,
     "5.7.1 Message refused by local policy"),
    ("printf 'D5.7.1 \\001\\377 x' >&4; exit 31", 550, "5.7.1 ?? x"),
    ("echo Knonsense >&4; exit 0", 250, "2.0.0 Accepted"),
    # junk everywhere, standard input closed
    ("exec 0<&-; echo junk >&1; echo junk >&2; exit 31", 550,
     "5.7.1 Message refused by local policy"),
    # the queue's own word is passed on
    ("printf 'a\\rb\\n' | \"$QMAILQUEUE\" 1<&1; exit $?", 554, "5.6.0"),
])
def test_reports(suite, what, code, text):
    got = one(suite, what)
    assert (got[0], got[1][:len(text)]) == (code, text)


def test_environment(suite, place):
    assert one(suite, f"env >{place}/seen; exit 0")[0] in (250, 451)
    got = one(suite, "env >&2; ls -l /proc/self/fd | sed 1d | wc -l >&2; "
              "id -un >&2; pwd >&2; umask >&2; exit 0")
    assert got[0] == 250
    suite.wait_log('event=filter-said sid=\\w+ text=0077')
    said = re.findall(r'event=filter-said sid=\w+ text="?([^"\n]*)"?',
                      suite.log())
    env = dict(s.split("=", 1) if "=" in s else (s, "") for s in said)
    assert env["TCPREMOTEIP"] == "127.0.0.1"
    assert env["QMAILQUEUE"] == f"{suite.programs}/postern-queue"
    assert env["POSTERN_QUEUE_REPORT"] == "4"
    assert re.fullmatch(r"s\w{11} 127\.0\.0\.1 0", env["POSTERN_QUEUE_FACTS"])
    assert "RELAYCLIENT" not in env and "LD_PRELOAD" not in env
    assert "/" in said
    assert os.geteuid() != 0 or "posternf" in said


def test_what_a_program_says_is_bounded(suite):
    before = suite.log().count("event=filter-said")
    assert one(suite, "yes said-again | head -c 3000000 >&2; exit 31")[0] == 550
    suite.wait_log("result=refused")
    assert suite.log().count("event=filter-said") <= before + 20


# ---- trouble ----

def test_killed(suite):
    assert one(suite, "kill -9 $$")[0] == 451
    suite.wait_log("result=trouble took=\\d+ why=\"signal 9\"")


def test_hanging_costs_its_message_only(suite):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        begun = time.monotonic()
        hangs = [pool.submit(one, suite, "sleep 1234; exit 0")
                 for _ in range(3)]
        wait_for(lambda: of_filter(suite, "sleep\x001234"), 10, "a program")
        for _ in range(5):
            assert one(suite, PASS)[0] == 250
        assert time.monotonic() - begun < TIMEOUT
        assert [h.result()[0] for h in hangs] == [451] * 3
        assert time.monotonic() - begun >= TIMEOUT - 0.5
    suite.wait_log('result=trouble took=\\d+ why="took too long"')
    assert not of_filter(suite, "sleep\x001234")


def test_who_waits_too_long_for_a_place(suite):
    """Eight places; the ninth message waits, and is told so."""
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        hangs = [pool.submit(one, suite, "sleep 1235; exit 0")
                 for _ in range(9)]
        got = [h.result() for h in hangs]
    assert {g[0] for g in got} == {451}
    assert not of_filter(suite, "sleep\x001235")


@pytest.mark.parametrize("what", [
    "(setsid sleep 1236 &); setsid sh -c 'sleep 1236 & sleep 1236 &' & exit 31",
    "(setsid nohup sleep 1236 >/dev/null 2>&1 </dev/null &); sleep 0.3;"
    " exit 31"])
def test_what_is_left_behind_dies(suite, what):
    assert one(suite, what)[0] == 550
    assert not of_filter(suite, "sleep\x001236")


@pytest.mark.parametrize("bomb", [
    "f() { f | f & }; f; sleep 1237",
    "f() { setsid sh -c 'sleep 1237' & }; while :; do f; done"])
def test_fork_bomb(suite, bomb):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        bombed = pool.submit(one, suite, bomb)
        assert bombed.result()[0] == 451
    assert not of_filter(suite, "sleep\x001237")
    wait_for(lambda: not children(keeper(suite)), 5, "the end of supervisors")
    assert one(suite, PASS)[0] == 250


def test_too_many_processes(suite):
    """Long before its time is over."""
    begun = time.monotonic()
    assert one(suite, "for i in $(seq 80); do sleep 1238 & done; wait")[0] == 451
    assert time.monotonic() - begun < TIMEOUT
    suite.wait_log('result=trouble took=\\d+ why="too many processes"')
    assert not of_filter(suite, "sleep\x001238")


def test_programs_of_two_messages_cannot_reach_each_other(suite):
    if os.geteuid() != 0:
        pytest.skip("one user's processes without Landlock's help")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        victim = pool.submit(one, suite, "sleep 1.238; exit 31")
        pid, = wait_for(lambda: of_filter(suite, "sleep\x001.238"), 5, "a victim")
        code, text = one(suite, f"kill -9 {pid} || echo D5.7.1 $? >&4; exit 1")
        assert (code, text) == (550, "5.7.1 1")
        assert one(suite, f"cat /proc/{pid}/environ >/dev/null && exit 0;"
                   " exit 31")[0] == 550
        # nor the role and its helpers
        for pid in (suite.roles()["filter"], keeper(suite)):
            assert one(suite, f"kill -9 {pid}; exit 31")[0] == 550
        assert victim.result()[0] == 550


def test_limits_and_priorities_of_others_are_out_of_reach(suite):
    """By one of them a program could end the filter for everybody."""
    calls = ["prlimit --pid %s --nofile=0", "prlimit --pid %s --cpu=1:1",
             "renice -n 19 -p %s", "renice -n 19 -u $(id -u)", "chrt -i -p 0 %s",
             "taskset -p 1 %s", "ionice -c 3 -p %s"]
    for pid in (suite.roles()["filter"], keeper(suite)):
        what = "; ".join(f"{c.replace('%s', str(pid))} >&2 && n=$n{i}"
                         for i, c in enumerate(calls))
        assert one(suite, f"{what}; echo D5.7.1 done:$n >&4; exit 31") == \
            (550, "5.7.1 done:")
    # its own are its own
    what = " && ".join(c.replace("%s", "$$").replace("=0", "=64") + " >&2"
                       for c in calls if "-u" not in c)
    assert one(suite, f"{what} && nice true && echo D5.7.1 done >&4") == \
        (550, "5.7.1 done")


@pytest.mark.parametrize("which", ["supervisor", "program", "queue"])
def test_kill_of_each_process_below_keeper(suite, which):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        what = "sleep 1239; exit 0"
        word = "sleep\x001239"
        if which == "queue":
            what = "sleep 1.1239 | \"$QMAILQUEUE\" --timeout 777 1<&1"
            word = "--timeout\x00777"
        answer = pool.submit(one, suite, what)
        pid = wait_for(lambda: of_filter(suite, word), 5, "the program")[0]
        if which != "queue":
            supervisor = wait_for(lambda: children(keeper(suite)), 5,
                                  "a supervisor")[0]
            pid = supervisor if which == "supervisor" else \
                children(supervisor)[0]
        os.kill(pid, signal.SIGKILL)
        assert answer.result()[0] == 451
    wait_for(lambda: not of_filter(suite, word), 5, "the end of all")
    assert one(suite, PASS)[0] == 250


@pytest.mark.parametrize("which", ["role", "keeper"])
def test_kill_of_the_role(suite, which):
    """Who is in the middle of a message is told to come again; programs go
    with the role; start runs it again."""
    role = suite.roles()["filter"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        def try_it():
            try:
                return one(suite, "sleep 1240; exit 0")[0]
            except smtplib.SMTPServerDisconnected:
                return 421
        answer = pool.submit(try_it)
        wait_for(lambda: of_filter(suite, "sleep\x001240"), 5, "the program")
        os.kill(role if which == "role" else keeper(suite), signal.SIGKILL)
        assert answer.result() == 421
    wait_for(lambda: not of_filter(suite, "sleep\x001240"), 5, "its end")
    wait_for(lambda: suite.roles().get("filter", role) != role, 5, "a new one")
    assert one(suite, PASS)[0] == 250


def test_queued_dies_while_a_program_hands_it_a_message(suite):
    queued = suite.roles()["queued"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(one, suite, "{ echo Subject: x; sleep 1.1243; } |"
                             " \"$QMAILQUEUE\" --timeout 778 1<&1")
        wait_for(lambda: of_filter(suite, "--timeout\x00778"), 5, "the program")
        wait_for(lambda: of_filter(suite, "sleep\x001.1243"), 5, "its input")
        os.kill(queued, signal.SIGKILL)
        assert answer.result()[0] == 451
    wait_for(lambda: suite.roles().get("queued", queued) != queued, 5,
             "a new one")
    assert wait_for(lambda: one(suite, PASS)[0] == 250, 5, "mail again")


# ---- size and number ----

def maildir(suite):
    return pathlib.Path(suite.env["MAILDIR_1"], "new")


def test_50_mb_with_8_bit(suite):
    line = "ä" * 400 + "\n"
    body = line * (((50 << 20) - 4096) // (len(line.encode()) + 1))
    wanted = hashlib.sha256(body.encode()).hexdigest()
    c = client(suite)
    c.docmd("MAIL FROM:<alice@crepes.fr> BODY=8BITMIME")
    c.docmd(f"RCPT TO:<{suite.env['USER_1']}>")
    code, text = c.data(to_do(PASS, body))
    c.close()
    assert code == 250, text
    qid = text.split()[-1].decode()
    suite.wait_log(f"event=done qid={qid}")
    # a name holds the id
    path, = [p for p in maildir(suite).iterdir() if f"Q{qid}" in p.name]
    got = path.read_bytes().partition(b"\n\n")[2]
    assert hashlib.sha256(got).hexdigest() == wanted
    path.unlink()


def test_50_sessions(suite):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        got = list(pool.map(lambda _: one(suite, PASS), range(50)))
    assert [g[0] for g in got] == [250] * 50
    assert len({g[1] for g in got}) == 50


# ---- by hand ----

def by_hand(suite, *args, what, **kw):
    """The reply to a message for another host, through an smtpd of its own."""
    near, far = socket.socketpair()
    env = {"POSTERN_ROOT": suite.folder, "PATH": os.environ["PATH"],
           "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""),
           **kw.pop("env", {})}
    p = subprocess.Popen([str(suite.programs / "postern-smtpd"), *args], stdin=far,
                         stdout=far, env=env, stderr=subprocess.DEVNULL, **kw)
    far.close()
    near.settimeout(20)
    f = near.makefile("rwb")

    def say(line):
        f.write(line.encode() + b"\r\n")
        f.flush()
        while True:
            reply = f.readline().decode()
            if reply[3:4] != "-":
                return reply
    assert f.readline().startswith(b"220")
    for line in ("EHLO x", "MAIL FROM:<alice@crepes.fr>",
                 "RCPT TO:<bob@far.example>", "DATA"):
        reply = say(line)
        assert reply[:1] in "23", (line, reply)
    got = say(f"X-Do: {what}\r\n\r\nhello\r\n.")
    say("QUIT")
    near.close()
    assert p.wait(10) == 0
    return got


def test_smtpd_under_tcpserver(suite):
    """It goes to run/filter by itself; RELAYCLIENT and the address survive."""
    got = by_hand(suite, env={"TCPREMOTEIP": "192.0.2.7", "RELAYCLIENT": ""},
                  what='test "$RELAYCLIENT${RELAYCLIENT+set}$TCPREMOTEIP" = '
                  "set192.0.2.7 || exit 31; " + PASS)
    assert got.startswith("250 2.0.0 Queued as"), got
    suite.wait_log("event=queued qid=\\w+ sid=[0-9a-f]{16}-\\d+")


def test_mail_of_local_users_does_not_pass_here(suite):
    user = {} if os.geteuid() else {"user": "nobody"}
    got = by_hand(suite, "--local", what="exit 31", **user)
    assert got.startswith("250 2.0.0 Queued as"), got


def test_strangers_at_the_door(suite):
    if os.geteuid() != 0:
        pytest.skip("there is but one user")
    done = subprocess.run(
        ["/usr/bin/python3", "-c", "import socket, sys\n"
         "s = socket.socket(socket.AF_UNIX)\n"
         f"s.connect('{suite.folder}/run/postern/filter')\n"
         "s.settimeout(10)\nsys.exit(s.recv(1) != b'')"],
        user="nobody", timeout=20)
    assert done.returncode == 0
    suite.wait_log("event=strange-peer")


def test_a_program_cannot_have_itself_run_again(suite):
    if os.geteuid() != 0:
        pytest.skip("there is but one user")
    code, text = one(
        suite, "/usr/bin/python3 -c 'import socket; "
        "s = socket.socket(socket.AF_UNIX); s.settimeout(2); "
        f's.connect("{suite.folder}/run/postern/filter"); '
        "print(\"D5.7.1 got\", s.recv(9))' >&4; exit 31")
    assert (code, text) == (550, "5.7.1 got b''")


# ---- the examples ----

EXAMPLES = TOP / "filter/examples"
SCANNER = """#!/bin/sh
# as clamdscan: 0 clean, 1 found, 2 error
case $(grep -ao 'SCAN-[A-Z]*' | head -n 1) in
SCAN-VIRUS) echo 'stream: Test-Signature FOUND'; exit 1 ;;
SCAN-ERROR) echo 'ERROR: no connection'; exit 2 ;;
SCAN-DIES) kill -9 $$ ;;
esac
"""


@pytest.fixture
def examples(suite, place):
    """The setting's program becomes one of the examples, by name."""
    setting = pathlib.Path(suite.env["CONTROL"], "filter")
    before = setting.read_text()
    for path in EXAMPLES.iterdir():
        shutil.copy(path, place)
    program(place, "scanner", SCANNER)

    def use(name):
        setting.write_text(f"{place}/{name}\n")
        hup(suite)
    yield use
    setting.write_text(before)
    hup(suite)


def send(suite, header, body="hello\n"):
    c = client(suite)
    c.docmd("MAIL FROM:<alice@crepes.fr>")
    c.docmd(f"RCPT TO:<{suite.env['USER_1']}>")
    code, text = c.data(
        f"{header}\n\n{body}".replace("\n", "\r\n").encode("latin1"))
    c.close()
    return code, text.decode()


def delivered(suite, reply):
    assert reply[0] == 250, reply
    qid = reply[1].split()[-1]
    suite.wait_log(f"event=done qid={qid}")
    path, = [p for p in maildir(suite).iterdir() if f"Q{qid}" in p.name]
    text = path.read_bytes()
    path.unlink()
    return text


LARGE = "x\xe4" * 38 + "\n"


def test_example_add_header(suite, examples):
    examples("add-header X-Seen: yes, it is")
    for body in ("hello\n", LARGE * 200000):
        text = delivered(suite, send(suite, "Subject: x", body))
        head, _, got = text.partition(b"\n\n")
        assert b"\nX-Seen: yes, it is\nReceived: " in head
        assert got == body.encode("latin1")


ATTACHED = """Content-Type: multipart/mixed; boundary=b

--b
Content-Type: application/octet-stream;
\tname="{}"

xxx
--b--
"""


def test_example_refuse(suite, examples):
    examples("refuse")
    assert send(suite, "Subject: x", LARGE * 300000)[0] == 552
    assert send(suite, "Subject: you can MAKE\n MONEY fast")[1] == \
        "5.7.1 We have money already"
    for name, code in [("a.exe", 550), ("b c.JS", 550), ("a.txt", 250),
                       ("exe.exe.pdf", 250)]:
        head, _, body = ATTACHED.format(name).partition("\n\n")
        assert send(suite, head, body)[0] == code, name
    text = delivered(suite, send(suite, "Subject: x", LARGE * 100000))
    assert text.endswith(b"\n\n" + LARGE.encode("latin1") * 100000)


def test_example_scan(suite, examples, place):
    examples(f"scan {place}/scanner -")
    assert send(suite, "Subject: x", "SCAN-VIRUS\n") == (
        550, "5.7.1 stream: Test-Signature FOUND")
    for trouble in ("SCAN-ERROR", "SCAN-DIES"):
        assert send(suite, "Subject: x", trouble + "\n") == (
            451, "4.7.1 The message cannot be scanned now")
    suite.wait_log('event=filter-said sid=\\w+ text="ERROR: no connection"')
    text = delivered(suite, send(suite, "Subject: x", LARGE * 100000))
    assert text.endswith(b"\n\n" + LARGE.encode("latin1") * 100000)
    examples("scan /no/such/scanner")
    assert send(suite, "Subject: x")[0] == 451


def test_example_policy(suite, examples):
    examples("policy")
    good = "From: a@b.c\nDate: Sun, 22 Nov 2026 06:00:00 +0000"
    assert send(suite, "Subject: x")[0] == 554
    assert send(suite, good + "\nDelivered-To: x" * 30)[1].startswith("5.4.6")
    for body in ("hello\n", LARGE * 100000):
        text = delivered(suite, send(suite, good, body))
        assert b"\nX-Came-From: 127.0.0.1\nReceived: " in text
        assert text.endswith(b"\n\n" + body.encode("latin1"))


def test_manual_examples(suite, place):
    """What stands in postern-filter(8) works."""
    page = (TOP / "filter/postern-filter.8").read_text()
    setting = pathlib.Path(suite.env["CONTROL"], "filter")
    before = setting.read_text()
    got = []
    for i, text in enumerate(re.findall(
            r"-literal -offset indent\n(#!.*?)\.Ed", page, re.S)):
        path = program(place, f"manual-{i}", text)
        setting.write_text(f"{path}\n")
        hup(suite)
        got += [send(suite, "Subject: x"),
                send(suite, "Subject: make money fast")]
    setting.write_text(before)
    hup(suite)
    assert [code for code, _ in got] == [250] * 5 + [550]
    assert got[-1][1] == "5.7.1 We have money already"
    assert b"X-Checked: yes" in delivered(suite, got[2])


# ---- settings ----

def test_reload_loses_no_session(suite, place):
    setting = pathlib.Path(suite.env["CONTROL"], "filter")
    before = setting.read_text()
    refuses = program(place, "refuses", "#!/bin/sh\nexit $1\n")
    old = client(suite)
    assert post(old, suite, "exit 31")[0] == 550
    try:
        # another program, with an argument: for those who are there, too
        setting.write_text(f"{refuses} 71\n")
        hup(suite)
        wait_for(lambda: post(old, suite, PASS)[0] == 451, 5, "the new one")
        # nonsense: the one before stays
        setting.write_text("no/path\n")
        count = suite.log().count("event=config-error file=filter")
        hup(suite)
        suite.wait_log("event=config-error file=filter", count=count + 1)
        assert post(old, suite, PASS)[0] == 451
        # none: new sessions go straight to the queue, old ones keep to it
        setting.unlink()
        hup(suite)
        assert one(suite, "exit 31")[0] == 250
        assert post(old, suite, PASS)[0] == 451
        assert "filter" in suite.roles()
        old.quit()
        wait_for(lambda: "filter" not in suite.roles(), 15, "the role's end")
        assert suite.postern("status").returncode == 0
        assert one(suite, "exit 31")[0] == 250
    finally:
        setting.write_text(before)
    hup(suite)
    assert one(suite, "exit 31")[0] == 550
    assert "filter" in suite.roles()


def test_check_says_what_is_wrong_with_the_program(suite, place):
    if os.geteuid() != 0:
        pytest.skip("only root can give a program away")
    setting = pathlib.Path(suite.env["CONTROL"], "filter")
    before = setting.read_text()
    good = program(place, "good", "#!/bin/sh\n")
    bad = program(place, "bad", "#!/bin/sh\n")
    given = program(place, "given", "#!/bin/sh\n")
    bad.chmod(0o775)
    shutil.chown(given, "nobody")
    open_dir = pathlib.Path(place, "open")
    open_dir.mkdir()
    open_dir.chmod(0o777)
    inside = program(open_dir, "inside", "#!/bin/sh\n")

    def mistakes(text):
        setting.write_text(text + "\n")
        out = suite.postern("check", check=False).stdout
        return " ".join(l for l in out.splitlines() if "filter" in l)
    try:
        for text, wrong in [
                ("bin/x", "absolute path"), ("/no/such/program", "no such"),
                (str(bad), "not be writable"), (str(given), "belong to root"),
                (str(inside), "can be written by others"),
                ("/etc", "not a plain file"),
                ("/etc/passwd", "not executable")]:
            assert wrong in mistakes(text), (text, mistakes(text))
        assert "program" not in mistakes(f"{good} with arguments")
    finally:
        setting.write_text(before)
