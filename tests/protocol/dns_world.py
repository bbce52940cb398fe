# SPDX-License-Identifier: ISC
"""nsd with zones of our own, and postern-dnsd that asks it."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from roles import Role, packet, text, u32

MX = 15


def zone(name, records):
    """One for Nsd; ns in it is this host."""
    return f"""$ORIGIN {name}.
$TTL 60
@ IN SOA ns root 1 60 60 60 60
@ IN NS ns
ns IN A 127.0.0.1
{records}"""


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
