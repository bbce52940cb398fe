# SPDX-License-Identifier: ISC
"""What must be true of a disk after a power cut and recovery, and whether it is.

A message whose 250 its client had before the cut is, for each recipient, in the
mailbox, at the next hop, or bounced; whole; once, but for the causes that
INTERNALS.md names."""
import collections
import dataclasses
import re

from power_load import USERS, identify

COUNTS = ("cuts", "acknowledged", "unacked", "lost", "reported", "removed",
          "doubled", "half", "undeleted", "stray")
REPORT_MS = 2000        # 200 ms of marks, on a machine with much else to do
BAD = ("lost", "doubled", "half", "undeleted", "stray")


@dataclasses.dataclass
class Result:
    """acknowledged: recipients of acknowledged messages.  unacked: recipients
    that got a message without a 250 (the reply was lost), whole.  reported:
    again at a next hop, its mark was not durable.  removed: delivered again
    after its owner deleted it.  doubled: twice without such a cause."""
    cuts: int = 0
    acknowledged: int = 0
    unacked: int = 0
    lost: int = 0
    reported: int = 0
    removed: int = 0
    doubled: int = 0
    half: int = 0
    undeleted: int = 0
    stray: int = 0
    oldest_mark_ms: int = 0     # of what was reported, but not durable
    problems: list = dataclasses.field(default_factory=list)

    def add(self, other):
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.oldest_mark_ms = max(self.oldest_mark_ms, other.oldest_mark_ms)
        self.problems += other.problems

    def mind(self, kind, text):
        setattr(self, kind, getattr(self, kind) + 1)
        self.problems.append(f"{kind}: {text}")

    @property
    def broken(self):
        """The test itself came to no result."""
        return any(p.startswith("test:") for p in self.problems)

    @property
    def bad(self):
        return any(getattr(self, name) for name in BAD) or bool(self.problems)


def mailboxes(var):
    """((name, user) -> files, recipient bounced -> bounces, broken files)"""
    mail, bounced, half = collections.Counter(), collections.Counter(), []
    for n in range(USERS):
        box = var / "mail/postern/local.test" / f"u{n}"
        for folder in ("new", "cur"):
            if not (box / folder).is_dir():
                continue
            for path in (box / folder).iterdir():
                raw = path.read_bytes()
                name, found = identify(raw)
                if name:
                    mail[name, f"u{n}", found] += 1
                elif b"multipart/report" in raw and \
                        raw.rstrip().endswith(b"--"):
                    for r in re.findall(
                            rb"^Final-Recipient: rfc822; (\S+)$", raw, re.M):
                        bounced[r.decode()] += 1
                else:
                    half.append(f"{path} ({len(raw)} bytes)")
    return mail, bounced, half


def strays(var, log):
    """What a recovered, drained spool and its mailboxes should not have."""
    spool = var / "spool/postern"
    torn = set(re.findall(r"event=torn-record .*kept=\S*?([^/\s\"]+)\"?(?:\s|$)",
                          log))
    found = [p for p in (spool / "mess/tmp").iterdir()]
    found += [p for p in (spool / "journal").glob("new")]
    found += [p for p in (spool / "quarantine").iterdir()
              if p.name not in torn]
    found += (var / "spool/postern-drop/bad").iterdir()
    for n in range(USERS):
        tmp = var / "mail/postern/local.test" / f"u{n}" / "tmp"
        found += list(tmp.iterdir()) if tmp.is_dir() else []
    out = [str(p.relative_to(var)) for p in found]
    return out + re.findall(
        r"event=(?:strange-file|damaged|records-lost|segment-damaged).*", log)


