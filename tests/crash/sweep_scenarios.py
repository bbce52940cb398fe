# SPDX-License-Identifier: ISC
"""The sweep's workloads.  Each one is run anew for every stop."""
import copy
import poplib
import shutil

import sweep_check
from sweep_mail import PATIENCE, Client, Failure
from sweep_world import DOMAIN, USERS, Traced

SCENARIOS = {}


def scenario(cls):
    SCENARIOS[cls.name] = cls()
    return cls


def at(*names):
    return {f"{n}@{DOMAIN}": (n,) for n in names}


class Scenario:
    """before(): what comes before the first call that counts; act(): what is
    stopped."""
    template = "used"
    from_start = False      # calls count from the start of the suite on
    quarantined = (0,)      # how many files may be put aside
    roles_apart = ("start",)  # whose calls another scenario stops

    def prepare(self, world):
        """Makes the template, if it is one of its own."""

    def before(self, world):
        if not self.from_start:
            world.launch()
            world.wait_ready()

    def act(self, world, client):
        raise NotImplementedError

    def check(self, world, copies):
        """More than mail, of what was found; raises Failure."""


@scenario
class Accept(Scenario):
    """Every way in and out: small and large, virtual and system users, many
    recipients, alias, forward, program, relay, bounce."""
    name = "accept"

    def act(self, world, client):
        write, user = world.book.write, f"{world.user}@{DOMAIN}"
        client.send_all(world.book, [
            write(at("alice")),
            write({**at("alice", "bob"), user: ("home",),
                   "x@ok.test": ("ok.test",)}),
            write(at(*USERS)),
            write({**at("bob"), user: ("home",), "x@ok.test": ("ok.test",)},
                  90_000),
            write({f"team@{DOMAIN}": ("alice", "ok.test")}),
            write({f"{world.user}-fwd@{DOMAIN}": ("home", "bob")}),
            write({f"{world.user}-prog@{DOMAIN}": ("home", "program")}),
            write({"TOKEN@refused.test": ("bounce",)},
                  sender=f"alice@{DOMAIN}"),
        ])
        world.drain()


def fill(world, client):
    """Turns the ring by more than one segment."""
    client.send_all(world.book, [
        world.book.write({"x@ok.test": ("ok.test",)}, 62_000)
        for _ in range(18)])


@scenario
class Settle(Scenario):
    """Deferred mail grows old: files are made, appended to and removed, marks
    and replacements among them, while segments retire."""
    name = "settle"

    def act(self, world, client):
        write, later = world.book.write, {"x@later.test": ("later.test",)}
        never = {"x@never.test": ("never.test",)}
        turn = {"TOKEN@turn.test": ("bounce",)}
        client.send_all(
            world.book,
            [write({**later, **at("alice")})] +
            [write({**later, **never}) for _ in range(8)] +
            [write({**later, **never, **at("bob")}, 90_000),
             write({f"slow@{DOMAIN}": ("bob", "later.test"), **never})] +
            [write({**turn, **never}, size, f"bob@{DOMAIN}")
             for size in (300, 90_000)])
        world.wait_deferred()
        fill(world, client)
        world.hops["later.test"].mode = "take"
        world.hops["turn.test"].mode = "refuse"
        world.retry()
        world.wait_deferred()
        fill(world, client)
        world.hops["never.test"].mode = "take"
        world.drain()
        world.wait_mess_gone()


