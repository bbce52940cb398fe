# SPDX-License-Identifier: ISC
"""What postern-qmgr does with messages, agents, and neighbours that die."""
import os
import pathlib
import time

import pytest

from qmgr_world import BODY, Gone, World, silent, take
from roles import text, u32, u64


def test_local_delivery():
    with World() as w:
        w.told()
        id_ = w.note(["bob@here.example"])
        assert w.virtual("here.example/bob") == "bob@here.example"
        local = w.local()
        job = local.job()
        assert (job.id, job.sender) == (id_, "alice@crepes.fr")
        assert job.rcpts == [(0, "bob@here.example", "here.example/bob")]
        assert job.body.endswith(b"hello\n") and job.flags == 0
        local.report(job)
        marks = w.marks()
        assert marks == [(id_, 0, "K")]
        local.quiet("K")  # no acknowledgement before the mark is durable
        w.marked(marks)
        assert local.acks() == (id_, [0])
        w.wait_status(messages=0, recipients=0, delivered=1)


def test_ten_messages_one_connection_then_closed_when_idle():
    with World() as w:
        w.told()
        ids = [w.note(["bob@hamburger.edu"]) for _ in range(10)]
        remote = w.connect("hamburger.edu")
        for id_ in ids:
            job = remote.job()
            assert job.id == id_
            remote.quiet("J", 0.02)  # one at a time
            remote.report(job)
            w.wait_marks([(id_, 0, "K")])
            remote.wait_acks([(id_, 0)])
        silent(w.dial, 0.1)
        began = time.monotonic()
        assert remote.at_end(5)
        assert 0.8 < time.monotonic() - began < 2.5
        w.wait_status(messages=0, agents_remote=0)


def test_many_waiting_open_more_connections():
    with World() as w:
        w.told()
        for i in range(70):
            w.note([f"u{i}@hamburger.edu"])
        one = w.connect("hamburger.edu", ip="192.0.2.1")
        two = w.connect("hamburger.edu", ip="192.0.2.2")
        silent(w.dial, 0.2)  # a new destination gets two at first
        for _ in range(4):
            for agent in (one, two):
                job = agent.job()
                agent.report(job)
                w.wait_marks([(job.id, 0, "K")])
                agent.wait_acks([(job.id, 0)])
        w.connect("hamburger.edu", ip="192.0.2.3")  # what works grows


def test_hundred_recipients_in_a_job():
    with World() as w:
        w.told()
        id_ = w.note([f"user{i}@hamburger.edu" for i in range(150)])
        remote = w.connect("hamburger.edu")
        for first, count in ((0, 100), (100, 50)):
            job = remote.job()
            assert job.idx == list(range(first, first + count))
            remote.report(job)
            w.wait_marks([(id_, i, "K") for i in job.idx])
            remote.wait_acks([(id_, i) for i in job.idx])


def test_routed_domain_and_relayed_domain():
    with World() as w:
        w.told()
        w.note(["a@routed.example"])
        w.note(["b@relayed.example"])
        first = w.dialled()
        second = w.dialled()
        assert {first[1], second[1]} == {"routed.example", "relayed.example"}


def test_deferral_waits_as_qmail_and_retry_comes_at_once():
    with World() as w:
        w.told()
        birth = int(time.time())
        id_ = w.note(["bob@hamburger.edu"], birth=birth)
        remote = w.connect("hamburger.edu")
        job = remote.job()
        remote.report(job, "Z", "4.2.0 host said: 450 later")
        assert remote.acks() == (id_, [0])
        [row] = w.listing()
        assert row["state"] == "w" and row["attempts"] == 1
        assert row["text"] == "4.2.0 host said: 450 later"
        assert 399 <= row["due"] - birth <= 408
        c = w.control()
        w.order(c, "r", id_)
        assert w.obeyed(c) == (1, 1, 0)
        w.body()  # it was closed while nothing was done
        job = remote.job()
        remote.report(job)
        w.wait_marks([(id_, 0, "K")])


