# SPDX-License-Identifier: ISC
"""An SMTP server with any manners, for postern-remote to meet."""
import socket
import threading

PIPELINING = b"250-peer.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n" \
    b"250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"


class Peer:
    """Listens on loopback; `replies` maps a verb (or GREETING, BODY) to what is
    answered: bytes, None (drop the connection), a list of these (one for each
    time, the last again and again), or a function of (peer, line)."""

    def __init__(self, replies=None, address="127.0.0.1"):
        self.replies = {
            "GREETING": b"220 peer.example ESMTP\r\n",
            "EHLO": PIPELINING,
            "HELO": b"250 peer.example\r\n",
            "MAIL": b"250 2.1.0 sender ok\r\n",
            "RCPT": b"250 2.1.5 recipient ok\r\n",
            "DATA": b"354 go ahead\r\n",
            "BODY": b"250 2.0.0 queued as X\r\n",
            "RSET": b"250 2.0.0 ok\r\n",
            "QUIT": b"221 2.0.0 bye\r\n",
            **(replies or {}),
        }
        self.seen = {}
        self.lines = []        # every command line, without CRLF
        self.bodies = []       # as they came, final dot not included
        self.connections = 0
        self.listener = socket.create_server((address, 0))
        self.address = self.listener.getsockname()[:2]
        self.stopping = False
        self.live = []
        self.accepting = threading.Thread(
            target=self.accept, args=(self.listener,), daemon=True)
        self.accepting.start()

    def also(self, listener):
        """Serves a further listening socket; it ends with shutdown."""
        threading.Thread(
            target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.live.append(conn)
            threading.Thread(
                target=self.serve, args=(conn,), daemon=True).start()

    def stop(self):
        self.stopping = True
        # an accept that still waits would go on with the next Peer's listener,
        # which gets the same number
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        self.listener.close()
        for conn in self.live:
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def answer(self, conn, verb, line):
        reply = self.replies.get(verb, b"500 5.5.1 what?\r\n")
        if isinstance(reply, list):
            n = self.seen.get(verb, 0)
            self.seen[verb] = n + 1
            reply = reply[min(n, len(reply) - 1)]
        if callable(reply):
            reply = reply(conn, line)
        if reply is None:
            raise ConnectionError
        conn.sendall(reply)
        return reply

    def serve(self, conn):
        try:
            self.answer(conn, "GREETING", b"")
            self.talk(conn)
        except OSError:
            pass
        finally:
            conn.close()

    def talk(self, conn):
        pending = b""
        while True:
            while b"\r\n" not in pending:
                more = conn.recv(65536)
                if not more:
                    return
                pending += more
            line, pending = pending.split(b"\r\n", 1)
            self.lines.append(line)
            verb = line[:4].decode("latin-1").upper()
            reply = self.answer(conn, verb, line)
            if verb == "QUIT":
                return
            if verb == "DATA" and reply.startswith(b"354"):
                pending = self.body(conn, pending)

    @staticmethod
    def read_body(conn, pending):
        """The message (nothing at all: b"") and what came behind its end."""
        while b"\r\n.\r\n" not in b"\r\n" + pending:
            more = conn.recv(1 << 20)
            if not more:
                raise ConnectionError
            pending += more
        data, rest = (b"\r\n" + pending).split(b"\r\n.\r\n", 1)
        return data[2:] + b"\r\n" if data else b"", rest

    def body(self, conn, pending):
        data, rest = self.read_body(conn, pending)
        self.bodies.append(data)
        self.answer(conn, "BODY", b"")
        return rest