@scenario
class Orders(Scenario):
    """Orders of the administrator: what was deleted never comes, what is held
    stays until it is released, what is given up comes back once."""
    name = "orders"

    def order(self, world, verb, mail):
        return world.postern("queue", verb, mail.id).returncode == 0

    def act(self, world, client):
        deferred = {"TOKEN@later.test": ("later.test",)}
        sent = client.send_all(world.book, [
            world.book.write({**deferred, **at("alice")}, size,
                             f"bob@{DOMAIN}")
            for size in (300, 300, 90_000, 300, 90_000, 300, 90_000)])
        # what is deleted between two attempts may leave a file in tmp/
        world.wait_deferred(but="@later.test")
        for mail in sent[1:3]:
            mail.deleted["later.test"] = "maybe"
            if self.order(world, "delete", mail):
                mail.deleted["later.test"] = "yes"
        held = [m for m in sent[3:5] if self.order(world, "hold", m)]
        world.postern("queue", "settle")
        self.given_up = sent[5:]
        for mail in self.given_up:  # one of the two happens
            mail.places["the sender"] = ("bounce",)
            mail.deleted.update({"later.test": "maybe", "bounce": "maybe"})
            self.order(world, "bounce", mail)
        world.hops["later.test"].mode = "take"
        world.drain(but="held")
        early = [m.token for m in held
                 if m.token in world.hops["later.test"].taken]
        if early:
            raise Failure(f"held, and sent: {early}", "stray")
        world.wait(lambda: world.postern(
            "queue", "release", "--all").returncode in (0, 1), "the release")
        world.drain()
        world.wait_mess_gone()

    def check(self, world, copies):
        for mail in self.given_up:
            if not any(copies.get((p, mail.token))
                       for p in ("bounce", "later.test")):
                raise Failure(f"{mail.token} was given up, and nobody knows",
                              "lost")


@scenario
class Pop3(Scenario):
    """UPDATE: messages are deleted, read ones move to cur/."""
    name = "pop3"

    def before(self, world):
        super().before(world)
        client = Client(world.address("SMTP"))
        client.send_all(world.book, [
            world.book.write(at("pop")) for _ in range(8)])
        client.close()
        world.drain()

    def session(self, world):
        """Deletes every second message and reads the rest; true: done."""
        pop = poplib.POP3(*world.address("POP3"), timeout=25)
        try:
            pop.user(f"pop@{DOMAIN}")
            pop.pass_("secret")
            doomed = []
            for i in range(1, len(pop.list()[1]) + 1):
                raw = b"\n".join(pop.retr(i)[1]) + b"\n"
                token = world.token_of(raw)
                if int(token[1:]) % 2:
                    pop.dele(i)
                    doomed.append(world.book.mails[token])
            for mail in doomed:
                mail.deleted.setdefault("pop", "maybe")
            pop.quit()
            for mail in doomed:
                mail.deleted["pop"] = "yes"
        finally:
            pop.close()

    def act(self, world, client):
        for _ in range(2):  # the second finds little to do
            world.again(lambda: self.session(world), "a POP3 session")


@scenario
class First(Scenario):
    """The very first start: an empty spool."""
    name = "first"
    template = "first"
    from_start = True
    roles_apart = ()

    def act(self, world, client):
        client.send_all(world.book, [world.book.write(at("alice"))])
        world.drain()