def test_local_deferral_is_shorter():
    with World() as w:
        w.told()
        birth = int(time.time())
        w.note(["bob@here.example"], birth=birth)
        w.virtual()
        local = w.local()
        local.report(local.job(), "Z", "4.2.2 full")
        w.wait_status(deferred_local=1)
        [row] = w.listing()
        assert 99 <= row["due"] - birth <= 102


def test_short_lifetime_bounces_on_time():
    with World({"queuelifetime": "4"}) as w:
        w.told()
        birth = int(time.time())
        id_ = w.note(["bob@hamburger.edu"], birth=birth)
        w.refuse(w.dialled()[0])
        w.wait_status(deferred_remote=1)
        silent(w.dial, 1)  # it rests, and no other message tries
        w.note(["carol@hamburger.edu"], birth=birth + 100)
        w.wait_status(deferred_remote=2)
        key, _, _ = w.dialled(timeout=6)
        assert birth + 4 <= time.time() < birth + 5.5
        w.refuse(key, "4.4.1 still refused")
        w.body()
        job = w.bounce_job()
        assert job.id == id_ and job.addresses == ["bob@hamburger.edu"]
        assert job.rcpts[0][2].startswith("4.4.7 ")
        assert job.rcpts[0][2].endswith("4.4.1 still refused")
        w.bounced(job)
        w.wait_status(messages=1, bounced=1)


def test_old_message_gets_one_attempt_before_its_bounce():
    with World() as w:
        w.told()
        w.note(["bob@hamburger.edu"], birth=int(time.time()) - 400 * 86400)
        silent(w.bounce)
        remote = w.connect("hamburger.edu")
        remote.report(remote.job(), "Z", "4.0.0 no")
        job = w.bounce_job()
        assert "4.4.7 not delivered within 5 days" in job.rcpts[0][2]


def test_one_bounce_for_all_failures_of_a_message():
    with World() as w:
        w.told()
        id_ = w.note(["a@hamburger.edu", "b@hamburger.edu", "c@other.example"])
        agents = {}
        for _ in range(2):
            key, domain, _ = w.dialled()
            agents[domain] = w.connected(key, domain)
        one, two = agents["hamburger.edu"], agents["other.example"]
        one.report(one.job(), "D", "5.1.1 no such user")
        assert one.acks() == (id_, [0, 1])
        silent(w.bounce)  # the third is not in
        two.report(two.job(), "D", "5.7.1 we do not like you")
        job = w.bounce_job()
        assert job.sender == "alice@crepes.fr" and job.body
        assert [(a, t) for _, a, t in job.rcpts] == [
            ("a@hamburger.edu", "5.1.1 no such user"),
            ("b@hamburger.edu", "5.1.1 no such user"),
            ("c@other.example", "5.7.1 we do not like you")]
        w.bounced(job, "Z", "4.3.1 full")
        w.wait_log("event=bounce-deferred")
        w.relink("bounce")  # what was put off stays put off
        silent(w.bounce)
        w.wait_status(bouncing=3)


def test_bounce_is_asked_again_on_a_new_link():
    with World() as w:
        w.told()
        w.note(["a@hamburger.edu"])
        remote = w.connect("hamburger.edu")
        remote.report(remote.job(), "D", "5.1.1 no such user")
        first = w.bounce_job()
        w.relink("bounce")
        again = w.bounce_job()
        assert (first.id, first.rcpts) == (again.id, again.rcpts)
        w.bounced(again)
        w.wait_status(messages=0)


def test_double_bounce_and_its_end():
    with World() as w:
        w.told()
        w.note(["a@hamburger.edu"], sender="")
        remote = w.connect("hamburger.edu")
        remote.report(remote.job(), "D", "5.1.1 no")
        job = w.bounce_job()
        assert job.sender == ""
        w.bounced(job)
        id_ = w.note(["postmaster@hamburger.edu"], sender="#@[]")
        remote.report(remote.job(), "D", "5.1.1 no")
        assert w.marks() == [(id_, 0, "D")]
        w.wait_log("event=double-bounce-dropped")
        silent(w.bounce)


