# SPDX-License-Identifier: ISC
"""Who gets a place to deliver, and that 0 places stop delivery."""
import os
import pathlib
import time

from qmgr_world import World, silent


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
