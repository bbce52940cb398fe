# SPDX-License-Identifier: ISC
"""Who gets a place to deliver, and that 0 places stop delivery."""
import os
import pathlib
import socket
import time

import pytest

from qmgr_world import Agent, Gone, World, silent, take
from roles import pair, text, u64


def settings(w, **values):
    for name, value in values.items():
        pathlib.Path(w.role.folder, name).write_text(f"{value}\n")
    before = w.role.log().count("event=reloaded")
    w.role.channel.send(b"H")
    end = time.monotonic() + 10
    while w.role.log().count("event=reloaded") == before:
        assert time.monotonic() < end, w.role.log()
        time.sleep(0.02)


def cpu_ticks(w):
    fields = pathlib.Path(f"/proc/{w.role.process.pid}/stat").read_text()
    fields = fields.rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def descriptors(w):
    return len(os.listdir(f"/proc/{w.role.process.pid}/fd"))


def test_no_places_hold_all_mail_until_a_reload():
    with World({"concurrencyremote": "0", "concurrencylocal": "0"}) as w:
        w.told()
        w.status()
        before = descriptors(w)
        there = {w.note(["x@far.example"]) for _ in range(50)}
        here = {w.note(["bob@here.example"]) for _ in range(50)}
        w.wait_status(recipients=100, deferred=0)
        assert silent(w.dial) and silent(w.userd) and silent(w.queued)
        assert descriptors(w) <= before + 1  # the one who asks for the status
        rows = w.listing()
        assert {r["state"] for r in rows} == {"w"}
        assert {(r["attempts"], r["due"]) for r in rows} == {(0, 0)}
        assert {r["text"].split()[1] for r in rows} == {
            "concurrencyremote", "concurrencylocal"}
        ticks = cpu_ticks(w)
        time.sleep(1)
        assert cpu_ticks(w) - ticks <= 1
        # an order to try it now changes nothing
        assert "100" in w.postern("retry", "--all")
        assert silent(w.dial) and silent(w.userd)

        settings(w, concurrencyremote=1)
        remote = w.connect("far.example")
        for _ in range(50):
            id_ = w.body()
            job = remote.job()
            assert job.id == id_
            there.remove(job.id)
            remote.report(job)
            w.marked(w.marks())
        assert not there and silent(w.userd, 0.1)
        settings(w, concurrencylocal=1)
        for _ in here:
            w.virtual()
        local = w.local()
        for _ in here:
            w.body()
        got = {local.job().id for _ in here}
        assert got == here


def test_a_reload_stops_what_waits_and_lets_what_flies_end():
    with World({"concurrencyremote": "1"}) as w:
        w.told()
        first = w.note(["x@far.example"])
        rest = {w.note([f"x{i}@far.example"]) for i in range(5)}
        remote = w.connect("far.example")
        job = remote.job()
        settings(w, concurrencyremote=0)
        remote.report(job)
        assert w.marks() == [(first, 0, "K")]
        w.marked([(first, 0, "K")])
        assert remote.quiet("J") and silent(w.dial)
        assert remote.at_end()  # idle, and so closed
        w.wait_status(recipients=5, deferred=0)
        settings(w, concurrencyremote=1)
        remote = w.connect("far.example")
        w.body()
        job = remote.job()
        assert job.id in rest


def drain(w, agent, times=1):
    """The next jobs of the agent, each delivered: when they came."""
    came = []
    for _ in range(times):
        w.body()
        job = agent.job()
        came.append(time.monotonic())
        agent.report(job)
        w.marked(w.marks())
    return came


def test_connections_and_messages_of_a_host_are_limited():
    with World({"destinations": "far.example connections=1 messages=2"}) as w:
        w.told()
        for i in range(60):
            w.note([f"x{i}@far.example"], fd=False)
        for _ in range(3):
            remote = w.connect("far.example")
            drain(w, remote, 2)
            # sixty would have opened another, and this one gets no more
            with pytest.raises(Gone):
                remote.job()
            remote.die()
        settings(w, destinations="far.example messages=5")
        remote = w.connect("far.example")
        drain(w, remote, 1)
        assert w.connect("far.example")  # for it has taken something


def a_rate_is_kept():
    """False when what was not to wait took long."""
    with World({"destinations": ".example rate=2/second"}) as w:
        begun = time.monotonic()
        w.told()
        for i in range(4):
            w.note([f"x{i}@far.example"], fd=False)
        w.note(["x@near.test"], fd=False)
        # nobody else waits for it
        drain(w, w.connect("near.test"))
        near = time.monotonic() - begun
        remote = w.connect("far.example")
        came = drain(w, remote, 4)
        assert came[0] - begun > 0.4
        assert all(b - a > 0.45 for a, b in zip(came, came[1:])), came
        settings(w, destinations="* messages=100")
        for i in range(4):
            w.note([f"y{i}@far.example"], fd=False)
        came = drain(w, remote, 4)
        return near < 0.4 and came[3] - came[0] < 0.4