def test_alias_is_replaced_in_one_record():
    with World() as w:
        w.told()
        id_ = w.note(["team@here.example"])
        assert w.alias(["bob@here.example", "x@hamburger.edu"]) == \
            "team@here.example"
        assert w.replace() == (id_, 0, ["bob@here.example", "x@hamburger.edu"])
        w.more(id_, {1: "bob@here.example", 2: "x@hamburger.edu"})
        w.replaced(id_, 0)
        assert w.virtual() == "bob@here.example"
        local = w.local()
        job = local.job()
        assert job.idx == [1]
        local.report(job)
        remote = w.connect("hamburger.edu")
        job = remote.job()
        assert job.idx == [2]
        remote.report(job)
        w.wait_marks([(id_, 1, "K"), (id_, 2, "K")])
        w.wait_status(messages=0)


def test_alias_loop_ends_in_a_bounce():
    with World() as w:
        w.told()
        id_ = w.note(["a@here.example"])
        for i in range(20):
            w.alias(["a@here.example"])
            assert w.replace()[1] == i
            w.more(id_, {i + 1: "a@here.example"})
            w.replaced(id_, i)
        w.alias(["a@here.example"])
        job = w.bounce_job()
        assert job.rcpts[0][2].startswith("5.4.6 ")


def test_forward_by_local():
    with World() as w:
        w.told()
        id_ = w.note(["sue@here.example"])
        w.system("sue", "list")
        local = w.local("sue")
        job = local.job()
        assert job.rcpts == [(0, "sue@here.example", "list")]
        local.forward(job, 0, ["x@hamburger.edu"])
        assert w.replace() == (id_, 0, ["x@hamburger.edu"])
        local.quiet("K")
        w.more(id_, {1: "x@hamburger.edu"})
        w.replaced(id_, 0)
        assert local.acks() == (id_, [0])
        assert w.connect("hamburger.edu").job().idx == [1]


def test_userd_refuses_and_defers():
    with World() as w:
        w.told()
        w.note(["ghost@here.example"])
        w.asked()
        w.userd.send(b"D" + text("5.1.1 no such mailbox"))
        assert w.bounce_job().rcpts[0][2] == "5.1.1 no such mailbox"
        w.note(["later@here.example"])
        w.asked()
        w.userd.send(b"Z" + text("4.3.0 tables are being read"))
        w.wait_status(deferred_local=1)


def test_userd_restart_asks_again():
    with World() as w:
        w.told()
        for name in "abc":
            w.note([f"{name}@here.example"])
        for name in "abc":
            assert w.asked() == f"{name}@here.example"
        w.relink("userd")
        for name in "abc":
            assert w.virtual() == f"{name}@here.example"
        local = w.local()
        assert {local.job().addresses[0] for _ in "abc"} == {
            f"{n}@here.example" for n in "abc"}


def test_next_address_when_a_host_refuses():
    with World() as w:
        w.told()
        w.note(["bob@hamburger.edu"])
        key, _, tried = w.dialled()
        assert tried == []
        agent = w.connected(key, "hamburger.edu", ip="192.0.2.1")
        agent.job()
        agent.sock.send(b"FZ" + text("4.3.2 greeting: 421 go away"))
        agent.die()
        key, _, tried = w.dialled()
        assert tried == ["192.0.2.1"]
        agent = w.connected(key, "hamburger.edu", ip="192.0.2.2")
        agent.job()
        agent.sock.send(b"FZ" + text("4.3.2 greeting: 421 me too"))
        agent.die()
        key, _, tried = w.dialled()
        assert tried == ["192.0.2.1", "192.0.2.2"]
        w.refuse(key, "4.4.1 no other address")
        w.wait_status(deferred_remote=1)
        [row] = w.listing()
        assert row["text"] == "4.3.2 greeting: 421 me too"
        assert row["attempts"] == 1


