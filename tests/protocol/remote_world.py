# SPDX-License-Identifier: ISC
"""postern-remote under test: this plays start, dial and qmgr."""
import os
import socket

from roles import Role, body_fd, packet, receive, text, u8, u32, u64

MESSAGE = b"Subject: crepes\n\n.hello\n..\nbye\n"


class Agent:
    """A child of remote, seen from qmgr."""

    def __init__(self, sock, peer):
        self.sock, self.peer, self.id = sock, peer, 1000

    def job(self, recipients=("bob@hamburger.edu",), body=MESSAGE,
            sender="alice@crepes.fr", flags=0, offset=0, size=None):
        self.id += 1
        fd = body_fd(b"x" * offset + body)
        self.sock.settimeout(5)
        socket.send_fds(self.sock, [
            b"J" + u64(self.id) + u64(1) + u64(offset)
            + u64(len(body) if size is None else size) + u8(flags)
            + text(sender) + u32(len(recipients))
            + b"".join(u32(i) + text(r) + text("")
                       for i, r in enumerate(recipients))], [fd])
        os.close(fd)
        return self.id

    def reports(self, count, timeout=10):
        """{idx: (verdict, text)} of one message."""
        found = {}
        while len(found) < count:
            p = packet(self.sock, timeout)
            assert p is not None, "the agent ended"
            assert p.type == "R", (p.type, p.rest)
            for _ in range(p.u32()):
                assert p.u64() == self.id
                idx = p.u32()
                found[idx] = (chr(p.u8()), p.str())
            p.end()
        return found

    def take(self, message_id, idxs):
        self.sock.send(b"K" + u32(len(idxs))
                       + b"".join(u64(message_id) + u32(i) for i in idxs))

    def deliver(self, *args, timeout=10, **kw):
        self.job(*args, **kw)
        n = len(args[0]) if args else len(kw.get("recipients", "1"))
        found = self.reports(n, timeout)
        self.take(self.id, found)
        return found

    def one(self, **kw):
        return self.deliver(["bob@hamburger.edu"], **kw)[0]

    def ended(self, timeout=10):
        """The agent says F when it has a job socket left, and ends."""
        data = receive(self.sock, timeout)[0]
        if data[:1] == b"F":
            data = receive(self.sock, timeout)[0]
        return data == b""

    def gave_back(self, timeout=10):
        data = receive(self.sock, timeout)[0]
        return data[:2] == b"FZ"


class Remote(Role):
    def __init__(self, **control):
        super().__init__("postern-remote", control)
        self.key = 0

    def start(self):
        super().start()
        self.qmgr = self.link("qmgr")
        self.dial = self.link("dial")
        assert receive(self.qmgr)[0] == b"E"
        return self

    def hand_over(self, address, host="mx.hamburger.edu"):
        self.key += 1
        s = socket.create_connection(address)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socket.send_fds(self.dial, [
            b"C" + u64(self.key) + text("hamburger.edu") + text(host)
            + text("127.0.0.1") + u32(25)], [s.fileno()])
        s.close()

    def connect(self, peer):
        self.hand_over(peer.address)
        return self.agent(peer, self.key, 0)

    def agent(self, peer, key, resumed):
        p = packet(self.qmgr)
        assert (p.type, p.u64(), p.u8()) == ("A", key, resumed)
        assert (p.str(), p.str(), p.str()) == (
            "hamburger.edu", "mx.hamburger.edu", "127.0.0.1")
        p.end()
        return Agent(socket.socket(fileno=p.fds[0]), peer)
