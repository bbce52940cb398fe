# SPDX-License-Identifier: ISC
"""Damaged spools: what is not damaged is delivered, what is goes to
quarantine, nothing comes twice or forged, and postern-fsck mends.
POSTERN_DAMAGE says how many random damages are tried (default 6)."""
import json
import os
import random
import re
import resource
import shutil
import time

import pytest

from spools import Listen, Place, Qmgr, fill, flip, records, told

ROUNDS = int(os.environ.get("POSTERN_DAMAGE", "6"))
SEED = int(os.environ.get("POSTERN_SEED", str(int(time.time()))))
MESSAGES = 500


@pytest.fixture(scope="module")
def sound():
    """A stopped spool with 500 messages: records, files, marks."""
    with Place() as place:
        place.left, place.done = {}, set()
        # a small ring, so that some are settled; then a large one
        for ring in ("4", "12"):
            with place.world({"journalsegments": ring}) as world:
                left, done = fill(world, random.Random(ring), MESSAGES // 2)
                time.sleep(0.3)
            place.left |= left
            place.done |= done
        yield place


def extents(place):
    """[(path, from, to, id or None)] of all that a message needs: its record
    or its file; None: nobody's."""
    out = []
    for name in place.files("journal"):
        path = place.spool / "journal" / name
        out += [(path, a, b, qid if kind == "A" else None)
                for a, b, kind, _, qid in records(path)]
    for name in place.files("mess"):
        path = place.spool / "mess" / name
        out.append((path, 0, path.stat().st_size, int(name[-16:], 16)))
    return out


def damage(place, rng, count):
    """Damages `count` random places; the ids whose bytes were touched."""
    map_ = extents(place)
    touched, marks = set(), False
    for _ in range(count):
        path, a, b, _ = rng.choice(map_)
        if rng.random() < 0.1 and path.parent.name == "journal":
            a, b = 0, 64  # a header
        at = rng.randrange(a, b)
        n = rng.choice([1, 1, 8, 200, 5000, 20000])
        n = min(n, path.stat().st_size - at)
        old = path.read_bytes()[at:at + n]
        how = rng.random()
        new = (bytes([old[0] ^ 1 << rng.randrange(8)]) + old[1:]
               if how < 0.4 else rng.randbytes(n) if how < 0.7
               else bytes(n))
        if how < 0.4:
            n = 1
        flip(path, at, new)
        for p, x, y, qid in map_:
            if p == path and x < at + n and at < y:
                if qid is None:
                    marks = True
                else:
                    touched.add(qid)
    return touched, marks


def check(place, found, touched, marks):
    for qid, (sender, body) in place.left.items():
        if qid not in found:
            assert qid in touched, f"{qid:016x} was lost, and not touched"
            continue
        assert found[qid][0] == sender
        if found[qid][1] is None:
            assert qid in touched, f"{qid:016x} is called damaged"
        else:
            assert found[qid][1] == body, f"{qid:016x} is not what it was"
    back = set(found) - set(place.left)
    assert back <= place.done, "forged"
    if not marks and not place.suspect:
        assert not back, "finished ones have come back"


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("first", ["queued", "fsck"])
def test_random_damage(sound, number, first):
    """Mended by fsck, or met by queued first: nothing untouched is lost."""
    rng = random.Random(f"{SEED}-{number}-{first}")
    print(f"seed {SEED}")
    with Place() as p:
        p.copy_from(sound.spool)
        p.left, p.done = sound.left, sound.done
        touched, marks = damage(p, rng, rng.choice([1, 3, 10, 40]))
        if first == "queued":
            with p.world() as w:
                early = told(w)
                assert set(early) <= set(p.left) | p.done
                for qid in early.keys() & p.left.keys():
                    assert early[qid][1] in (None, p.left[qid][1]), "forged"
                w.stop()
                log = w.log()
            print(log[-2000:])
        out = p.fsck("--repair", "--quiet", code=(0, 1, 4)).stdout
        print(out)
        assert p.fsck("--quiet").returncode in (0,), p.fsck().stdout
        names = p.files("quarantine")
        # a segment whose life is not known brings finished mail back, too
        p.suspect = any(n.startswith("journal-") for n in names)
        if names:
            print(p.fsck("--restore", *names, code=(0, 1, 4)).stdout)
        with p.world() as w:
            found = told(w)
            check(p, found, touched, marks)
            assert Listen(w).session().post("", ["bob@tester.example"],
                                            b"goes on")[0] == "K"


def test_a_sound_spool_is_clean(sound):
    with Place() as p:
        p.copy_from(sound.spool)
        before = {n: (p.spool / n).read_bytes() for n in p.files(".")}
        out = p.fsck(code=0).stdout
        assert re.search(r"messages in files, \d+ in the journal, finished "
                         "ones too; 0 mended, 0 left; 0 whole messages in "
                         "quarantine", out), out
        assert p.fsck("--repair", code=0)
        assert before == {n: (p.spool / n).read_bytes()
                          for n in p.files(".")}


# ---- by kind ----

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place(sound):
    with Place() as p:
        p.copy_from(sound.spool)
        p.left, p.done, p.suspect = sound.left, sound.done, False
        yield p


def some_file(place, skip=0):
    """The file of an unfinished message, and its id."""
    names = [n for n in place.files("mess") if int(n[-16:], 16) in place.left]
    path = place.spool / "mess" / names[len(names) // 2 + skip]
    return path, int(path.name, 16)


def some_segment(place, skip=0):
    """A segment with records, and those."""
    all_ = [place.spool / "journal" / n for n in place.files("journal")]
    live = sorted((p for p in all_ if len(records(p)) > 5),
                  key=lambda p: records(p)[0][3])
    return live[skip], records(live[skip])


def own(path):
    if os.geteuid() == 0:
        shutil.chown(path, "posternq", "posternq", )


def as_fifo(path):
    path.unlink()
    os.mkfifo(path, 0o600)
    own(path)


def as_directory(path):
    path.unlink()
    path.mkdir(0o700)
    own(path)


def as_symlink(path):
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


def as_other(path):
    path.write_bytes(random.Random(3).randbytes(path.stat().st_size))


def huge_length(path):
    flip(path, 24, b"\x7f" + b"\xff" * 7)


def huge_entry(path):
    data = path.read_bytes()
    at = data.rfind(b"PrE1\0\0\0E")
    flip(path, at + 8, b"\xff" * 4)


KINDS = {"fifo": as_fifo, "directory": as_directory, "symlink": as_symlink,
         "foreign": as_other, "empty": lambda p: os.truncate(p, 0),
         "cut in its head": lambda p: os.truncate(p, 30),
         "cut in its body": lambda p: os.truncate(p, 64 + 1),
         "huge body length": huge_length, "huge entry length": huge_entry,
         "flipped body": lambda p: flip(p, 70, b"\xff\xff\xff\xff\xff"),
         "flipped envelope": lambda p: flip(
             p, p.read_bytes().rfind(b"@tester"), b"?")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_costs_one_message(place, kind):
    path, qid = some_file(place)
    KINDS[kind](path)
    with place.world() as w:
        found = told(w)
        check(place, found, {qid}, False)
        assert found.get(qid, (0, None))[1] is None
        assert re.search(
            rf"event=quarantine(d|-failed) qid={qid:016x} .*do=", w.log())
    # what has no bytes is left for fsck to remove
    assert f"{qid:016x}" in os.listdir(place.spool / "quarantine") or \
        kind in ("fifo", "symlink")
    place.fsck(code=(0, 4))
    place.fsck("--repair", code=(0, 1))
    place.fsck(code=0)
    with place.world() as w:  # nor is it met a second time
        check(place, told(w), {qid}, False)
        assert "quarantined" not in w.log()


@pytest.mark.parametrize("kind", KINDS)
def test_fsck_puts_a_damaged_file_aside(place, kind):
    path, qid = some_file(place)
    KINDS[kind](path)
    before = place.files(".")
    out = place.fsck("--quiet", code=4).stdout
    assert f"{qid:016x}" in out and "wrong" in out
    assert place.files(".") == before
    assert "mended" in place.fsck("--repair", "--quiet", code=1).stdout
    place.fsck(code=0)
    with place.world() as w:
        check(place, told(w), {qid}, False)


@needs_root
def test_a_file_that_cannot_be_read_stays(place):
    path, qid = some_file(place)
    os.chown(path, 0, 0)
    with place.world() as w:
        check(place, told(w), {qid}, False)
        assert f"event=unreadable qid={qid:016x}" in w.log()
    assert path.exists()
    assert "owner 0:0" in place.fsck(code=4).stdout
    place.fsck("--repair", code=1)
    with place.world() as w:
        check(place, told(w), set(), False)


def test_files_in_the_wrong_place_are_found(place):
    """Wrong folder, wrong name, two files swapped, a second name."""
    (a, _), (b, _) = some_file(place), some_file(place, 1)
    c, d, e = (some_file(place, i)[0] for i in (2, 3, 4))
    a.rename(a.parent / "x")
    b.rename(a)
    (a.parent / "x").rename(b)
    c.rename(c.parent / "0123")
    folder = place.spool / "mess/00"
    if not folder.exists():
        folder.mkdir(0o700)
        own(folder)
    d.rename(folder / d.name)
    os.link(e, e.parent / f"{int(e.name, 16) + 1:016x}")
    assert place.fsck("--repair", code=(1, 4))
    place.fsck("--repair", code=(0, 1))
    place.fsck(code=0)
    with place.world() as w:
        found = told(w)
        # of two that were swapped each finds the other in its place
        check(place, found, {int(a.name, 16), int(b.name, 16)}, False)
        missing = set(place.left) - set(found)
    if missing:
        place.fsck("--restore", *[f"{i:016x}" for i in missing], code=1)
    with place.world() as w:
        check(place, told(w), set(), False)


def test_strays_do_no_harm(place):
    some_file(place)[0].with_name("README").write_text("?")
    (place.spool / "mess/stray").write_text("?")
    (place.spool / "mess/tmp/left").write_text("?")
    (place.spool / "journal/stray").write_text("?")
    (place.spool / "journal/new").write_text("?")
    (place.spool / "mess/zz").mkdir()
    os.mkfifo(place.spool / "mess/ff")
    with place.world() as w:
        check(place, told(w), set(), False)
        assert "strange-file" in w.log() and "event=unreadable" in w.log()
    place.fsck("--repair", code=1)
    place.fsck(code=0)
    with place.world() as w:
        check(place, told(w), set(), False)
        assert "strange-file" not in w.log()


def most_memory():
    """KiB, of any process so far that this one waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def test_hostile_spool(place):
    """One that posternq could have made: nothing outside is followed, changed
    or waited for."""
    outside = place.root / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_text("precious")
    os.chmod(outside / "file", 0o640)
    before = [(p.stat().st_uid, p.stat().st_mode)
              for p in (outside, outside / "file")]
    os.remove(place.spool / "lock")
    os.mkfifo(place.spool / "lock")
    os.remove(place.spool / "version")
    os.mkfifo(place.spool / "version")
    os.link(outside / "file", place.spool / "mess/tmp/hard")
    os.link(outside / "file", place.spool / "quarantine/hard")
    (place.spool / "mess/aa").symlink_to(outside)
    (place.spool / "quarantine/soft").symlink_to(outside / "file")
    (place.spool / "deep").symlink_to("/")
    os.mkfifo(place.spool / "journal/0000x")
    os.mkfifo(place.spool / "quarantine/fifo")
    with open(place.spool / "quarantine/segment-0001-0", "w") as f:
        f.truncate(1 << 40)
    for name in ("quarantine/large", "journal/0009"):
        with open(place.spool / name, "w") as f:
            f.truncate((4 << 30) - 4096)  # would be read into memory
    with open(place.spool / "mess/sparse", "w") as f:
        f.truncate(1 << 40)
    (place.spool / "mess/\x1b]0;owned\x07").write_text("?")
    memory = most_memory()
    for args in ((), ("--json",), ("--repair",), ("--repair", "--json"), ()):
        out = place.fsck(*args, timeout=60).stdout
        assert "\x1b" not in out and "\a" not in out
        assert most_memory() <= max(memory, 1 << 20)
        if "--json" in args:
            for x in out.splitlines():
                json.loads(x)
    after = [(p.stat().st_uid, p.stat().st_mode)
             for p in (outside, outside / "file")]
    assert after == before
    assert (outside / "file").read_text() == "precious"
    assert [p.name for p in outside.iterdir()] == ["file"]


def swap_records(path, list_):
    data = path.read_bytes()
    (a, b, *_), (c, d, *_) = list_[1], list_[2]
    flip(path, a, data[c:d] + data[b:c] + data[a:b])


def copy_record(path, list_):
    data = path.read_bytes()
    (a, b, *_), (c, *_) = list_[1], list_[3]
    flip(path, c, data[a:b])


def foreign_record(path, list_):
    data = bytearray(path.read_bytes())
    a, b, *_ = list_[2]
    data[a + 16:a + 24] = (2 ** 60).to_bytes(8, "big")  # its sequence
    flip(path, a, bytes(data[a:b]))


RECORD_KINDS = {
    "swapped": swap_records, "copied": copy_record, "foreign": foreign_record,
    "flipped": lambda p, l: flip(p, l[2][0] + 70, b"\xff\xff"),
    "head gone": lambda p, l: flip(p, l[2][0], bytes(64)),
    "huge length": lambda p, l: flip(p, l[2][0] + 36, b"\xff" * 4),
    "last one": lambda p, l: flip(p, l[-1][0], b"\xff" * 64),
    "last magic": lambda p, l: flip(p, l[-1][0], b"X"),
}


@pytest.mark.parametrize("kind", RECORD_KINDS)
def test_damaged_records_cost_themselves(place, kind):
    path, list_ = some_segment(place)
    before = path.read_bytes()
    RECORD_KINDS[kind](path, list_)
    after = path.read_bytes()
    touched = {i for a, b, _, _, i in list_ if before[a:b] != after[a:b]}
    with place.world() as w:
        early = told(w)
        check(place, early, set(place.left), True)
        log = w.log()
    assert re.search("event=(records-lost|torn-record|records-missing)", log)
    # a head that is gone at the end of a segment can only be missed
    gone = kind == "last one"
    out = place.fsck("--quiet", code=0 if gone else 4).stdout
    assert "damaged records" in out or "unfinished end" in out or \
        gone and "1 records behind its last one" in out, out
    place.fsck("--repair", "--quiet", code=0 if gone else 1)
    place.fsck("--quiet", code=0)
    with place.world() as w:
        check(place, told(w), touched, True)
        assert "records-lost" not in w.log()


def drop_header(path):
    flip(path, 0, random.Random(5).randbytes(4096))


START = 5000  # bytes: the header and the head of the first record


SEGMENT_KINDS = {
    "header zeroed": lambda p: flip(p, 0, bytes(4096)),
    "start zeroed": lambda p: flip(p, 0, bytes(START)),
    "flipped header": lambda p: flip(p, 44, b"\x55"),
    "flipped number": lambda p: flip(p, 40, b"\x55\x55\x55\x55"),
    "header gone": drop_header,
    "cut short": lambda p: os.truncate(p, 5000),
    "empty": lambda p: os.truncate(p, 0), "fifo": as_fifo,
    "directory": as_directory, "foreign": as_other,
}


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("kind", SEGMENT_KINDS)
def test_a_damaged_segment(place, kind, which):
    path, list_ = some_segment(place, which)
    lost = {i for *_, i in list_}
    SEGMENT_KINDS[kind](path)
    sound_records = kind.startswith(("flipped", "header", "start"))
    gone = {i for a, *_, i in list_ if kind == "start zeroed" and a < START}
    with place.world() as w:
        check(place, told(w), lost, True)
        assert Listen(w).session().post("", ["bob@tester.example"], b"on")
        assert re.search("event=segment-damaged .*do=", w.log())
    aside = [n for n in place.files("quarantine") if n.startswith("journal-")]
    assert aside or kind in ("directory", "fifo"), place.files("quarantine")
    place.fsck("--repair", code=1 if kind == "fifo" else 0)
    place.fsck(code=0)
    if sound_records:
        place.fsck("--restore", *aside, code=1)
        with place.world() as w:
            found = told(w)
            assert set(place.left) - gone <= set(found)


@pytest.mark.parametrize("kind", ["flipped header", "header gone",
                                  "header zeroed"])
def test_fsck_writes_a_header_anew(place, kind):
    path, _ = some_segment(place, -1)
    SEGMENT_KINDS[kind](path)
    assert "its header" in place.fsck("--quiet", code=4).stdout
    place.fsck("--repair", "--quiet", code=1)
    with place.world() as w:
        check(place, told(w), set(), False)


def test_a_segment_copied_over_another(place):
    (a, _), (b, other) = some_segment(place, -1), some_segment(place, 0)
    shutil.copyfile(a, b)
    with place.world() as w:
        check(place, told(w), {i for *_, i in other}, True)
        assert "segment-damaged" in w.log()


def test_restored_and_never_twice(place):
    """What is in the queue is not put back a second time."""
    path, qid = some_file(place)
    shutil.copy2(path, place.spool / "quarantine" / path.name)
    own(place.spool / "quarantine" / path.name)
    assert f"whole message {qid:016x}" in place.fsck(code=0).stdout
    assert "already" in place.fsck("--restore", path.name).stdout
    path.unlink()
    assert "mended" in place.fsck("--restore", path.name, code=1).stdout
    assert path.exists()
    assert place.fsck("--restore", path.name, code=4)
    assert place.fsck("--restore", code=16)
    assert place.fsck("--nonsense", code=16)


def test_fsck_looks_only_while_queued_runs(place):
    with place.world() as w:
        Qmgr(w).index()
        out = place.fsck("--quiet", code=0).stdout
        assert "running on this spool" in out
        assert place.fsck("--repair", code=8)
        path, qid = some_file(place)
        KINDS["flipped body"](path)
        assert "damaged" in place.fsck("--quiet", code=4).stdout
        assert path.exists()


def test_fsck_without_key_or_spool(place):
    assert '"state":"end"' in place.fsck("--json", code=0).stdout
    key = (place.spool / "key").read_bytes()
    (place.spool / "key").unlink()
    assert "copy it from where" in place.fsck(code=8).stdout
    (place.spool / "key").write_bytes(key[:-1] + b"\0")
    own(place.spool / "key")
    (place.spool / "version").unlink()
    out = place.fsck("--quick", code=4).stdout
    assert out.count("damaged") > 10
    shutil.rmtree(place.spool)
    assert place.fsck(code=8)