def test_a_dead_host_is_left_alone():
    with World() as w:
        w.told()
        for _ in range(30):
            w.note(["bob@hamburger.edu"])
        keys = [w.dialled()[0]]
        try:
            keys.append(w.dialled(timeout=0.3)[0])
        except TimeoutError:
            pass
        for key in keys:
            w.refuse(key)
        w.wait_status(deferred_remote=30)
        for _ in range(20):
            w.note(["carol@hamburger.edu"])
        w.wait_status(deferred_remote=50)
        silent(w.dial)
        assert w.role.log().count("event=host-rests") == 1
        w.note(["dave@other.example"])
        w.connect("other.example").job()


def test_no_such_domain_bounces():
    with World() as w:
        w.told()
        w.note(["bob@nowhere.example"])
        w.refuse(w.dialled()[0], "5.1.2 no such domain", "D")
        assert w.bounce_job().rcpts[0][2] == "5.1.2 no such domain"


def test_senders_take_turns():
    with World() as w:
        w.told()
        for i in range(15):
            w.note([f"u{i}@hamburger.edu"], sender="bulk@crepes.fr")
        w.note(["boss@hamburger.edu"], sender="bob@crepes.fr")
        remote = w.connect("hamburger.edu")
        senders = []
        for _ in range(4):
            job = remote.job()
            senders.append(job.sender)
            remote.report(job)
            w.wait_marks([(job.id, 0, "K")])
        assert "bob@crepes.fr" in senders[:3]


def test_destinations_take_turns_for_the_last_place():
    with World({"concurrencyremote": "1"}) as w:
        w.told()
        for i in range(120):
            w.note([f"u{i}@bulk.example"])
        remote = w.connect("bulk.example")
        w.note(["boss@small.example"])
        served = 0
        while True:
            try:
                job = remote.job()
            except Gone:
                break
            served += 1
            remote.report(job)
            w.wait_marks([(job.id, 0, "K")])
        assert 0 < served < 100
        assert w.connect("small.example").job().addresses == [
            "boss@small.example"]


def test_agent_that_dies_thrice_has_its_message_held():
    with World() as w:
        w.told()
        id_ = w.note(["bob@here.example"])
        for attempt in range(3):
            w.virtual()
            local = w.local()
            if attempt:
                w.body()
            job = local.job()
            assert job.flags == (4 if attempt else 0)
            local.die()
            if attempt < 2:
                w.wait_status(deferred_local=1)
                [row] = w.listing()
                assert row["text"] == "4.3.0 agent died"
                assert 0 < row["due"] - time.time() < 15
        w.wait_status(held=1)
        assert "event=held" in w.role.log()
        [row] = w.listing()
        assert row["state"] == "h"
        c = w.control()
        w.order(c, "r", id_)
        w.virtual()
        local = w.local()
        w.body()
        local.report(local.job())
        w.wait_marks([(id_, 0, "K")])


def test_a_suspect_flies_alone():
    with World() as w:
        w.told()
        for name in ("bad", "good"):
            w.note([f"{name}@here.example"])
            w.virtual()
        local = w.local()
        local.job(), local.job()
        local.die()
        w.virtual(), w.virtual()
        local = w.local()
        for _ in range(2):
            w.body()
            job = local.job()
            assert job.flags == 4
            local.quiet("J", 0.2)
            local.report(job)
            w.wait_marks([(job.id, 0, "K")])


def test_queued_restart_repeats_marks():
    with World() as w:
        w.told()
        id_ = w.note(["bob@here.example"])
        kept = w.note(["carol@hamburger.edu"])
        w.virtual()
        local = w.local()
        local.report(local.job())
        assert w.marks() == [(id_, 0, "K")]
        w.relink("queued")
        silent(w.queued)  # nothing before E
        w.note(["carol@hamburger.edu"], id_=kept)
        w.note(["bob@here.example"], id_=id_)
        w.queued.send(b"E")
        marks = w.marks()
        assert marks == [(id_, 0, "K")]
        w.marked(marks)
        assert local.acks() == (id_, [0])
        w.wait_status(messages=1)


