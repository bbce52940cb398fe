# SPDX-License-Identifier: ISC
"""smtpd and popup under what starts a program for each connection, or hands
over sockets: tcpserver, inetd, systemd; by the lines of the manual pages."""
import os
import pathlib
import poplib
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import threading

import pytest

from manual import example
from suite import BIN, Suite, free_port, wait_for

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="users, /dev and inetd need root")

USERS = ["--user", "bob@hamburger.edu:hungry"]
SMTPD8, POPUP8 = "smtpd/postern-smtpd.8", "pop3d/postern-popup.8"
START8 = "start/postern-start.8"


@pytest.fixture(scope="module")
def suite():
    folder = tempfile.mkdtemp(prefix="postern-test-")
    os.chmod(folder, 0o755)  # posternd looks for the sockets by itself
    with Suite("--no-first-message", "--domain", "hamburger.edu", *USERS,
               folder=folder) as s:
        yield s


class Server:
    """A super-server, ended with all that it started."""

    def __init__(self, command, root, **env):
        self.log = tempfile.TemporaryFile()
        line = isinstance(command, str)
        self.process = subprocess.Popen(
            "exec " + command if line else command, shell=line, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, "POSTERN_ROOT": str(root), **env})

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *why):
        print("--- its log\n" + self.logged()[-3000:])
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


def connect(to, source=None, timeout=75):
    """As soon as somebody listens.  (tcpserver asks the host's resolver for the
    client's name, and waits up to a minute for one that is silent.)"""
    def once():
        try:
            return socket.create_connection(
                to, timeout, source and (source, 0))
        except ConnectionRefusedError:
            return None
    return wait_for(once, 10, f"a listener on {to}")


def first_line(to, source=None):
    """What the client sees before it says anything, and whether that is all."""
    with connect(to, source) as s:
        f = s.makefile("rb")
        line = f.readline()
        if not line.startswith((b"220 ", b"+OK ")):
            assert f.read() == b"", "more than one line"
        return line


class Session(smtplib.SMTP):
    """SMTP on a socket that is connected already, greeting not read yet."""

    def __init__(self, sock):
        super().__init__()
        self.sock = sock
        self.file = None
        code, text = self.getreply()
        assert code == 220, (code, text)
        self._host = "launcher.test"
        self.ehlo("client.test")


def rcpt(s, address):
    s.rset()
    assert s.mail("alice@crepes.fr")[0] == 250
    return s.rcpt(address)


def send(s, subject):
    s.rset()
    s.sendmail("alice@crepes.fr", ["bob@hamburger.edu"],
               f"Subject: {subject}\r\n\r\n.\r\nthe text\r\n")


def fetch(suite, subject, pop3=None):
    """The message of that subject, through POP3; it is deleted."""
    def look():
        p = poplib.POP3(*(pop3 or suite.pop3), timeout=20)
        p.user("bob@hamburger.edu")
        p.pass_("hungry")
        found = None
        for n in range(1, p.stat()[0] + 1):
            text = b"\n".join(p.retr(n)[1]).decode()
            if f"Subject: {subject}\n" in text:
                found = text
                p.dele(n)
        p.quit()
        return found
    return wait_for(look, 20, subject)


class Broken:
    """A setting that is wrong for a while."""

    def __init__(self, suite, name, text):
        self.path = pathlib.Path(suite.env["CONTROL"], name)
        self.old = self.path.read_text() if self.path.exists() else None
        self.text = text

    def __enter__(self):
        self.path.write_text(self.text + "\n")

    def __exit__(self, *why):
        if self.old is None:
            self.path.unlink()
        else:
            self.path.write_text(self.old)


# ---- tcpserver ----


@pytest.fixture(scope="module")
def tcpserver(suite):
    """By the manual's lines; only places, ports and networks differ."""
    rules = pathlib.Path(suite.folder, "tcp.smtp")
    port = free_port()
    put = {"127.:": "127.0.0.:", "192.0.2.": "127.0.1.",
           "203.0.113.66": "127.0.2.66"}
    rules.write_text(example(SMTPD8, "deny", put=put) +
                     '127.0.3.:allow,RELAYCLIENT="@fixme"\n'
                     '127.0.4.:allow,DATABYTES="lots"\n'
                     '127.0.5.:allow,DATABYTES="99000000"\n'
                     '127.0.6.:allow,TCPREMOTEHOST="mail.crepes.fr"\n'
                     '127.0.7.:allow,TCPREMOTEHOST="a b)x"\n')
    lines = example(SMTPD8, "tcprules", put={
        "/etc/postern/tcp.smtp": rules, " 0 25 ": f" 127.0.0.1 {port} "})
    compile_, serve = lines.splitlines()
    subprocess.run(compile_, shell=True, check=True, timeout=20)
    # one address only in the example's place of "0": all of 127/8 here
    serve = serve.replace("127.0.0.1 ", "0 ")
    with Server(serve, suite.folder) as s:
        s.port = port
        yield s


