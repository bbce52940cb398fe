# SPDX-License-Identifier: ISC
"""`postern doctor` in a network namespace with addresses of its own and nsd as
the DNS: one host on which all is well, and one zone for each thing that can be
wrong."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from dns_world import Nsd, free_port, signed
from roles import enter_netns
from suite import BIN, wait_for
from test_check import SOUND, write

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nsd") or
    not shutil.which("ldns-signzone"), reason="needs root, nsd and ldnsutils")

OWN = ["5.6.7.8", "5.6.7.9", "5.6.7.10", "5.6.7.12", "5.6.7.13"]
SIX = "2a0c:5::8"
SPF = '"v=spf1 mx -all"'
DMARC = '"v=DMARC1; p=reject"'

HEAD = "$TTL 60\n@ IN SOA ns.test. root.test. 1 60 60 60 60\n@ IN NS ns.test.\n"

# name in "test.": what is wrong; (test, level, text, what to type)
BAD = {
    "nomx": (f"TXT {SPF}", [
        ("mx", "fail", "nomx.test has no MX", "nomx.test. IN MX 10 mail."),
        ("spf", "fail", "nomx.test gives fail for 5.6.7.8 (all)",
         'nomx.test. IN TXT "v=spf1 mx -all"')]),
    "only-a": ("A 5.6.7.8", [
        ("mx", "warn", "only-a.test has no MX; its address is here",
         "only-a.test. IN MX 10 mail.good.test.")]),
    "null": ("MX 0 .", [
        ("mx", "fail", "null.test says that it takes no mail",
         "null.test. IN MX 10 mail.good.test.")]),
    "away": (f"MX 10 mx.far\nTXT {SPF}", [
        ("mx", "fail", "away.test has its mail sent elsewhere, to mx.far.test",
         "away.test. IN MX 10 mail.good.test.")]),
    "nospf": ("MX 10 mail.good", [
        ("spf", "fail", "nospf.test has no SPF record",
         'nospf.test. IN TXT "v=spf1 mx -all"'),
        ("dmarc", "warn", "nospf.test has no DMARC record",
         '_dmarc.nospf.test. IN TXT "v=DMARC1; p=none; '
         'rua=mailto:postmaster@nospf.test"')]),
    "twospf": (f'MX 10 mail.good\nTXT {SPF}\nTXT "v=spf1 -all"', [
        ("spf", "fail", "twospf.test gives permerror for 5.6.7.8 (several "
         "records at twospf.test)", None)]),
    "softspf": ('MX 10 mail.good\nTXT "v=spf1 ip4:192.0.2.1 ~all"', [
        ("spf", "fail", "softspf.test gives softfail for 5.6.7.8", None)]),
    "typospf": ('MX 10 mail.good\nTXT "v=spf1 ipv4:5.6.7.8 -all"', [
        ("spf", "fail", "typospf.test gives permerror", None)]),
    "incspf": ('MX 10 mail.good\nTXT "v=spf1 include:spf.far.test -all"', [
        ("spf", "ok", "incspf.test lets this host send", None)]),
    "macro": ('MX 10 mail.good\nTXT "v=spf1 exists:%{i}.x.test -all"', [
        ("spf", "warn", "what macro.test says of 5.6.7.8 depends", None)]),
    "evil": ('MX 10 mail.good\nTXT "v=spf1 \\027[31mred\\007 -all"', [
        ("spf", "fail", "a mistake at ?[31mred?)", None)]),
    "baddmarc": (f'MX 10 mail.good\nTXT {SPF}', [
        ("dmarc", "fail", "the record of baddmarc.test has no policy", None)]),
    "sub.good": (f"MX 10 mail.good\nTXT {SPF}", [
        ("mx", "ok", "sub.good.test has mail.good.test", None),
        ("dmarc", "ok", "sub.good.test has policy reject (at good.test)",
         None)]),
}

# control/me: what is wrong
HOSTS = {
    "nothing.test": [
        ("hostname", "fail", "nothing.test has no address",
         "nothing.test. IN A 5.6.7.8"),
        ("hostname", "fail", "", f"nothing.test. IN AAAA {SIX}"),
        ("port-in", "skip", "not before nothing.test has an address", None)],
    "far.test": [
        ("hostname", "fail", "far.test has 9.8.7.6, which is no address of "
         "this host", "far.test. IN A 5.6.7.8")],
    "noptr.test": [
        ("ptr", "fail", "5.6.7.10 has no name",
         "10.7.6.5.in-addr.arpa. IN PTR noptr.test."),
        ("hostname", "warn", "this host has IPv6, and noptr.test has no AAAA",
         f"noptr.test. IN AAAA {SIX}"),
        ("port-in", "fail", "5.6.7.10, port 25: Connection refused", None)],
    "liar.test": [
        ("ptr", "fail", "5.6.7.12 is fake.test, which does not have that "
         "address", "12.7.6.5.in-addr.arpa. IN PTR liar.test.")],
    "second.test": [
        ("ptr", "warn", "5.6.7.13 is first.test (and back), which is not",
         "echo first.test >")],
}

TEST = HEAD + """ns IN A 127.0.0.1
good IN MX 10 mail.good
good IN TXT "some other text"
""" + f"""good IN TXT {SPF}
_dmarc.good IN TXT {DMARC}
_dmarc.baddmarc IN TXT "v=DMARC1; rua=mailto:x@y.test"
mail.good IN A 5.6.7.8
mail.good IN AAAA {SIX}
far IN A 9.8.7.6
mx.far IN A 9.8.7.6
spf.far IN TXT "v=spf1 ip4:5.6.7.0/24 ip6:2a0c:5::/32 -all"
noptr IN A 5.6.7.10
liar IN A 5.6.7.12
second IN A 5.6.7.13
first IN A 5.6.7.13
out IN MX 10 mx.out
mx.out IN A 5.6.7.9
shut IN MX 10 mx.shut
mx.shut IN A 5.6.7.10
""" + "".join(f"{name} IN {record}\n" for name, (records, _) in BAD.items()
              for record in records.split("\n"))

ARPA = HEAD + "".join(
    f"{'.'.join(reversed(ip.split('.')))}.in-addr IN PTR {name}.test.\n"
    for ip, name in (("5.6.7.8", "mail.good"), ("5.6.7.12", "fake"),
                     ("5.6.7.13", "first"))) + \
    ".".join(reversed("2a0c0005" + "0" * 23 + "8")) + \
    ".ip6 IN PTR mail.good.test.\n"


class Greeter:
    """Says 220 to whoever comes."""

    def __init__(self, address):
        self.sock = socket.create_server((address, 25))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            conn.sendall(b"220 \x1b[31mhere\r\n")
            conn.close()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class World:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="postern-doctor-")
        os.chmod(self.folder, 0o755)
        self.control = pathlib.Path(self.folder, "etc/postern")
        # the sanitizers' options among it
        self.env = {**os.environ, "POSTERN_ROOT": self.folder}
        self.start = None

    def put(self, **files):
        write(self.control, {n: v + "\n" for n, v in files.items()})

    def begin(self):
        subprocess.run([str(BIN / "postern"), "init"], env=self.env,
                       check=True, stdout=subprocess.DEVNULL)
        users = SOUND["users/users"].replace("example.org", "good.test")
        write(self.control, {"users/users": users})
        self.put(me="mail.good.test", locals="good.test",
                 postmaster="alice@good.test", smtplisten="5.6.7.8:25\n"
                 f"[{SIX}]:25", pop3listen="127.0.0.1:110",
                 resolvers=f"127.0.0.1@{self.nsd.port}")

    def run_suite(self):
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.start = subprocess.Popen(
            [str(BIN / "postern-start")], env=self.env, stderr=self.log)
        wait_for(lambda: subprocess.run(
            [str(BIN / "postern"), "status"], env=self.env,
            stdout=subprocess.DEVNULL).returncode == 0, 15, "the suite")

    def stop_suite(self):
        if self.start is not None:
            self.start.send_signal(signal.SIGTERM)
            assert self.start.wait(20) == 0
            self.start = None

    def doctor(self, *args, prefix=()):
        out = subprocess.run(
            [*self.prefix, *prefix, str(BIN / "postern"), "doctor", *args],
            env=self.env, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL)
        assert not out.stderr, out
        return out

    def findings(self, *args, **kw):
        """[(test, level, found, fix)]; the exit code fits them."""
        out = self.doctor("--json", *args, **kw)
        rows = [json.loads(line) for line in out.stdout.splitlines()]
        levels = {r["level"] for r in rows}
        assert out.returncode == (
            2 if "fail" in levels else 1 if levels - {"ok"} else 0), out
        return [(r["test"], r["level"], r["found"], r["fix"]) for r in rows]


@pytest.fixture(scope="module")
def world():
    name = f"doctor{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    back = enter_netns(name)
    w = World()
    try:
        for ip in OWN:
            subprocess.run(["ip", "addr", "add", f"{ip}/32", "dev", "lo"],
                           check=True)
        subprocess.run(["ip", "addr", "add", f"{SIX}/128", "dev", "lo",
                        "nodad"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        root, anchor = signed(".", HEAD.replace("@", ".") +
                              "test. IN NS ns.test.\narpa. IN NS ns.test.\n"
                              "ns.test. IN A 127.0.0.1\n", w.folder)
        pathlib.Path(w.folder, "root.key").write_text(anchor)
        pathlib.Path(w.folder, "hosts").write_text("127.0.0.1 localhost\n")
        # the anchor and the hosts of the machine are ours, for the doctor
        w.prefix = ["unshare", "-m", "sh", "-c",
                    f"mount --bind {w.folder}/root.key "
                    "/usr/share/dns/root.key && "
                    f"mount --bind {w.folder}/hosts /etc/hosts && "
                    'exec "$0" "$@"']
        with Nsd({".": root, "test": TEST, "arpa": ARPA}) as w.nsd:
            w.begin()
            yield w
            w.stop_suite()
    finally:
        enter_netns(back)
        subprocess.run(["ip", "netns", "del", name], check=True)
        shutil.rmtree(w.folder, ignore_errors=True)


def has(found, test, level, text, typed):
    return [f for f in found if f[:2] == (test, level) and text in f[2] and
            (typed is None or any(typed in line for line in f[3]))]


def test_domains_that_are_wrong(world):
    """All in one run; nothing listens yet."""
    world.put(locals="\n".join(["good.test", *(f"{n}.test" for n in BAD)]))
    try:
        found = world.findings("--out", "shut.test")
    finally:
        world.put(locals="good.test")
    for name, (_, expected) in BAD.items():
        for row in expected:
            assert has(found, *row), (row, [f for f in found if name in f[2]])
    assert has(found, "mx", "ok", "good.test has mail.good.test", None)
    assert has(found, "service", "fail", "does not run", "postern-start")
    assert has(found, "port-in", "fail", "5.6.7.8, port 25: Connection "
               "refused", "postern-start")
    assert has(found, "port-out", "fail", "mx.shut.test: Connection refused",
               "many providers keep port 25 closed")


@pytest.mark.parametrize("me", HOSTS)
def test_hosts_that_are_wrong(world, me):
    world.put(me=me)
    try:
        found = world.findings()
    finally:
        world.put(me="mail.good.test")
    for row in HOSTS[me]:
        assert has(found, *row), (row, found)


def test_another_mta_has_port_25(world):
    other = Greeter("5.6.7.8")
    try:
        found = world.findings()
    finally:
        other.close()
    row = has(found, "port-25", "fail", f"(pid {os.getpid()}) listens there",
              "systemctl disable --now " if os.path.isdir(
                  "/run/systemd/system") else f"kill {os.getpid()}")
    assert row, found
    # its greeting is shown without what would colour a terminal
    assert has(found, "port-in", "ok", "220 ?[31mhere", "nc -w 10 mail.good")


def test_port_25_is_left_to_others_or_to_nobody(world):
    """Behind tcpserver, and on a host that only sends."""
    world.put(smtplisten="none")
    try:
        found = world.findings()
        other = Greeter("5.6.7.8")
        try:
            behind = world.findings()
        finally:
            other.close()
    finally:
        world.begin()
    assert has(found, "port-25", "ok", "nothing else listens there", None), found
    assert has(found, "port-in", "skip", "no mail comes in from other hosts", None), found
    assert has(behind, "port-25", "ok", "listens there, and control/smtplisten", None), behind
    assert has(behind, "port-in", "ok", "5.6.7.8 answers on port 25", "nc -w 10 "), behind


def test_settings_that_are_wrong(world):
    world.put(databytes="many", helohost="nowhere.test",
              postmaster="nobody@good.test", smtplisten="127.0.0.1:2525",
              smtproutes=":mx.out.test:26", spoolfloormb="1000000000")
    os.chmod(world.control / "me", 0o600)
    pathlib.Path(world.folder, "hosts").write_text(
        "127.0.0.1 localhost\n127.0.1.1 mail.good.test mail # Debian's\n")
    try:
        found = world.findings()
    finally:
        for name in ("databytes", "helohost", "smtproutes", "spoolfloormb"):
            (world.control / name).unlink()
        world.begin()
        pathlib.Path(world.folder, "hosts").write_text("127.0.0.1 localhost\n")
    for row in [
            ("layout", "fail", "owners or modes are wrong: 1 mistake, ",
             "postern check"),
            ("settings", "fail", "1 mistake, ", "postern check"),
            ("postmaster", "fail", "do not all arrive", "postern check"),
            ("helo", "fail", "nowhere.test, which is said in EHLO",
             "/etc/postern/helohost"),
            ("disk", "fail", "inodes free for", "make room: new mail is"),
            ("hosts", "warn", "/etc/hosts has 127.0.1.1 mail.good.test mail:",
             "write its public address there"),
            ("port-in", "warn", "control/smtplisten has no port 25",
             "/etc/postern/smtplisten"),
            # the smarthost is asked without --out
            ("port-out", "fail", "mx.out.test: Connection refused",
             "ask that host's postmaster")]:
        assert has(found, *row), (row, found)


def test_without_dns(world):
    world.put(resolvers=f"127.0.0.1@{free_port()}")
    try:
        found = world.findings()
    finally:
        world.put(resolvers=f"127.0.0.1@{world.nsd.port}")
    assert has(found, "resolver", "fail", "do not answer about mail.good.test",
               "apt-get install unbound"), found
    for test in ("names", "port-in"):
        assert has(found, test, "skip", "not without the DNS", None), found


def test_without_a_suite(world, tmp_path):
    out = subprocess.run(
        [str(BIN / "postern"), "doctor"], capture_output=True, text=True,
        env={**world.env, "POSTERN_ROOT": str(tmp_path)}, timeout=30)
    assert out.returncode == 2 and not out.stderr
    assert out.stdout.startswith("FAIL  suite ")
    assert "\n                       postern init\n" in out.stdout


# what the machine that runs the tests is like is not ours to say
MACHINE = {"clock", "disk", "spool", "mailboxes", "service"}


def test_a_host_where_all_is_well(world):
    world.run_suite()
    other = Greeter("5.6.7.9")
    try:
        found = world.findings("--out", "out.test")
        wrong = [f for f in found if f[1] != "ok" and f[0] not in MACHINE]
        assert not wrong, wrong
        for row in [
                ("port-25", "ok", "is Postern's", None),
                ("dnssec", "ok", "answers are checked", None),
                ("hostname", "ok", "mail.good.test has 5.6.7.8 and "
                 f"{SIX}", None),
                ("ptr", "ok", "5.6.7.8 is mail.good.test, and back", None),
                ("ptr", "ok", f"{SIX} is mail.good.test, and back", None),
                ("spf", "ok", "good.test lets this host send", None),
                ("dmarc", "ok", "good.test has policy reject", None),
                ("port-in", "ok", "5.6.7.8 answers on port 25: 220 mail.good",
                 "nc -w 10 mail.good.test 25"),
                ("port-in", "ok", f"{SIX} answers on port 25: 220", None),
                ("port-out", "ok", "mx.out.test (5.6.7.9) greets on port 25",
                 None)]:
            assert has(found, *row), (row, found)
        # without consent nobody is connected to
        assert has(world.findings(), "port-out", "skip", "no connection",
                   "postern doctor --out example.com")
        # as text: the same, in 80 columns but for what is to be typed
        text = world.doctor("--out", "out.test").stdout
        lines = text.splitlines()
        assert [r[:2] for r in found] == [
            (line.split()[1], line.split()[0].lower().replace("-", "skip"))
            for line in lines if re.match(r"\S", line)][:-1]
        assert all(len(line) <= 80 for line in lines
                   if not line.startswith(" " * 23)), text
        # an ordinary user is told what only root can see
        found = world.findings(prefix=["runuser", "-u", "nobody", "--"])
        assert has(found, "hostname", "ok", "mail.good.test has", None), found
        assert has(found, "port-25", "skip", "only root can see what", None)
    finally:
        other.close()
        world.stop_suite()


def test_arguments(world):
    for args in (["--out"], ["--out", "not a domain"], ["--nonsense"], ["x"]):
        out = subprocess.run([str(BIN / "postern"), "doctor", *args],
                             capture_output=True, text=True, env=world.env)
        assert out.returncode == 100 and not out.stdout and out.stderr, args