def test_what_queued_does_not_tell_again_is_forgotten():
    with World() as w:
        w.told()
        w.note(["bob@hamburger.edu"])
        w.refuse(w.dialled()[0])
        w.wait_status(deferred_remote=1)
        w.relink("queued")
        w.queued.send(b"E")
        w.wait_marks([(w.listing()[0]["id"], 0, "D")])
        w.wait_status(messages=0)


def test_resume_waits_and_takes_over_what_flies():
    with World() as w:
        flying = w.note(["a@hamburger.edu"], fd=False)
        reported = w.note(["b@hamburger.edu"], fd=False)
        fresh = w.note(["c@hamburger.edu"], fd=False)
        w.queued.send(b"E")
        w.become.send(b"E")
        silent(w.dial)  # remote has not said E
        agent = w.connected(0, "hamburger.edu", resumed=1)
        w.remote.send(b"E")
        agent.sock.send(b"I" + u64(flying) + u32(1) + u32(0))
        agent.sock.send(b"R" + u32(1) + u64(reported) + u32(0) + b"K" +
                        text("2.0.0 done"))
        silent(w.dial)  # the agent has not said E
        agent.sock.send(b"E")
        w.wait_marks([(reported, 0, "K")])
        assert agent.acks() == (reported, [0])
        agent.quiet("J")  # it is busy with `flying`
        agent.sock.send(b"R" + u32(1) + u64(flying) + u32(0) + b"K" +
                        text("2.0.0 done"))
        w.wait_marks([(flying, 0, "K")])
        assert agent.acks() == (flying, [0])
        w.body()
        job = agent.job()
        assert job.id == fresh and job.flags == 4


def test_start_goes_on_without_neighbours_after_a_while():
    with World() as w:
        w.note(["c@hamburger.edu"], fd=False)
        w.queued.send(b"E")
        assert w.dialled(timeout=15)[1] == "hamburger.edu"


def test_show_delete_and_final_removal():
    with World() as w:
        w.told()
        id_ = w.note(["a@hamburger.edu", "b@other.example"])
        key, domain, _ = w.dialled()
        key2, domain2, _ = w.dialled()
        w.refuse(key)
        remote = w.connected(key2, domain2)
        job = remote.job()
        rows = w.listing(id_)
        assert [r["state"] for r in rows] == (
            ["w", "a"] if domain == "hamburger.edu" else ["a", "w"])
        c = w.control()
        w.order(c, "d", id_)
        w.wait_marks([(id_, 1 - job.idx[0], "D")])
        assert w.obeyed(c) == (1, 1, 1)
        remote.report(job, "D", "5.0.0 no")
        w.wait_marks([(id_, job.idx[0], "D")])
        silent(w.bounce)
        w.wait_status(messages=0)
        w.order(c, "d", id_)
        assert w.obeyed(c) == (0, 0, 0)


def test_delete_answers_when_it_is_durable():
    with World() as w:
        w.told()
        id_ = w.note(["a@hamburger.edu"])
        w.refuse(w.dialled()[0])
        w.wait_status(deferred_remote=1)
        c = w.control()
        w.order(c, "d", id_)
        marks = w.marks()
        assert marks == [(id_, 0, "D")]
        silent(c)
        w.marked(marks)
        assert w.obeyed(c) == (1, 1, 0)


def test_delete_while_it_waits_in_line():
    with World({"concurrencyremote": "1"}) as w:
        w.told()
        w.note(["a@first.example"])
        first = w.connect("first.example")
        job = first.job()
        id_ = w.note(["b@second.example"])
        c = w.control()
        w.order(c, "d", id_)
        w.wait_marks([(id_, 0, "D")])
        w.wait_status(messages=1)
        first.report(job)
        w.wait_marks([(job.id, 0, "K")])
        silent(w.dial)
        w.wait_status(messages=0)