def test_tcpserver_rules(suite, tcpserver):
    def session(source):
        return Session(connect(("127.0.0.1", tcpserver.port), source))

    with session("127.0.0.1") as s:  # relays
        assert rcpt(s, "x@elsewhere.example")[0] == 250
        assert s.esmtp_features["size"] == "52428800"
        send(s, "by tcpserver")
    text = fetch(suite, "by tcpserver")
    assert "\n.\nthe text" in text and " ([127.0.0.1])\n" in text
    with session("127.0.1.9") as s:  # relays, smaller messages
        assert rcpt(s, "x@elsewhere.example")[0] == 250
        assert s.esmtp_features["size"] == "10000000"
    with session("127.0.9.9") as s:  # a stranger
        assert rcpt(s, "x@elsewhere.example")[0] == 550
        assert rcpt(s, "nobody@hamburger.edu")[0] == 550
        assert rcpt(s, "bob@hamburger.edu")[0] == 250
    with session("127.0.5.1") as s:  # no more than control/databytes
        assert s.esmtp_features["size"] == "52428800"
    with connect(("127.0.0.1", tcpserver.port), "127.0.2.66") as s:
        assert s.recv(100) == b""  # tcpserver's own refusal


def test_tcpserver_names_the_client(suite, tcpserver):
    """-R -l0 look names up; the rules' word stands for that here."""
    for source, said in (("127.0.6.1", "(mail.crepes.fr [127.0.6.1])\n"),
                         ("127.0.7.1", "([127.0.7.1])\n")):
        with Session(connect(("127.0.0.1", tcpserver.port), source)) as s:
            send(s, f"from {source}")
        assert said in fetch(suite, f"from {source}")


@pytest.mark.parametrize("source, why", [
    ("127.0.3.1", "RELAYCLIENT must be empty"),
    ("127.0.4.1", "DATABYTES is no number")])
def test_tcpserver_bad_rule(tcpserver, source, why):
    assert first_line(("127.0.0.1", tcpserver.port), source).startswith(
        b"421 4.3.0 ")
    wait_for(lambda: why in tcpserver.logged(), 5, why)


def test_tcpserver_counts_pop3_sessions(suite):
    """With -c 1 there is one session at a time, to its very end."""
    port = free_port()
    line = example(POPUP8, "tcpserver", put={
        " -c 50 ": " -c 1 ", " 0 110 ": f" 127.0.0.1 {port} "})
    with Server(line, suite.folder):
        first = connect(("127.0.0.1", port))
        f = first.makefile("rb")
        first.sendall(b"USER bob@hamburger.edu\r\nPASS hungry\r\nSTAT\r\n")
        answers = [f.readline() for _ in range(4)]
        assert all(a.startswith(b"+OK") for a in answers), answers
        # popup has handed over; it counts until pop3d ends
        second = connect(("127.0.0.1", port))
        second.settimeout(0.5)
        with pytest.raises(TimeoutError):
            second.recv(1)
        first.sendall(b"QUIT\r\n")
        assert f.readline().startswith(b"+OK") and f.read() == b""
        second.settimeout(10)
        assert second.recv(100).startswith(b"+OK ")
        first.close()
        second.close()


# ---- inetd ----


