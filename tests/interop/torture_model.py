# SPDX-License-Identifier: ISC
"""What postern-inject and postern-sendmail make of a text, written down a
second time from their manual: whether what came out may have come of it."""
import email.header
import quopri
import re

FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.S)
ADDED = {b"date": rb"Date: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000",
         b"message-id": rb"Message-ID: <[\d.]+\.postern@mail\.hamburger\.edu>",
         b"to": rb"To: undisclosed-recipients:;"}
PLACES = [b"date", b"from", b"message-id", b"to"]
DROPPED = (b"bcc", b"return-path", b"content-length", b"apparently-to")
MIME = [b"MIME-Version: 1.0", b"Content-Transfer-Encoding: quoted-printable"]
ADDRESSES = (b"from", b"to", b"cc")


def lines_of(text):
    """LF lines of a text of LF or CRLF lines, each ended."""
    text = text.replace(b"\r\n", b"\n")
    return text if not text or text.endswith(b"\n") else text + b"\n"


def up_to_dot(text):
    """What sendmail without -i reads of it."""
    return re.split(rb"^\.\n", text, maxsplit=1, flags=re.M)[0]


def parted(text):
    """[(name, whole field)], body."""
    if re.match(rb">?From [^\n:]*[^\n: \t][^\n]*\n", text) and \
            not FIELD.match(text.split(b"\n")[0]):
        text = text.split(b"\n", 1)[1]
    fields, at = [], 0
    while at < len(text):
        end = text.index(b"\n", at)
        line = text[at:end]
        if line == b"":
            return fields, text[end + 1:]
        if line[:1] in b" \t":
            if not fields:
                break
            fields[-1][1] += b"\n" + line
        elif m := FIELD.match(line):
            fields.append([m[1], m[1] + b":" + m[2]])
        else:
            break
        at = end + 1
    return fields, text[at:]


def readable(field):
    """A field's value, unfolded and decoded, runs of white space as one."""
    value = field.partition(b":")[2].replace(b"\n", b"")
    if b"=?" in value:
        parts = email.header.decode_header(value.decode())
        value = b"".join(p if isinstance(p, bytes) else p.encode()
                         for p, _ in parts)
    return b" ".join(value.split())


def check_field(kept, came):
    """A field that was there."""
    exact = b"\n".join(line for line in kept.split(b"\n") if line.strip())
    if exact.isascii() and max(map(len, exact.split(b"\n"))) <= 998:
        assert came == exact
        return
    assert came.isascii() and readable(came) == readable(kept)
    for line in came.split(b"\n"):
        assert line.strip()
        assert len(line) <= 998 or not re.search(rb"[^\s:]\s\S", line)


def completed(came, text, author):
    """Asserts that `came` is `text` with header and body as they were completed
    for that author."""
    added = {**ADDED, b"from": b"From: Torture <%s>" % re.escape(author)}
    fields, body = parted(text)
    fields = [(n.lower(), f) for n, f in fields if n.lower() not in DROPPED]
    have = {n for n, _ in fields}
    got, got_body = parted(came)
    for (name, field), (_, g) in zip(fields, got):
        check_field(field, g)
    more = [g for _, g in got[len(fields):]]
    for name in PLACES:
        if name not in have:
            assert re.fullmatch(added[name], more.pop(0)), name
    mime = any(n == b"mime-version" or n.startswith(b"content-") for n in have)
    long = max(map(len, body.split(b"\n"))) > 998
    if mime or (body.isascii() and not long):
        assert more == [] and got_body == body
        return
    assert [more[0], more[2]] == MIME and len(more) == 3
    try:
        body.decode()
        charset = b"us-ascii" if body.isascii() else b"utf-8"
    except UnicodeDecodeError:
        charset = b"unknown-8bit"
    assert more[1] == b"Content-Type: text/plain; charset=" + charset
    assert got_body.isascii()
    assert max(map(len, got_body.split(b"\n"))) <= 76
    assert quopri.decodestring(got_body) == body