def test_delete_behind_a_server_that_keeps_silent():
    with World() as w:
        w.told()
        w.note(["a@first.example"])
        first = w.connect("first.example")
        first.job()
        ids = [w.note([f"b{i}@first.example", f"c{i}@first.example"],
                      sender=f"s{i % 2}@crepes.fr") for i in range(5)]
        w.wait_status(queued_remote=10)
        c = w.control()
        for id_ in (ids[4], ids[0], ids[2]):
            w.order(c, "d", id_)
            w.wait_marks([(id_, 0, "D"), (id_, 1, "D")])
            assert w.obeyed(c) == (1, 2, 0)
        w.wait_status(messages=3)
        assert [r["id"] for r in w.listing()[1:]] == [ids[1]] * 2 + [ids[3]] * 2


def test_cat_passes_the_body():
    with World() as w:
        w.told()
        id_ = w.note(["a@hamburger.edu"], fd=False)
        c = w.control()
        c.send(b"B" + u64(id_))
        w.body()
        p = take(c, "b")
        assert chr(p.u8()) == "K"
        offset, size = p.u64(), p.u64()
        assert os.pread(p.fds[0], size, offset) == BODY


def test_body_that_cannot_be_had():
    with World() as w:
        w.told()
        w.note(["a@hamburger.edu"], fd=False)
        remote = w.connect("hamburger.edu")
        w.body(verdict="Z")
        w.wait_status(deferred_remote=1)
        id_ = w.note(["b@hamburger.edu"], fd=False)
        w.body(verdict="D")
        w.wait_marks([(id_, 0, "D")])
        w.wait_log("event=body-gone")
        assert remote


def test_more_recipients_than_one_packet():
    with World() as w:
        w.told()
        id_ = w.note(["a@hamburger.edu"], flags=1)
        remote = w.connect("hamburger.edu")
        job = remote.job()
        remote.report(job)
        w.wait_marks([(id_, 0, "K")])
        w.wait_status(messages=1)  # more are to come: it is not gone
        w.more(id_, {1: "b@hamburger.edu"})
        job = remote.job()
        assert job.idx == [1]


def test_become_refuses():
    with World() as w:
        w.told()
        w.note(["sue@here.example"])
        w.system("sue")
        w.no_local("D", "5.1.1 no such account")
        assert w.bounce_job().rcpts[0][2] == "5.1.1 no such account"
        w.note(["sue@here.example"])
        w.system("sue")
        w.no_local("Z", "4.3.0 too many processes")
        w.wait_status(deferred_local=1)


def test_hub_restart_is_asked_again():
    with World() as w:
        w.told()
        w.note(["sue@here.example"])
        w.system("sue")
        take(w.become, "L")
        w.relink("become")
        w.become.send(b"E")
        assert w.local("sue").job().addresses == ["sue@here.example"]
        w.note(["x@hamburger.edu"])
        w.dialled()
        w.relink("dial")
        w.connect("hamburger.edu").job()


@pytest.mark.parametrize("junk", [
    b"", b"R", b"R" + b"\xff" * 40, b"I" + u64(1) + u32(2 ** 32 - 1),
    b"W" + u64(5) + u32(0) + u32(9), b"x", b"F", b"K" + u64(1) + u32(1),
    b"R" + u32(1) + u64(7) + u32(0) + b"K" + u32(2 ** 31)])
def test_junk_from_neighbours_harms_nobody(junk):
    with World() as w:
        w.told()
        id_ = w.note(["bob@here.example"])
        w.virtual()
        local = w.local()
        job = local.job()
        if junk:
            for sock in (local.sock, w.queued, w.become, w.dial, w.remote,
                         w.bounce, w.userd, w.control()):
                sock.send(junk)
        local.report(job)
        w.wait_marks([(id_, 0, "K")])
        local.wait_acks([(id_, 0)])
        w.wait_status(messages=0)