@scenario
class Recover(Scenario):
    """A start after a crash: mail in records and files, with marks, strays, and
    damage that is put aside."""
    name = "recover"
    template = "recover"
    from_start = True
    quarantined = (1,)

    def prepare(self, world):
        if world.has(self.template):
            return
        world.fresh("used")
        segments = world.folder / "etc/postern/journalsegments"
        segments.write_text("16\n")  # so that nothing is settled yet
        write, later = world.book.write, {"x@later.test": ("later.test",)}
        world.launch()
        world.wait_ready()
        client = Client(world.address("SMTP"))
        sizes = (300, 90_000, 300, 300, 90_000, 300)
        sent = client.send_all(world.book, [
            write({**later, **at("alice")}, size) for size in sizes] + [
            write({f"slow@{DOMAIN}": ("bob", "later.test")})] + [
            write({**later, "TOKEN@turn.test": ("bounce",),
                   "x@never.test": ("never.test",)}, size,
                  f"alice@{DOMAIN}") for size in (300, 90_000)])
        client.close()
        world.wait_deferred()
        world.hops["turn.test"].mode = "refuse"
        world.retry()
        world.wait_deferred()
        world.wait(lambda: len(world.queue() or ()) == 11, "the bounces")
        world.end()
        # further marks of the same messages in another segment
        world.launch()
        world.wait_deferred()
        world.hops["never.test"].mode = "take"
        world.retry()
        world.wait(lambda: len(world.queue() or ()) == 9, "what was taken")
        world.end()
        spool = world.folder / "var/spool/postern"
        self.damage(spool, sent[3])
        self.sent = sent
        (spool / "mess/tmp/00000000000000aa").write_bytes(b"half")
        (spool / "journal/new").write_bytes(b"\0" * 5000)
        for path in (spool / "journal").glob("[0-9]*"):
            if path.read_bytes()[:1] == b"\0":  # never used
                path.unlink()
        segments.write_text("4\n")
        world.keep("recover")
        self.book = world.book
        self.taken = {n: dict(h.taken) for n, h in world.hops.items()}

    @staticmethod
    def damage(spool, mail):
        """Turns a byte of its body where it lies."""
        wanted = mail.raw[:mail.raw.index(b"\n") + 20]
        for path in [*spool.glob("journal/*"), *spool.glob("mess/*/*")]:
            place = path.read_bytes().find(wanted)
            if place < 0:
                continue
            with open(path, "r+b") as f:
                f.seek(place + len(wanted))
                f.write(b"\xff")
            # nobody can deliver it; what was done already is done
            mail.deleted["later.test"] = "yes"
            return
        raise Failure("found no message to damage")

    def before(self, world):
        world.book = copy.deepcopy(self.book)
        for name, taken in self.taken.items():
            world.hops[name].taken.update(copy.deepcopy(taken))
        world.hops["turn.test"].mode = "refuse"
        world.hops["never.test"].mode = "take"

    def act(self, world, client):
        world.wait_deferred()
        world.hops["later.test"].mode = "take"
        world.drain()
        world.wait_mess_gone()


@scenario
class Fsck(Recover):
    """postern queue fsck --repair, stopped, and run again before the start."""
    name = "fsck"
    template = "fsck"
    # the damaged file, and the segment as it was: once for each time that the
    # mending began
    quarantined = (2, 3)

    def prepare(self, world):
        recover = SCENARIOS["recover"]
        recover.prepare(world)
        world.fresh(recover.template)
        world.book = copy.deepcopy(recover.book)
        self.taken, sent = recover.taken, recover.sent
        spool = world.folder / "var/spool/postern"
        self.damage(spool, world.book.mails[sent[4].token])
        (spool / "version").unlink()
        (path,) = spool.glob(f"mess/*/{sent[1].id}")
        wrong = spool / "mess" / ("00" if path.parent.name != "00" else "01")
        if not wrong.exists():
            wrong.mkdir(mode=0o700)
            shutil.chown(wrong, "posternq", "posternq")
        path.rename(wrong / path.name)
        self.book = world.book
        world.keep(self.template)

    def repair(self, world, stop):
        traced = Traced([str(world.live)], str(world.folder / "log"),
                        [str(world.bin / "postern"), "queue", "fsck",
                         "--repair"], world.environment(), stop)
        world.stopped = traced
        if not traced.over.wait(PATIENCE):
            raise Failure("fsck does not end")
        traced.end()
        return traced

    def play(self, world, stop):
        """As sweep.play."""
        world.fresh(self.template)
        self.before(world)
        first = self.repair(world, stop)
        fired, path = first.fired.is_set(), first.path
        again = self.repair(world, None)
        if again.status not in (0, 1):
            raise Failure(f"the second fsck exits {again.status}")
        world.launch()
        world.stopped = None
        world.wait_ready()
        self.act(world, None)
        world.shutdown()
        sweep_check.check(world, None, self)
        return first.counts, {}, fired, path