def test_a_rate_is_kept():
    assert any(a_rate_is_kept() for _ in range(3))  # the machine may stall


def test_a_wrong_line_keeps_the_old_limits():
    with World({"destinations": "far.example connections=1"}) as w:
        w.told()
        pathlib.Path(w.role.folder, "destinations").write_text(
            "far.example connections=0\n")
        w.role.channel.send(b"H")
        w.wait_log("event=reload-failed")
        w.wait_log("connections is a number from 1 to 1000")


def test_ten_thousand_messages_to_a_dead_host_cause_few_attempts():
    with World() as w:
        w.told()
        w.note(["x@dead.example"])
        key, _, _ = w.dialled()
        for i in range(1, 10000):
            w.note([f"x{i}@dead.example"], fd=False)
        w.wait_status(recipients=10000)
        w.refuse(key)
        w.refuse(w.dialled()[0])  # two were on their way, no more
        w.wait_status(deferred_remote=10000)
        # and what comes now does not even ask
        for i in range(100):
            w.note([f"y{i}@dead.example"], fd=False)
        w.wait_status(deferred_remote=10100)
        assert silent(w.dial)
        assert w.role.log().count("event=host-rests") == 1


def test_slow_deliveries_here_leave_places():
    def users():
        """Locals that were asked for, answered."""
        found = []
        while True:
            try:
                p = take(w.become, "L", 0.3)
            except TimeoutError:
                return found
            key, user = p.u64(), p.str()
            near, far = pair()
            socket.send_fds(w.become, [b"A" + u64(key) + b"\0" + text(user)],
                            [far.fileno()])
            far.close()
            w.role.links.append(near)
            found.append((user, Agent(near)))

    def arrive(user):
        w.note([f"{user}@here.example"], sender=f"to-{user}@x.example")
        w.system(user)

    with World({"concurrencylocal": "8"}) as w:
        w.told()
        for i in range(6):
            arrive(f"slow{i}")
        first = users()
        assert len(first) == 6
        time.sleep(1.3)  # they are slow now
        for user, agent in first:
            agent.report(agent.job())
            agent.die()
        w.marked(w.marks())
        # all of them again, and more: six of eight places, no more
        for i in range(6):
            arrive(f"slow{i}")
        assert len(users()) == 6
        arrive("quick")
        [(user, agent)] = users()
        assert user == "quick"
        # virtual users never wait for a place
        for i in range(3):
            arrive(f"more{i}")
        users()
        w.note(["bob@here.example"])
        w.virtual()
        assert "" in [user for user, _ in users()]


def test_a_connection_counts_until_it_is_over():
    """QUIT is not answered yet: a host with a limit gets no other one."""
    rules = "limited.example connections=1 messages=1"
    with World({"destinations": rules}) as w:
        w.told()
        ids = [w.note([f"u{i}@limited.example"]) for i in range(2)]
        first = w.connect("limited.example")
        job = first.job()
        first.report(job)
        w.wait_marks([(ids[0], 0, "K")])
        first.wait_acks([(ids[0], 0)])
        assert first.at_end()  # half-closed
        assert silent(w.dial, 0.5)
        first.die()
        job = w.connect("limited.example").job()
        assert job.id == ids[1]


def test_a_resumed_connection_with_a_limit_takes_no_more():
    """Nobody knows how many messages it had."""
    rules = "limited.example connections=1 messages=3"
    with World({"destinations": rules}) as w:
        old = w.connected(0, "limited.example", resumed=1)
        id_ = w.note(["u@limited.example"])
        for link in (w.queued, w.become, w.remote):
            link.send(b"E")
        old.sock.send(b"E")
        assert old.at_end()
        assert silent(w.dial, 0.3)
        old.die()
        new = w.connect("limited.example")
        w.body()
        assert new.job().id == id_


def test_few_descriptors_are_few_connections():
    """dial and remote have no more, either: a host would be left alone for a
    limit of our own."""
    with World({"concurrencyremote": "1000"},
               prefix=["prlimit", "--nofile=256"]) as w:
        assert "few-descriptors limit=256 local=32 remote=64" in w.role.log()
        w.told()
        for i in range(100):
            w.note([f"x@h{i}.example"])
        share = 64 * 3 // 4  # of one sender
        assert len({w.dialled()[0] for _ in range(share)}) == share
        assert silent(w.dial)