class Syslog:
    """A /dev/log that programs in a mount namespace of ours see."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="syslog-")
        os.chmod(self.folder, 0o755)
        self.path = self.folder + "/log"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            line = self.socket.recv(65536)
            if line == b"end":
                return
            self.lines.append(line.decode())

    def command(self, *command):
        script = (
            "mount -t tmpfs tmpfs /dev && for n in null:3 zero:5 urandom:9; do"
            " mknod -m 666 /dev/${n%:*} c 1 ${n#*:} || exit; done &&"
            f" touch /dev/log && mount --bind {self.path} /dev/log &&"
            ' exec "$@"')
        return ["unshare", "-m", "--propagation", "private", "sh", "-c",
                script, "sh", *command]

    def wait(self, *words):
        wait_for(lambda: any(all(w in l for w in words) for l in self.lines),
                 10, f"{words} in {self.lines}")

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", self.path)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def syslog():
    s = Syslog()
    yield s
    s.close()


@pytest.fixture(scope="module")
def inetd(suite, syslog):
    """{"smtp": (v4, v6), "pop3": (v4, v6)} under openbsd-inetd."""
    ports, conf = {}, ""
    for page, name in ((SMTPD8, "smtp"), (POPUP8, "pop3")):
        four, six = example(page, "stream tcp6").splitlines()
        ports[name] = (("127.0.0.1", free_port()),
                       ("::1", free_port(socket.AF_INET6)))
        for line, (host, port) in zip((four, six), ports[name]):
            # all addresses in the manual, a port of our own here
            host = f"[{host}]" if ":" in host else host
            conf += f"{host}:{port}{line.removeprefix(name)}\n"
    path = pathlib.Path(suite.folder, "inetd.conf")
    path.write_text(conf)
    inetd_ = shutil.which("inetd", path=os.environ["PATH"] + ":/usr/sbin")
    with Server(syslog.command(inetd_, "-E", "-i", str(path)), suite.folder):
        yield ports


@pytest.mark.parametrize("family", [0, 1])
def test_inetd(suite, inetd, syslog, family):
    to = inetd["smtp"][family]
    with Session(connect(to)) as s:
        assert rcpt(s, "x@elsewhere.example")[0] == 550
        send(s, f"by inetd {family}")
    text = fetch(suite, f"by inetd {family}", pop3=inetd["pop3"][family])
    assert f" ([{'IPv6:::1' if family else '127.0.0.1'}])\n" in text
    # the log of both went to syslog
    syslog.wait("<22>postern: t=", " role=smtpd event=refused ",
                f"ip={to[0]} ")
    syslog.wait(" role=smtpd event=end ", "messages=1", "reason=quit")


def test_inetd_with_a_broken_configuration(suite, inetd, syslog):
    """One line of protocol; the reason is in the log, and only there."""
    with Broken(suite, "databytes", "many"):
        assert first_line(inetd["smtp"][0]) == \
            b"421 4.3.0 Service not available now, try again later\r\n"
    syslog.wait("<19>", " event=config-error file=databytes line=1 ")
    syslog.wait("<19>", " role=smtpd event=exit ", "the control files are wrong")
    # POP3 has a default for its one setting
    with Broken(suite, "timeoutpop3", "soon"):
        assert first_line(inetd["pop3"][0]).startswith(b"+OK ")
    syslog.wait(" role=popup event=config-error file=timeoutpop3 ")


def test_inetd_without_a_log(suite):
    """No /dev/log: the client sees the protocol and nothing else."""
    ours, theirs = socket.socketpair()
    with Broken(suite, "databytes", "many"):
        p = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c",
             "mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3 &&"
             f" exec {BIN}/postern-smtpd"], stdin=theirs, stdout=theirs,
            stderr=theirs, env={**os.environ, "POSTERN_ROOT": suite.folder})
        theirs.close()
        ours.settimeout(20)
        assert ours.makefile("rb").read() == \
            b"421 4.3.0 Service not available now, try again later\r\n"
        assert p.wait(10) == 100
        ours.close()


@pytest.mark.parametrize("program, said", [
    ("smtpd", b"421 4.3.0 Service not available now, try again later\r\n"),
    ("popup", b"-ERR [SYS/TEMP] no service now, try again later\r\n")])
def test_the_wrong_user_in_inetd_conf(suite, program, said):
    """queued and userd would not believe it, so it says so at once."""
    ours, theirs = socket.socketpair()
    p = subprocess.Popen(
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
         f"{BIN}/postern-{program}"], stdin=theirs, stdout=theirs,
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "POSTERN_ROOT": suite.folder})
    theirs.close()
    ours.settimeout(20)
    assert ours.makefile("rb").read() == said
    log = p.communicate(timeout=10)[1]
    assert p.returncode == 100
    assert "event=wrong-user uid=65534 wanted=postern" in log
    assert "start this program as root or as its user" in log
    ours.close()


# ---- systemd ----


def exec_start(page, template):
    """The command of the page's unit; the units are checked by systemd."""
    socket_unit = example(page, "[Socket]")
    service = example(page, "[Service]")
    with tempfile.TemporaryDirectory() as d:
        name = template.removesuffix("@.service")
        pathlib.Path(d, template).write_text(service)
        pathlib.Path(d, name + ".socket").write_text(socket_unit)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
             d + "/" + name + ".socket", d + "/" + template],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60)
        assert done.returncode == 0, done.stdout
    line, = [l for l in service.splitlines() if l.startswith("ExecStart=")]
    assert "Accept=yes" in socket_unit and "StandardInput=socket" in service
    return line.removeprefix("ExecStart=")


