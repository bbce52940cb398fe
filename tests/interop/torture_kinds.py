# SPDX-License-Identifier: ISC
"""Messages that mail systems stumble over, and what must become of each: one
table.  A kind is a text of LF lines as a local program writes it, and what a
client sends between DATA and the final dot when that is not just the same."""
import base64
import random
import re

HEAD = (b"From: Alice <alice@crepes.fr>\nTo: bob@hamburger.edu\n"
        b"Date: Sun, 22 Nov 2026 07:00:00 +0000\n"
        b"Message-ID: <torture@crepes.fr>\nSubject: torture\n")
MIME = (b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n")

# what a person is told; by (way of speaking, reason)
REFUSED = {
    ("smtp", "bare"): "554 5.6.0 Bare CR or LF in the message; lines end in "
                      "CRLF",
    ("smtp", "nul"): "554 5.6.0 NUL byte in the message",
    ("smtp", "loop"): "554 5.4.6 Too many Received lines: a mail loop",
    ("smtp", "large"): "552 5.3.4 Message over the size limit",
    ("queue", "bare"): "31 D5.6.0 The message holds a CR that ends no line; "
                       "lines must end in LF, or all in CRLF",
    ("queue", "mixed"): "31 D5.6.0 Some lines of the message end in CRLF, "
                        "others in LF; make them alike",
    ("queue", "nul"): "31 D5.6.0 The message holds a NUL byte; encode it "
                      "(MIME)",
    ("queue", "loop"): "31 D5.4.6 Too many Received lines: a mail loop",
    ("queue", "large"): "31 D5.3.4 Message too big (control/databytes)",
    ("inject", "bare"): "the message holds a CR that ends no line; lines must "
                        "end in LF or CRLF, and binary data must be encoded "
                        "(MIME)",
    ("inject", "nul"): "the message holds a NUL byte; encode binary data "
                       "(MIME)",
    ("inject", "loop"): "5.4.6 Too many Received lines: a mail loop",
    ("inject", "large"): "the message is larger than control/databytes "
                         "allows",
    ("inject", "header"): "the header is over 256 KiB",
}


class Kind:
    """smtp, queue, inject: why it is refused there; None: it is taken."""

    def __init__(self, name, text, wire=None, smtp=None, queue=None,
                 inject=None):
        self.name, self.text = name, text
        self.refused = {"smtp": smtp, "queue": queue, "inject": inject}
        self.wire = stuffed(text) if wire is None else wire
        # EX_DATAERR; what the queue refuses: EX_UNAVAILABLE
        self.sysexits = (0, 69 if inject == "loop" else 65)

    def why(self, door):
        reason = self.refused[door]
        return reason and REFUSED[door, reason]

    def queued(self):
        """The text as postern-queue has it: CRLF text is LF text."""
        return self.text.replace(b"\r\n", b"\n")

    def from_wire(self):
        """The text as it comes over SMTP, where a last line has its end."""
        if not self.wire.endswith(b"\r\n") and self.wire:
            raise ValueError(self.name)
        lines = self.wire.split(b"\r\n")[:-1]
        return b"".join((x[1:] if x[:1] == b"." else x) + b"\n"
                        for x in lines)


def wire(text):
    """LF lines as they stand on the wire, not stuffed: every line ends."""
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return text.replace(b"\n", b"\r\n")


def stuffed(text):
    return re.sub(rb"^\.", b"..", wire(text), flags=re.M)


def body(*lines):
    return HEAD + b"\n" + b"".join(line + b"\n" for line in lines)


def nested(levels):
    """multipart within multipart."""
    out = HEAD + b"MIME-Version: 1.0\n"
    for i in range(levels):
        out += (b'Content-Type: multipart/mixed; boundary="b%d"\n\n'
                b"preamble\n--b%d\n" % (i, i))
    out += b"Content-Type: text/plain\n\nthe core\n"
    for i in reversed(range(levels)):
        out += b"--b%d--\n" % i
    return out


def attached(content, encoding):
    coded = base64.encodebytes(content) if encoding == b"base64" else content
    return (HEAD + b"MIME-Version: 1.0\nContent-Type: application/octet-stream"
            b"\nContent-Transfer-Encoding: " + encoding + b"\n\n" + coded)


def sized(n):
    """A text of n bytes."""
    return (body() + (b"0123456789" * 7 + b"\n") * (n // 71 + 1))[:n - 1] + \
        b"\n"


def received(n):
    return b"".join(b"Received: from h%d by h%d; Sun, 22 Nov 2026 07:00:00 "
                    b"+0000\n" % (i, i) for i in range(n)) + body(b"x")


def noise(n):
    """Random bytes without those that no mail may hold."""
    raw = random.Random(4).randbytes(n)
    return raw.replace(b"\r", b"").replace(b"\0", b"")


SMUGGLED = b"MAIL FROM:<x@crepes.fr>\r\nRCPT TO:<bob@hamburger.edu>\r\n" \
    b"DATA\r\nSubject: smuggled\r\n\r\nx\r\n"
HIGH = bytes(range(128, 256))
CRLF_HEAD = HEAD.replace(b"\n", b"\r\n")

KINDS = [
    Kind("plain", body(b"hello")),
    Kind("empty", b""),
    Kind("one newline", b"\n"),
    Kind("newlines", b"\n" * 70_000),
    Kind("no header", b"just a text\nof two lines\n"),
    Kind("no header, one byte", b"x"),
    Kind("no header, a blank first", b"\njust a text\n"),
    Kind("no body", HEAD),
    Kind("no body, but a blank line", HEAD + b"\n"),
    Kind("no body, header unended", HEAD[:-1]),
    Kind("no last newline", body(b"hello", b"the end")[:-1]),
    Kind("no last newline, dot", body(b"hello", b".")[:-1]),
    Kind("blanks at line ends", body(b"a ", b"b\t", b" ", b"\t", b"")),
    Kind("leading dots", body(b".", b"..", b"...", b".x", b"..x", b" .", b"",
                              b".")),
    Kind("only a dot", b".\n"),
    Kind("only dots", b".\n" * 5000),
    *(Kind(f"a line of {n}", body(b"x" * n, b"y")) for n in
      (76, 77, 998, 999, 1000, 2000, 100_000)),
    Kind("a line of 2000 words", body(b"word " * 2000)),
    Kind("a line of 100000, MIME",
         HEAD + MIME + b"\n" + b"x" * 100_000 + b"\n"),
    Kind("long line of dots", body(b"." * 5000)),
    Kind("8-bit without MIME", body(HIGH * 20, b"x")),
    Kind("UTF-8 without MIME", body("Schöne Grüße €".encode() * 9)),
    Kind("8-bit with MIME", HEAD + MIME + b"\n" + "Grüße\n".encode() * 99),
    Kind("base64", attached(random.Random(1).randbytes(90_000), b"base64")),
    Kind("binary", attached(noise(90_000), b"binary") + b"\n"),
    Kind("binary, no newline", attached(noise(300), b"8bit") + b"x"),
    Kind("every byte that may be", attached(
        bytes(c for c in range(1, 256) if c != 13) * 40, b"8bit") + b"\n"),
    Kind("MIME of 100 levels", nested(100)),
    Kind("mbox line first", b"From alice Sun Nov 22 07:00:00 2026\n" +
         body(b"x")),
    Kind("mbox lines", body(b"From here", b">From there", b"",
                            b"From alice Sun Nov 22 07:00:00 2026",
                            b"Subject: another")),
    Kind("UTF-8 header", HEAD + "X-Größe: ja\nComments: Grüße, €\n\nx\n"
         .encode()),
    Kind("Latin-1 header", HEAD + b"Comments: Gr\xfc\xdfe\n\nx\n"),
    Kind("a line without a colon", HEAD + b"this is no field\nX-A: b\n\nx\n"),
    Kind("first line without a colon", b"no field\n" + body(b"x")),
    Kind("space before the colon", HEAD + b"X-Space : x\nX-Tab\t: y\n\nx\n"),
    Kind("a colon first", HEAD + b": nothing\n\nx\n"),
    Kind("an empty field", HEAD + b"X-Empty:\nX-Blank: \n\nx\n"),
    Kind("folded", HEAD + b"X-Long: a\n b\n\tc\n   d\n\nx\n"),
    Kind("folded with blanks only", HEAD + b"X-Long: a\n \n\t\n b\n\nx\n"),
    Kind("folded first", b" folded\n" + body(b"x")),
    Kind("blank line of spaces", HEAD + b"  \nX-Next: y\n\nx\n"),
    Kind("a header line of 998", HEAD + b"X-Long: " + b"y" * 990 + b"\n\nx\n"),
    Kind("a header line of 999", HEAD + b"X-Long: " + b"y " * 495 +
         b"y\n\nx\n"),
    Kind("a header of 100 KiB", HEAD + b"X-Long: " + b"yyy " * 25_600 +
         b"\n\nx\n"),
    Kind("a header word of 100 KiB", HEAD + b"X-Long: " + b"y" * 102_400 +
         b"\n\nx\n"),
    Kind("a header of 300 KiB", HEAD + b"X-Long: y\n" * 30_720 + b"\nx\n",
         inject="header"),
    Kind("10000 header lines", HEAD + b"X-A: b\n" * 10_000 + b"\nx\n"),
    Kind("a field of 10000 lines", HEAD + b"X-A: b\n" + b" b\n" * 10_000 +
         b"\nx\n"),
    Kind("controls in the header", HEAD + b"X-A: " + bytes(
        c for c in range(1, 32) if c not in (9, 10, 13)) + b"\x7f\n\nx\n"),
    Kind("controls in a name", HEAD + b"X\x01A: b\n\nx\n"),
    Kind("not quite received", (b"Received : x\n" + b"XReceived: x\n" +
                                b"Received-SPF: x\n") * 99 + body(b"x")),
    Kind("100 hops", received(100)),
    Kind("101 hops", received(101), smtp="loop", queue="loop", inject="loop"),
    Kind("101 hops in the body", HEAD + b"\n" + received(101)),
    *(Kind(f"{n} bytes", sized(n)) for n in
      (16_383, 16_384, 65_300, 65_535, 65_536, 65_537, 131_072)),
    # ---- what no mail may hold ----
    Kind("NUL", body(b"a\0b"), smtp="nul", queue="nul", inject="nul"),
    Kind("NUL in the header", HEAD + b"X-A: \0\n\nx\n", smtp="nul",
         queue="nul", inject="nul"),
    Kind("NUL at the end", body(b"a") + b"\0", smtp="nul", queue="nul",
         inject="nul"),
    Kind("bare CR", body(b"a\rb"), smtp="bare", queue="bare", inject="bare"),
    Kind("bare CR in the header", HEAD + b"X-A: \rb\n\nx\n", smtp="bare",
         queue="bare", inject="bare"),
    Kind("CR at the end", body(b"a") + b"\r", smtp="bare", queue="bare",
         inject="bare"),
    Kind("CR CR LF", CRLF_HEAD + b"\r\na\r\r\n", wire=CRLF_HEAD +
         b"\r\na\r\r\n", smtp="bare", queue="bare", inject="bare"),
    Kind("CR for lines", body(b"a", b"b").replace(b"\n", b"\r"), smtp="bare",
         queue="bare", inject="bare"),
    Kind("a dot and a CR", body(b"a") + b".\r", wire=wire(body(b"a")) +
         b".\r.\r\n", smtp="bare", queue="bare", inject="bare"),
    # ---- the wire's own line ends, given to local programs ----
    Kind("CRLF text", wire(body(b"a", b"", b".", b"b")),
         wire=stuffed(body(b"a", b"", b".", b"b"))),
    Kind("CRLF text, unended", wire(body(b"a", b"b"))[:-2],
         wire=stuffed(body(b"a", b"b"))),
    # a text of an injecting program may mix them
    Kind("CRLF and LF", CRLF_HEAD + b"\r\na\nb\r\n", wire=CRLF_HEAD +
         b"\r\na\nb\r\n", smtp="bare", queue="mixed"),
    Kind("LF, then CRLF", HEAD + b"\na\r\nb\n", wire=HEAD + b"\na\r\nb\n\r\n",
         smtp="bare", queue="mixed"),
    Kind("bare LF", body(b"a"), wire=body(b"a") + b"\r\n", smtp="bare"),
    Kind("LF dot CRLF", body(b"x"), wire=wire(body(b"x")) + b"\n.\r\n" +
         SMUGGLED, smtp="bare"),
    Kind("CRLF dot LF", body(b"x"), wire=wire(body(b"x")) + b".\n" + SMUGGLED,
         smtp="bare"),
    Kind("LF dot LF", body(b"x"), wire=wire(body(b"x")) + b"\n.\n" + SMUGGLED,
         smtp="bare"),
    Kind("CR dot CR", body(b"x"), wire=wire(body(b"x")) + b"\r.\r" + SMUGGLED,
         smtp="bare"),
]
for _kind in KINDS:
    assert not re.search(rb"\r\n\.\r\n", b"\r\n" + _kind.wire), _kind.name
assert len({k.name for k in KINDS}) == len(KINDS)
