#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""pop3.py [COUNT...]: POP3 with COUNT messages of 4 KiB (default 10,000 and 100,000), with sizes in the names as local writes them
and without.  The real popup and pop3d; userd and become are played by the tests' library, so the logins a second say little here:
for those run pop3client against a whole suite.  BIN: POSTERN_BIN, else build/bin.  A peer: pop3client HOST PORT USER PASS ..."""
import os, pathlib, socket, struct, subprocess, sys, tempfile, threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "protocol"))
import pop3lib  # noqa: E402
from pop3lib import OWNER, ROOT  # noqa: E402


def message(i, size=4096):
    head = (b"Return-Path: <a@client.test>\nReceived: from client.test by mx.bench.test; Sat, 01 Jan 2026 00:00:00 +0000\n"
            b"Message-ID: <%d@client.test>\nFrom: a@client.test\nTo: benchuser@bench.test\nSubject: message %d\n\n" % (i, i))
    body = (b"x" * 75 + b"\n") * ((size - len(head)) // 76)
    return head + body + b"y" * (size - len(head) - len(body) - 1) + b"\n"


def fill(box, count, sized):
    for sub in ("tmp", "new", "cur"):
        os.makedirs("%s/%s" % (box, sub), 0o700)
    for i in range(count):
        m = message(i)
        sizes = ",S=%d,W=%d" % (len(m), len(m) + m.count(b"\n")) if sized else ""
        with open("%s/new/%d.M%06dP1.mx%s" % (box, 1700000000 + i // 100, i, sizes), "wb") as f:
            f.write(m)
    if ROOT:
        subprocess.run(["chown", "-R", str(OWNER), box], check=True)


class Server(pop3lib.Popup):
    """The harness with a listening socket in front."""

    def listen(self):
        srv = socket.create_server(("127.0.0.1", 0), backlog=512)
        threading.Thread(target=self.accept, args=(srv,), daemon=True).start()
        return srv.getsockname()[1]

    def accept(self, srv):
        while True:
            conn, _ = srv.accept()
            ask, far = pop3lib.pair()
            r, w = os.pipe()
            pop3lib.send(self.link, b"S" + pop3lib.s("s") + pop3lib.s("127.0.0.1") + struct.pack(">I", 1) + pop3lib.s("127.0.0.1") + struct.pack(">I", 110) + b"\0",
                         [conn.fileno(), far.fileno(), w])
            conn.close()
            far.close()
            os.close(w)
            os.close(r)
            threading.Thread(target=self.userd, args=(ask,), daemon=True).start()


def main():
    counts = [int(a) for a in sys.argv[1:]] or [10000, 100000]
    bindir = pop3lib.programs()
    with tempfile.TemporaryDirectory(prefix="pop3-bench-") as base:
        os.chmod(base, 0o755)
        client = base + "/pop3client"
        subprocess.run(["cc", "-O2", "-o", client, str(HERE / "pop3client.c")], check=True)
        users = {}
        for n in counts:
            for sized in (True, False):
                box = "%d%s" % (n, "" if sized else "-plain")
                fill("%s/%s" % (base, box), n, sized)
                users[box] = ("secret", box)
        server = Server(bindir, base, users)
        port = str(server.listen())
        for user in users:
            print("--", user, flush=True)
            for args in (["login"], ["login"], ["retr", "1"], ["retr", "32"]):
                subprocess.run([client, "127.0.0.1", port, user, "secret", *args], check=True)
        os._exit(0)


main()
