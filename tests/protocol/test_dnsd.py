# SPDX-License-Identifier: ISC
"""postern-dnsd with nsd as its resolver, as in the namespaces of the end-to-end
test: authoritative, no recursion offered; and with a signed root of our own."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from roles import Role, packet, text, u32

A, PTR, MX, TXT, AAAA, TLSA = 1, 12, 15, 16, 28, 52
OK, NO_NAME, NO_RECORD, FAILED, BOGUS = range(5)
INSECURE, SECURE, UNKNOWN = range(3)

ZONE = """$ORIGIN test.example.
$TTL 60
@ IN SOA ns root 1 60 60 60 60
@ IN NS ns
ns IN A 127.0.0.1
@ IN MX 20 MX2
@ IN MX 10 mx1
mx1 IN A 192.0.2.1
mx1 IN AAAA 2001:db8::1
null IN MX 0 .
alias IN CNAME mx1
text IN TXT "v=spf1" " -all"
bad IN MX 10 not\\032a\\032host
_25._tcp.mx1 IN TLSA 3 1 1 00010203
""" + "".join(f"big IN MX {i} a-rather-long-host-name-number-{i}\n"
              for i in range(100))

pytestmark = pytest.mark.skipif(shutil.which("nsd") is None,
                                reason="nsd is not installed")


def free_port():
    """Free for UDP and for TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


class Nsd:
    def __init__(self, zones):
        self.zones = zones
        self.folder = tempfile.mkdtemp(prefix="postern-nsd-")
        os.chmod(self.folder, 0o755)

    def __enter__(self):
        for _ in range(3):  # another test may take the port meanwhile
            self.port = free_port()
            if self.started():
                return self
        raise AssertionError(open(self.log.name).read())

    def started(self):
        conf = [f"""server:
  ip-address: 127.0.0.1@{self.port}
  username: ""
  zonesdir: "{self.folder}"
  pidfile: ""
  database: ""
  xfrdfile: "{self.folder}/xfrd"
  zonelistfile: "{self.folder}/list"
  xfrdir: "{self.folder}"
  server-count: 1
remote-control:
  control-enable: no
"""]
        for i, (name, content) in enumerate(self.zones.items()):
            pathlib.Path(self.folder, f"z{i}").write_text(content)
            conf.append(f'zone:\n  name: "{name}"\n  zonefile: "z{i}"\n')
        path = pathlib.Path(self.folder, "nsd.conf")
        path.write_text("".join(conf))
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            ["nsd", "-d", "-c", str(path)], stdout=self.log, stderr=self.log,
            stdin=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as s:
                if self.process.poll() is None and s.connect_ex(
                        ("127.0.0.1", self.port)) == 0:
                    return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return False

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Dnsd(Role):
    def __init__(self, resolvers, **kw):
        super().__init__("postern-dnsd", {"resolvers": resolvers}, **kw)
        self.key = 0

    def start(self):
        super().start()
        self.dial = self.link("dial")
        return self

    def send(self, name, kind):
        self.key += 1
        self.dial.send(b"Q" + u32(self.key) + u32(kind) + text(name))
        return self.key

    def answer(self, timeout=30):
        """key, status, security, ttl, [records]"""
        p = packet(self.dial, timeout)
        assert p.type == "A"
        return p.u32(), p.u8(), p.u8(), p.u32(), p

    def ask(self, name, kind, timeout=30):
        key = self.send(name, kind)
        got, status, security, ttl, p = self.answer(timeout)
        assert got == key
        records = [(p.u32(), p.str()) if kind == MX else p.bytes()
                   for _ in range(p.u32())]
        p.end()
        return status, records, security, ttl


@pytest.fixture(scope="module")
def dnsd():
    with Nsd({"test.example": ZONE,
              "lab.test": ZONE.replace("test.example", "lab.test")}) as nsd:
        with Dnsd(f"127.0.0.1@{nsd.port}") as d:
            yield d


V4 = socket.inet_aton


def test_answers(dnsd):
    assert dnsd.ask("Test.Example", MX)[:2] == (
        OK, [(10, "mx1.test.example"), (20, "mx2.test.example")]) or \
        sorted(dnsd.ask("test.example", MX)[1]) == [
            (10, "mx1.test.example"), (20, "mx2.test.example")]
    status, records, security, ttl = dnsd.ask("mx1.test.example", A)
    assert (status, records, security) == (OK, [V4("192.0.2.1")], UNKNOWN)
    assert 0 < ttl <= 60
    assert dnsd.ask("mx1.test.example.", AAAA)[1] == [
        socket.inet_pton(socket.AF_INET6, "2001:db8::1")]
    assert dnsd.ask("alias.test.example", A)[1] == [V4("192.0.2.1")]
    assert dnsd.ask("null.test.example", MX)[:2] == (OK, [(0, "")])
    assert dnsd.ask("text.test.example", TXT)[1] == [b"v=spf1 -all"]
    assert dnsd.ask("_25._tcp.mx1.test.example", TLSA)[1] == [
        bytes([3, 1, 1, 0, 1, 2, 3])]


def test_nothing_there(dnsd):
    assert dnsd.ask("nowhere.test.example", MX)[:2] == (NO_NAME, [])
    assert dnsd.ask("mx1.test.example", MX)[:2] == (NO_RECORD, [])
    # nsd refuses what it does not serve: not the same as "no such name"
    assert dnsd.ask("example.org", MX)[:2] == (FAILED, [])


