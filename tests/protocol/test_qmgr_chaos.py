# SPDX-License-Identifier: ISC
"""Random order, random answers, neighbours that die at any time: nothing is
lost, nothing is marked that was not reported, and the queue runs empty."""
import os
import random
import select
import socket
import time

import pytest

from qmgr_world import BODY, World, many, now_id
from roles import body_fd, packet, pair, text, u32, u64, u8

MESSAGES = 150


class Model:
    """queued, userd, the hubs, agents and bounce, all answering at random."""

    def __init__(self, w, seed):
        self.w, self.random = w, random.Random(seed)
        self.mail = {}  # id -> {idx: address}, as queued has it on disk
        self.next_idx = {}
        self.reported = set()  # (id, idx) that an agent delivered
        self.delivered = []
        self.agents = {}  # socket -> is it a remote?
        self.added = 0
        self.deadline = time.monotonic() + 90
        self.fd = body_fd(BODY)

    def chance(self, p):
        return self.random.random() < p

    def add(self):
        id_ = now_id()
        while id_ in self.mail:
            id_ += 1
        domains = ["here.example", "far.example", "virtual.example",
                   "away.example"]
        rcpts = {i: f"u{self.random.randrange(9)}@"
                    f"{self.random.choice(domains)}"
                 for i in range(self.random.randrange(1, 6))}
        self.mail[id_] = rcpts
        self.next_idx[id_] = len(rcpts)
        self.tell(id_)
        self.added += 1

    def tell(self, id_):
        data = (b"N" + u64(id_) + u64(int(time.time())) + u64(len(BODY)) +
                u64(0) + u8(0) + text(f"s{id_ % 5}@crepes.fr") + text("s") +
                many([u32(i) + text(a) for i, a in self.mail[id_].items()]))
        fds = [self.fd] if self.chance(0.5) else []
        socket.send_fds(self.w.queued, [data], fds)

    def finish(self, id_, idx):
        rcpts = self.mail.get(id_, {})
        rcpts.pop(idx, None)
        if not rcpts:
            self.mail.pop(id_, None)

    # ---- packets ----

    def queued(self, p):
        w = self.w
        if p.type == "M":
            marks = [(p.u64(), p.u32(), chr(p.u8()))
                     for _ in range(p.u32())]
            for id_, idx, verdict in marks:
                assert verdict == "K", "nothing is given up here"
                assert (id_, idx) in self.reported
                self.finish(id_, idx)
            w.queued.send(b"m" + many([u64(i) + u32(x)
                                       for i, x, _ in marks]))
        elif p.type == "O":
            id_ = p.u64()
            if id_ not in self.mail or self.chance(0.05):
                w.queued.send(b"o" + u64(id_) + b"Z" + u64(0) + u64(0) +
                              text("4.3.0 not now"))
            else:
                socket.send_fds(w.queued, [
                    b"o" + u64(id_) + b"K" + u64(0) + u64(len(BODY)) +
                    text("")], [self.fd])
        else:
            assert p.type == "W"
            id_, idx = p.u64(), p.u32()
            targets = [p.str() for _ in range(p.u32())]
            if idx in self.mail.get(id_, {}):
                new = {}
                for t in targets:
                    new[self.next_idx[id_]] = t
                    self.next_idx[id_] += 1
                self.mail[id_].update(new)
                self.finish(id_, idx)
                w.queued.send(b"n" + u64(id_) + u8(0) + many(
                    [u32(i) + text(a) for i, a in new.items()]))
            w.queued.send(b"w" + u64(id_) + u32(idx) + b"K" + text(""))

    def userd(self, p):
        address = p.str()
        x = self.random.random()
        if x < 0.1:
            answer = b"Z" + text("4.3.0 busy")
        elif x < 0.2:
            answer = b"A" + many([text("u1@here.example"),
                                  text("u2@far.example")])
        elif x < 0.4:
            answer = b"S" + text("sue") + text("")
        else:
            answer = b"V" + text("box/u") + text(address)
        self.w.userd.send(answer)

    def agent(self, hub, head, tail):
        near, far = pair()
        socket.send_fds(hub, [head + u8(0) + tail], [far.fileno()])
        far.close()
        self.agents[near] = hub is self.w.remote

    def become(self, p):
        key, user = p.u64(), p.str()
        if self.chance(0.1):
            self.w.become.send(b"F" + u64(key) + b"Z" + text("4.3.0 no"))
        else:
            self.agent(self.w.become, b"A" + u64(key), text(user))

    def dial(self, p):
        if p.type in "BX":  # what serves nobody, or is given up
            return
        key, domain = p.u64(), p.str()
        tried = [p.str() for _ in range(p.u32())]
        if self.chance(0.2) or len(tried) > 2:
            self.w.dial.send(b"F" + u64(key) + b"Z" + text("4.4.1 no"))
        else:
            self.agent(self.w.remote, b"A" + u64(key), text(domain) +
                       text("mx") + text(f"192.0.2.{len(tried)}"))

    def job(self, sock, p):
        if p.type == "K":
            return
        for fd in p.fds:
            os.close(fd)
        id_ = p.u64()
        p.u64(), p.u64(), p.u64(), p.u8(), p.str()
        rcpts = [(p.u32(), p.str(), p.str()) for _ in range(p.u32())]
        x = self.random.random()
        if x < 0.01:  # dies with it
            sock.close()
            del self.agents[sock]
            return
        if x < 0.03 and self.agents[sock]:  # a remote host that hangs up
            sock.send(b"FZ" + text("4.3.2 go away"))
            sock.close()
            del self.agents[sock]
            return
        out = []
        for idx, address, _ in rcpts:
            assert idx in self.mail.get(id_, {}), "finished, and sent again"
            assert (id_, idx) not in self.reported
            good = self.chance(0.8)
            if good:
                self.reported.add((id_, idx))
                self.delivered.append((id_, idx, address))
            out.append(u64(id_) + u32(idx) + (b"K" if good else b"Z") +
                       text("2.0.0 ok" if good else "4.0.0 later"))
        cut = self.random.randrange(len(out) + 1)
        for part in (out[:cut], out[cut:]):
            if part:
                sock.send(b"R" + many(part))

    # ---- neighbours die ----

    def restart(self):
        w = self.w
        name = self.random.choice(["queued", "userd", "become", "dial",
                                   "remote"])
        w.relink(name)
        if name == "queued":
            for id_ in list(self.mail):
                self.tell(id_)
            w.queued.send(b"E")
        elif name in ("become", "remote"):
            getattr(w, name).send(b"E")

    def step(self):
        w = self.w
        socks = [w.queued, w.userd, w.become, w.dial] + list(self.agents)
        ready, _, _ = select.select(socks, [], [], 0.02)
        self.random.shuffle(ready)
        for sock in ready[:8]:
            try:
                p = packet(sock)
            except OSError:
                p = None
            if p is None:
                if sock in self.agents:
                    del self.agents[sock]
                    sock.close()
                continue
            if sock in self.agents:
                self.job(sock, p)
            elif sock is w.queued:
                self.queued(p)
            elif sock is w.userd:
                self.userd(p)
            elif sock is w.become:
                self.become(p)
            else:
                self.dial(p)
        return bool(ready)


@pytest.mark.parametrize("seed", range(4))
def test_everything_is_delivered_once(seed):
    with World() as w:
        w.told()
        m = Model(w, seed)
        while m.mail or m.added < MESSAGES:
            assert time.monotonic() < m.deadline, (w.listing(), w.status())
            if m.added < MESSAGES and m.chance(0.3):
                m.add()
            if m.added < MESSAGES and m.chance(0.02):
                m.restart()
            if not m.step() and m.added == MESSAGES:
                s = w.control()
                w.order(s, "r")
                packet(s)
                s.close()
        w.wait_status(messages=0)
        assert len(m.delivered) == len(m.reported)
        os.close(m.fd)