class Check:
    """One disk, cut at a position of the record (every position is below that
    of a cut that happened)."""

    def __init__(self, world, record, cut, cut_at):
        self.world, self.record = world, record
        self.cut, self.cut_at = cut, cut_at
        self.result = Result(cuts=1)

    def is_acked(self, name):
        m = self.record.sent[name]
        return 0 <= m.acked <= self.cut

    def hops(self):
        """(name, recipient) -> receipts by next hops that count."""
        out = collections.defaultdict(list)
        for t in [t for t in self.record.taken if t.position <= self.cut] + \
                self.later:
            if not t.whole:
                self.result.mind("half", f"{t.name} at {t.recipient}")
            out[t.name, t.recipient].append(t)
        return out

    def look_before(self):
        """The mounted disk, as a mail reader would see it now."""
        mail, _, half = mailboxes(self.world.var)
        for text in half:
            self.result.mind("half", text)
        self.see(mail)
        for (name, user), (_, done) in self.record.deleted.items():
            digest = self.record.sent[name].digest
            if 0 <= done <= self.cut and mail[name, user, digest]:
                self.result.mind("undeleted", f"{name} of {user}")

    def see(self, mail):
        for (name, user, digest), count in mail.items():
            sent = self.record.sent.get(name)
            if sent is None or sent.digest != digest:
                self.result.mind("half", f"{name} of {user}")
            elif sent.began > self.cut:
                raise AssertionError(f"{name} is on a disk before it was sent")

    def recover(self):
        """Starts, drains, ends the suite; and starts it again, for it must not
        forget that it was done."""
        start = self.world.log.stat().st_size if self.world.log.exists() else 0
        earlier, self.record.taken = self.record.taken, []
        self.world.net.life += 1
        try:
            self.world.start()
            self.world.drain()
            self.world.kill()
            self.world.start()
            self.world.drain()
        finally:
            self.world.kill()
            self.world.net.life -= 1
            self.later = self.record.taken
            self.record.taken = earlier
            with open(self.world.log, errors="replace") as f:
                f.seek(start)
                self.log = f.read()
        for text in strays(self.world.var, self.log):
            self.result.mind("stray", text)

    def local(self, name, user, mail):
        count = mail[name, user, self.record.sent[name].digest]
        began, done = self.record.deleted.get((name, user), (-1, -1))
        if count == 0 and not 0 <= began <= self.cut and self.is_acked(name):
            self.result.mind("lost", f"{name} of {user}")
        if count > 1:
            self.result.mind("doubled", f"{name} of {user}: {count}")
        if count == 1 and 0 <= done <= self.cut:
            self.result.removed += 1
        return count

    def relayed(self, name, recipient, receipts):
        """In each life of the suite once, when the mark was lost with it."""
        if not receipts and self.is_acked(name):
            self.result.mind("lost", f"{name} to {recipient}")
        lives = {t.life: t for t in receipts}
        if len(lives) < len(receipts):
            self.result.mind("doubled", f"{name} to {recipient}: lives "
                             f"{[t.life for t in receipts]}")
        elif len(lives) > 1:
            self.result.reported += len(lives) - 1
            last, again = (lives.get(self.world.net.life + i) for i in (0, 1))
            age = last and again and int((self.cut_at - last.at) * 1000) or 0
            self.result.oldest_mark_ms = max(self.result.oldest_mark_ms, age)
            if age > REPORT_MS:
                self.result.mind("doubled", f"{name} to {recipient}: reported "
                                 f"{age} ms before the cut")
        return len(receipts)

    def account(self):
        mail, bounced, half = mailboxes(self.world.var)
        for text in half:
            self.result.mind("half", text)
        self.see(mail)
        hops = self.hops()
        for name, m in self.record.sent.items():
            for r in m.recipients:
                user, domain = r.split("@")
                if domain == "local.test":
                    found = self.local(name, user, mail)
                elif domain == "refused.test":
                    found = bounced[r]
                    if not found and self.is_acked(name):
                        self.result.mind("lost", f"{name}: no bounce")
                    if found > 1:
                        self.result.mind("doubled", f"{name}: bounced twice")
                else:
                    found = self.relayed(name, r, hops[name, r])
                if self.is_acked(name):
                    self.result.acknowledged += 1
                elif found:
                    self.result.unacked += 1

    def run(self):
        """On the mounted disk; its Result."""
        try:
            self.look_before()
            self.recover()
            self.account()
        except AssertionError as e:
            tail = self.world.log.read_text(errors="replace")[-1500:]
            self.result.problems.append(f"recovery: {e}\n{tail}")
        return self.result
