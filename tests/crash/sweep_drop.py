# SPDX-License-Identifier: ISC
"""The sweep of the drop box: postern-queue writes while Postern is stopped, and
pickup brings what lies there to queued."""
import copy
import os
import subprocess

import sweep_check
from sweep_mail import PATIENCE, Failure
from sweep_scenarios import Scenario, at, scenario
from sweep_world import DOMAIN, Traced


def envelope(mail):
    paths = [f"F{mail.sender}", *(f"T{r}" for r in mail.places)]
    return "\0".join(paths).encode() + b"\0\0"


def hand_in(world, mail, root=None):
    """By postern-queue; it is stopped by nobody."""
    message, paths = os.memfd_create("message"), os.memfd_create("envelope")
    try:
        for fd, content in ((message, mail.raw), (paths, envelope(mail))):
            os.write(fd, content)
            os.lseek(fd, 0, os.SEEK_SET)
        done = subprocess.run(
            [str(world.bin / "postern-queue")], stdin=message, stdout=paths,
            stderr=subprocess.PIPE, timeout=PATIENCE,
            env={**os.environ, "POSTERN_ROOT": str(root or world.folder)})
    finally:
        os.close(message)
        os.close(paths)
    if done.returncode != 0:
        raise Failure(f"postern-queue exits {done.returncode}: {done.stderr}")
    mail.state = "accepted"


def box(world, *parts):
    """What lies there."""
    folder = world.folder / "var/spool/postern-drop"
    return [p for part in parts for p in (folder / part).iterdir()]


def wait_empty(world):
    def test():
        world.settle_down()
        return not box(world, "new", "work")
    world.wait(test, "an empty drop box")


@scenario
class Pickup(Scenario):
    """A start with a full drop box, and more that comes while it runs."""
    name = "pickup"
    template = "pickup"
    from_start = True
    # what others do with the mail is stopped in other workloads
    roles_apart = ("start", "become", "local", "local-user", "userd", "qmgr",
                   "dial", "remote", "bounce", "listen-smtp", "listen-pop3",
                   "smtpd", "popup", "dnsd", "programs")

    def prepare(self, world):
        world.fresh("used")
        write, later = world.book.write, {"x@later.test": ("later.test",)}
        for mail in (
                write(at("alice")),
                write({**at("alice", "bob"), "x@ok.test": ("ok.test",)}),
                write({**later, **at("bob")}, 90_000),
                write({**later, "TOKEN@refused.test": ("bounce",)},
                      sender=f"alice@{DOMAIN}"),
                write({f"team@{DOMAIN}": ("alice", "ok.test")}, 90_000)):
            hand_in(world, mail)
        # the same drop box, and no run/queue: as if Postern were stopped
        beside = world.live / "stopped"
        (beside / "var/spool").mkdir(parents=True)
        (beside / "etc").symlink_to(world.folder / "etc")
        (beside / "var/spool/postern-drop").symlink_to(
            world.folder / "var/spool/postern-drop")
        self.book = world.book
        world.keep(self.template)

    def before(self, world):
        world.book = copy.deepcopy(self.book)

    def act(self, world, client):
        wait_empty(world)
        for size in (300, 90_000):
            hand_in(world, world.book.write(at("erin"), size),
                    world.live / "stopped")
        wait_empty(world)
        world.hops["later.test"].mode = "take"
        world.drain()
        world.wait_mess_gone()


@scenario
class Drop(Scenario):
    """Writers: what one said it has is there once, and one that dies leaves
    nothing that stays."""
    name = "drop"
    roles_apart = ()

    def play(self, world, stop):
        """As sweep.play."""
        world.fresh(self.template)
        mails = [world.book.write(at(user), size) for user, size in (
            ("alice", 300), ("bob", 90_000), ("dave", 300))]
        traced = self.write_all(world, mails, stop)
        hand_in(world, world.book.write(at("erin")))  # takes its slot again
        half = [p.name for p in box(world, "new") if p.suffix == ".tmp"]
        if half:
            raise Failure(f"a dead writer's: {half}", "stray")
        world.launch()
        world.wait_ready()
        wait_empty(world)
        world.drain()
        world.shutdown()
        world.stopped = traced
        causes = sweep_check.check(world, stop, self)
        return traced.counts, causes, traced.fired.is_set(), traced.path

    @staticmethod
    def write_all(world, mails, stop):
        """In one shell, which says how each ended."""
        folder = world.base / "writers"
        folder.mkdir(exist_ok=True)
        codes = folder / "codes"
        codes.write_text("")
        lines = []
        for mail in mails:
            (folder / mail.token).write_bytes(mail.raw)
            (folder / f"{mail.token}.to").write_bytes(envelope(mail))
            lines.append(
                f"{world.bin}/postern-queue <{folder}/{mail.token} "
                f"1<{folder}/{mail.token}.to; echo $? >>{codes}")
        traced = Traced([str(world.live)], str(world.folder / "log"),
                        ["/bin/sh", "-c", "\n".join(lines)],
                        world.environment(), stop)
        world.stopped = traced
        try:
            if not traced.over.wait(PATIENCE):
                raise Failure("the writers do not end")
        finally:
            traced.end()
        ends = codes.read_text().split()
        for mail, code in zip(mails, ends):
            mail.state = "accepted" if code == "0" else "unknown"
        if len(ends) < len(mails):  # all died with this one
            mails[len(ends)].state = "unknown"
        if stop is None and ends != ["0"] * len(mails):
            raise Failure(f"writers end with {ends}")
        return traced