def test_reload_changes_domains():
    with World() as w:
        w.told()
        pathlib.Path(w.role.folder, "locals").write_text("new.example\n")
        w.role.channel.send(b"H")
        w.wait_log("event=reloaded")
        w.note(["bob@new.example"])
        assert w.asked() == "bob@new.example"


def test_many_locals_at_once_and_acks_in_groups():
    with World() as w:
        w.told()
        ids = [w.note([f"u{i}@here.example"]) for i in range(1100)]
        for _ in ids:
            w.virtual()
        local = w.local()
        jobs = [local.job() for _ in range(512)]
        local.quiet("J", 0.1)
        for job in jobs:
            local.report(job)
        w.wait_marks([(j.id, 0, "K") for j in jobs])
        local.wait_acks([(j.id, 0) for j in jobs])
        for _ in range(512):
            local.job()


def test_an_idle_local_gives_its_place_and_is_used_again():
    """With one place, users take turns; nobody's local is started twice."""
    with World({"concurrencylocal": "1"}) as w:
        w.told()
        agents = {}
        for n in range(6):
            for user in ("sue", "tom"):
                id_ = w.note([f"{user}@here.example"])
                w.system(user)
                if user not in agents:
                    agents[user] = w.local(user)
                job = agents[user].job(1)  # at once: the other is idle
                assert job.id == id_
                if n == 3 and user == "sue":  # tom's waits for hers
                    waiting = w.note(["tom@here.example"])
                    w.system("tom")
                    agents["tom"].quiet("J")
                    agents[user].report(job)
                    job2 = agents["tom"].job(1)
                    assert job2.id == waiting
                    agents["tom"].report(job2)
                    w.wait_marks([(id_, 0, "K"), (waiting, 0, "K")])
                    continue
                agents[user].report(job)
                w.wait_marks([(id_, 0, "K")])
        silent(w.become)


def test_no_more_idle_locals_than_a_hundred():
    with World({"concurrencylocal": "1"}) as w:
        w.told()
        agents = []
        for n in range(103):
            id_ = w.note([f"u{n}@here.example"])
            w.system(f"u{n}")
            agents.append(w.local(f"u{n}"))
            agents[-1].report(agents[-1].job())
            w.wait_marks([(id_, 0, "K")])
        for agent in agents[:2]:
            while not agent.at_end():  # its acknowledgement comes first
                pass
        agents[2].quiet("J", 0.1)


def test_a_stop_takes_the_reports_under_way():
    with World() as w:
        w.told()
        id_ = w.note(["bob@virtual.example"])
        w.virtual()
        local = w.local()
        job = local.job()
        out = w.note(["a@b.example"])
        remote = w.connect("b.example")
        slow = remote.job()
        waits = w.note(["c@b.example"])
        w.role.channel.send(b"Q")
        remote.quiet("J")
        assert w.role.process.poll() is None
        local.report(job)
        w.wait_marks([(id_, 0, "K")])
        local.wait_acks([(id_, 0)])
        remote.report(slow)
        w.wait_marks([(out, 0, "K")])
        remote.wait_acks([(out, 0)])
        assert remote.at_end(1)  # and what waits got no job
        assert w.role.process.wait(1) == 0
        assert f"event=attempt qid={waits:016x}" not in w.role.log()
        assert "cut-short" not in w.role.log()


def test_a_stop_does_not_wait_for_ever():
    with World() as w:
        w.told()
        w.note(["bob@virtual.example"])
        w.virtual()
        w.local().job()
        w.role.channel.send(b"Q")
        assert w.role.process.wait(2.4) == 0
        assert "event=cut-short agents=1" in w.role.log()
        # nothing under way: at once
    with World() as w:
        w.told()
        w.role.channel.send(b"Q")
        assert w.role.process.wait(0.5) == 0