def test_host_names_are_checked(dnsd):
    assert dnsd.ask("bad.test.example", MX)[:2] == (OK, [])


def test_long_answer_over_tcp_is_capped(dnsd):
    status, records, _, _ = dnsd.ask("big.test.example", MX)
    assert status == OK
    assert len(records) == 64


def test_private_names_are_asked(dnsd):
    assert len(dnsd.ask("lab.test", MX)[1]) == 2


def test_bad_questions(dnsd):
    for name, kind in (("a b", A), ("", A), ("x" * 64, A), ("test.example", 255),
                       ("test.example", 0)):
        assert dnsd.ask(name, kind)[0] == FAILED
    for junk in (b"Q", b"?", b"Q" + u32(1) + u32(1) + u32(1 << 30),
                 b"Q" * 5000):
        dnsd.dial.send(junk)
    assert dnsd.ask("mx1.test.example", A)[0] == OK


def test_many_at_once(dnsd):
    keys = {dnsd.send(f"n{i}.test.example", A) for i in range(150)}
    for _ in range(150):
        key, status, *_ = dnsd.answer()
        assert status == NO_NAME
        keys.remove(key)
    assert not keys


def test_a_new_link(dnsd):
    dnsd.send("mx1.test.example", A)
    dnsd.dial.close()
    dnsd.dial = dnsd.link("dial")
    assert dnsd.ask("mx1.test.example", A)[0] == OK


def test_silent_resolver_ends_in_time():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with Dnsd(f"127.0.0.1@{silent.getsockname()[1]}") as d:
            began = time.time()
            assert d.ask("a.example", MX, 40)[:2] == (FAILED, [])
            assert time.time() - began < 30


def test_second_resolver_is_used():
    with Nsd({"test.example": ZONE}) as nsd:
        with Dnsd(f"127.0.0.1@{free_port()}\n127.0.0.1@{nsd.port}") as d:
            assert d.ask("mx1.test.example", A)[0] == OK


def test_wrong_resolvers():
    with pytest.raises(AssertionError, match="config-error"):
        Dnsd("not an address").start()


# ---- DNSSEC, with a root of our own ----

def signed(name, content, folder):
    """The signed zone and its DS record."""
    path = os.path.join(folder, "zone")
    pathlib.Path(path).write_text(content)
    keys = []
    for flags in ([], ["-k"]):
        done = subprocess.run(
            ["ldns-keygen", "-a", "ECDSAP256SHA256", *flags, name],
            cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
        keys.append(done.stdout.strip())
    subprocess.run(["ldns-signzone", "-o", name, "zone", *keys], cwd=folder,
                   check=True)
    ds = subprocess.run(["ldns-key2ds", "-n", "-2", keys[1] + ".key"],
                        cwd=folder, check=True, stdout=subprocess.PIPE,
                        text=True).stdout
    return pathlib.Path(path + ".signed").read_text(), ds


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ldns-signzone"),
                    reason="needs root and ldnsutils")
def test_dnssec(tmp_path):
    good, ds = signed("good.example.", ZONE.replace("test.ex", "good.ex"),
                      tmp_path)
    root, anchor = signed(".", f"""$ORIGIN .
$TTL 60
@ IN SOA ns.example. root.example. 1 60 60 60 60
@ IN NS ns.example.
ns.example. IN A 127.0.0.1
good.example. IN NS ns.example.
bogus.example. IN NS ns.example.
plain.example. IN NS ns.example.
{ds}{ds.replace("good.example.", "bogus.example.")}""", tmp_path)
    (tmp_path / "root.key").write_text(anchor)
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents[:2]:
        if not parent.stat().st_mode & 0o001:  # not of /tmp
            os.chmod(parent, 0o755)
    # dnsd reads the anchor of the distribution; here it is ours
    mine = ["unshare", "-m", "sh", "-c",
            f"mount --bind {tmp_path}/root.key /usr/share/dns/root.key && "
            'exec "$0"']
    zones = {".": root, "good.example": good,
             "bogus.example": ZONE.replace("test.ex", "bogus.ex"),
             "plain.example": ZONE.replace("test.ex", "plain.ex")}
    with Nsd(zones) as nsd:
        with Dnsd(f"127.0.0.1@{nsd.port}", prefix=mine) as d:
            time.sleep(1)
            assert "state=validating" in d.log()
            assert d.ask("good.example", MX)[::2] == (OK, SECURE)
            assert d.ask("nowhere.good.example", MX)[::2] == (NO_NAME, SECURE)
            assert d.ask("plain.example", MX)[::2] == (OK, INSECURE)
            assert d.ask("bogus.example", MX)[0] == BOGUS
    # an upstream without signatures: unknown, never bogus
    with Nsd({"good.example": ZONE.replace("test.ex", "good.ex"),
              "example": "$TTL 60\nexample. IN SOA a b 1 1 1 1 1\n"}) as nsd:
        with Dnsd(f"127.0.0.1@{nsd.port}", prefix=mine) as d:
            time.sleep(1)
            assert "state=unknown" in d.log()
            assert d.ask("good.example", MX)[::2] == (OK, UNKNOWN)