@pytest.mark.parametrize("host, family", [
    ("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_systemd_accept(suite, host, family):
    smtp, pop3 = (host, free_port(family)), (host, free_port(family))
    at = f"[{host}]:%d" if ":" in host else f"{host}:%d"
    command = ["systemd-socket-activate", "-a", "--inetd", "-E",
               "POSTERN_ROOT", "-l"]
    with Server([*command, at % smtp[1],
                 exec_start(SMTPD8, "postern-smtpd@.service")], suite.folder), \
         Server([*command, at % pop3[1],
                 exec_start(POPUP8, "postern-popup@.service")], suite.folder):
        with Session(connect(smtp)) as s:
            send(s, f"by systemd {host}")
        connect(pop3).close()
        text = fetch(suite, f"by systemd {host}", pop3=pop3)
    assert f"[{'IPv6:' if ':' in host else ''}{host}])\n" in text


def test_systemd_passes_listening_sockets(suite):
    """postern-start takes them in place of binding its own."""
    line = example(START8, "systemd-socket-activate")
    four, six, pop3 = (("127.0.0.1", free_port()),
                       ("::1", free_port(socket.AF_INET6)),
                       ("127.0.0.1", free_port()))
    line = line.replace("-l 25 ", f"-l 127.0.0.1:{four[1]} -l [::1]:{six[1]} ")
    line = line.replace("-l 110 ", f"-l 127.0.0.1:{pop3[1]} ")
    line = line.replace("smtp:pop3", "smtp:smtp:pop3")
    line = line.replace("activate ", "activate -E POSTERN_ROOT ")
    line = line.replace(" postern-start", f" {BIN}/postern-start")
    suite.stop()
    # what the files say is not bound
    taken = socket.create_server(suite.smtp)
    try:
        with Server(line, suite.folder) as server:
            with Session(connect(four)) as s:
                send(s, "passed over IPv4")
            with Session(connect(six)) as s:
                send(s, "passed over IPv6")
            assert "([127.0.0.1])" in fetch(suite, "passed over IPv4", pop3)
            assert "([IPv6:::1])" in fetch(suite, "passed over IPv6", pop3)
            log = server.logged()
            assert "event=passed-sockets service=smtp count=2" in log
            assert "event=passed-sockets service=pop3 count=1" in log
    finally:
        taken.close()
        suite.start()


@pytest.mark.parametrize("name, listen, why", [
    ("imap", "127.0.0.1:0", "neither smtp nor pop3"),
    ("smtp", "/socket", "no listening TCP socket")])
def test_a_passed_socket_must_be_of_a_service(name, listen, why):
    """Refused before anything is opened, with what to write instead."""
    kind = socket.AF_UNIX if listen[0] == "/" else socket.AF_INET
    with tempfile.TemporaryDirectory() as root, socket.socket(kind) as s:
        s.bind(root + listen if kind == socket.AF_UNIX else ("127.0.0.1", 0))
        s.listen()
        done = subprocess.run(
            ["bash", "-c", f'exec 3<&{s.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 '
             f'LISTEN_FDNAMES={name} exec "$0"', str(BIN / "postern-start")],
            pass_fds=[s.fileno()], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            timeout=20, env={**os.environ, "POSTERN_ROOT": root})
    assert done.returncode == 100, done
    assert why in done.stderr and "FileDescriptorName=smtp or pop3" in \
        done.stderr


# ---- the suite beside them ----


def test_none_leaves_the_port_to_others(suite):
    with Broken(suite, "smtplisten", "none"):
        suite.stop()
        pop3 = suite.pop3
        suite.try_("--background")
        assert "listen-smtp" not in suite.roles()
        assert "listen-pop3" in suite.roles()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(suite.smtp, 5)
        assert first_line(pop3).startswith(b"+OK ")
        assert suite.postern("status").returncode == 0
        assert "smtplisten" not in suite.postern("check", check=False).stdout
        os.kill(suite.roles()["start"], signal.SIGHUP)
        suite.wait_log("event=reload by=SIGHUP")
        assert "event=listen-unchanged" not in suite.log()
    os.kill(suite.roles()["start"], signal.SIGHUP)
    suite.wait_log("event=listen-unchanged file=smtplisten")
    suite.stop()
    suite.start()


def test_changed_addresses_are_told_at_a_reload(suite):
    pid = suite.roles()["start"]
    told, reloads = (suite.log().count(f"role=start event={e} ")
                     for e in ("listen-unchanged", "reload"))
    os.kill(pid, signal.SIGHUP)
    suite.wait_log("event=reload by=SIGHUP", count=reloads + 1)
    assert suite.log().count("event=listen-unchanged ") == told
    with Broken(suite, "pop3listen", "127.0.0.1:1"):
        os.kill(pid, signal.SIGHUP)
        suite.wait_log("event=listen-unchanged file=pop3listen fix=.restart")


def test_a_stopped_suite(suite, tcpserver, syslog, inetd):
    """421 or -ERR, and the reason in the log.  (Last: the suite is down.)"""
    suite.stop()
    assert first_line(("127.0.0.1", tcpserver.port)).startswith(b"421 4.3.0 ")
    wait_for(lambda: "event=connect to=queue" in tcpserver.logged(), 5, "log")
    assert "does postern-start run?" in tcpserver.logged()
    assert first_line(inetd["pop3"][0]) == \
        b"-ERR [SYS/TEMP] no service now, try again later\r\n"
    syslog.wait(" role=popup event=exit ", "does postern-start run?")
