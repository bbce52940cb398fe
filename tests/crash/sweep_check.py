# SPDX-License-Identifier: ISC
"""What must hold after a stop: every 250 kept, bytes intact, nothing torn,
nothing left over, duplicates only with a cause that INTERNALS.md names."""
import collections
import re

from sweep_mail import Failure, token_and_hash

# marks wait up to 200 ms for a batch, and a busy machine may be late
MARKS_SECONDS = 0.5


def found(world):
    """{(place, token): [when or None of each copy]}"""
    copies = collections.defaultdict(list)
    for place, path in world.files():
        raw = path.read_bytes()
        problem = world.problem_of(raw)
        if problem:
            raise Failure(f"{place}: {problem} ({path.name})", "torn")
        if b"multipart/report" in raw:
            for rcpt in re.findall(rb"^Final-Recipient: rfc822; (\w+)@", raw,
                                   re.M | re.I):
                copies["bounce", rcpt.decode()].append(None)
        else:
            copies[place, token_and_hash(raw)[0]].append(None)
    for token in world.programs():
        copies["program", token].append(None)
    for name, hop in world.hops.items():
        for token, takes in hop.taken.items():
            for when, digest in takes:
                mail = world.book.mails.get(token)
                if mail is None or digest != mail.hash:
                    raise Failure(f"{name}: other bytes than were sent",
                                  "torn")
                copies[name, token].append(when)
    return copies


def check_mail(world, stop, mail, copies, causes):
    places = [p for to in mail.places.values() for p in to]
    counts = {p: len(copies.pop((p, mail.token), ())) for p in places}
    absent = mail.state == "absent" or mail.deferred and not world.fired()
    if absent and any(counts.values()):
        raise Failure(f"{mail.token} was refused or not sent whole, and is "
                      f"there: {counts}", "stray")
    if mail.state == "unknown" and any(counts.values()):
        causes["1"] += 1
    for place in places:
        removed = mail.deleted.get(place)
        if removed == "yes" and counts[place]:
            raise Failure(f"{mail.token} was deleted, and is in {place}",
                          "stray")
        if counts[place] == 0 and not removed and (
                mail.state == "accepted" or any(counts.values())):
            raise Failure(f"{mail.token} ({mail.state}, {mail.size} bytes) is "
                          f"lost: not in {place}: {counts}", "lost")


def may_be_double(world, stop, place, first):
    """INTERNALS.md, "Duplicates that remain", cause 2."""
    if stop is None or not world.fired():
        return False
    whole = stop.scope == "all" or stop.role == "start"
    if place == "program":  # it runs again when its local was cut off
        return whole or stop.role == "local-user"
    return place in world.hops and whole and any(
        at - MARKS_SECONDS <= first <= at + 0.1 for at in world.fired_at)


def check_double(world, stop, key, times, causes):
    """More than one copy in one place."""
    place, token = key
    if not may_be_double(world, stop, place, times[0]):
        raise Failure(f"{token} is {len(times)} times in {place}, and no cause "
                      "is known", "twice")
    causes["2"] += len(times) - 1


def check(world, stop, scenario):
    """After the queue is empty: {cause: duplicates}.  Raises Failure."""
    causes = collections.Counter()
    if world.torn:
        raise Failure("; ".join(world.torn), "torn")
    copies = found(world)
    scenario.check(world, copies)
    for key, times in copies.items():
        if len(times) > 1:
            check_double(world, stop, key, times, causes)
    for mail in world.book.mails.values():
        check_mail(world, stop, mail, copies, causes)
    if copies:
        raise Failure(f"nobody sent that there: {sorted(copies)}", "stray")
    strays = world.strays()
    if strays:
        raise Failure(f"left over: {strays}", "stray")
    cut = cut_records(world, stop)
    causes["cut"] += len(cut)
    aside = [name for name in world.quarantined() if name not in cut]
    if len(aside) not in scenario.quarantined:
        raise Failure(f"in quarantine: {aside}")
    check_log(world, scenario, cut)
    return causes


def cut_records(world, stop):
    """The names in quarantine of what was cut off when queued died within its
    write, as it may when the whole suite dies at another role's call.  Nobody
    had a 250 for that."""
    if not stop or not world.fired_at:
        return []
    return re.findall(r" event=torn-record .*kept=quarantine/(\S+) error=none",
                      world.log())


def check_log(world, scenario, cut):
    if scenario.quarantined != (0,):
        return
    for line in world.log().splitlines():
        event = re.search(r" event=(\S+)", line)
        if event and event.group(1) in world.bad_events and not any(
                f"kept=quarantine/{name} " in line for name in cut):
            raise Failure(f"the log says: {line}")
