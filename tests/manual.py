# SPDX-License-Identifier: ISC
"""The examples of the manual pages and of README.md, for tests that run them as
they stand.

All of a page's EXAMPLES are run by tests/install/test_manual.py, each literal
block as a shell script, on a machine where postern-setup(8)'s own example has
been followed.  Comments directly before a block say what is otherwise; in a page
they begin with .\\", in README.md they are <!-- ... -->:

    after: COMMAND     is run before
    then: COMMAND      is run afterwards, and wants to end with 0
    exit: N            the block ends with N, not with 0
    says: WORDS        these are in what it prints
    file: PATH         the block is what that file holds, not a script
    stays: COMMAND     the block does not end; when COMMAND does with 0 it has begun
    tested: FILE       a test of its own has it, which names the page
    read: REASON       the block is for reading alone

In a block with lines that begin with "$ " these are commands, and the lines that
follow what they print."""
import re
import typing

from suite import BIN, TOP

INSTALLED = "/usr/local/libexec/postern"
MARKS = ("after", "then", "exit", "says", "file", "stays", "tested", "read")


class Block(typing.NamedTuple):
    page: str
    line: int
    text: str
    marks: list  # (mark, value), in order

    def all(self, mark):
        return [value for name, value in self.marks if name == mark]

    def one(self, mark):
        return (self.all(mark) or [None])[0]

    def __str__(self):
        return f"{self.page}:{self.line}"


def take_mark(page, number, text):
    name, _, value = text.partition(":")
    if name not in MARKS or not value.strip():
        raise AssertionError(f"{page}:{number}: {text!r} says nothing of an example")
    return name, value.strip()


def page_blocks(page):
    """The literal blocks of the page's EXAMPLES, in order."""
    marks, body, begun, inside = [], [], 0, False
    for number, line in enumerate((TOP / page).read_text().splitlines(), 1):
        if begun and line != ".Ed":
            body.append(line)
        elif begun:
            yield Block(page, begun, unmdoc(body), marks)
            marks, body, begun = [], [], 0
        elif line.startswith(".Sh "):
            inside = line == ".Sh EXAMPLES"
        elif inside and line.startswith('.\\" '):
            marks.append(take_mark(page, number, line[4:]))
        elif inside and line.startswith((".Bd -literal", ".Bd -unfilled")):
            begun = number
        elif inside and line.startswith(".Dl "):
            yield Block(page, number, unmdoc([line[4:]]), marks)
            marks = []
        elif marks:
            raise AssertionError(f"{page}:{number}: no block behind {marks}")


def unmdoc(lines):
    return "".join(f"{l}\n" for l in lines).replace("\\e", "\\").replace("\\&", "")


def readme_blocks(page="README.md"):
    """The indented blocks, with the heading above each."""
    marks, body, begun, heading, fenced = [], [], 0, "", False
    lines = (TOP / page).read_text().splitlines() + [""]
    for number, line in enumerate(lines, 1):
        if line.startswith("```") or fenced:  # a drawing
            fenced ^= line.startswith("```")
            continue
        if line.startswith("    ") or body and not line and \
                lines[number].startswith("    "):
            begun = begun or number
            body.append(line[4:])
            continue
        if body:
            yield heading, Block(page, begun, "\n".join(body) + "\n", marks)
            marks, body, begun = [], [], 0
        comment = re.fullmatch(r"<!-- (.*) -->", line)
        if comment:
            marks.append(take_mark(page, number, comment[1]))
        elif marks and line:
            raise AssertionError(f"{page}:{number}: no block behind {marks}")
        if line.startswith("#"):
            heading = line.lstrip("# ")


def examples(page):
    return [b.text for b in page_blocks(page)]


def example(page, *words, **replace):
    """The one block that holds all words.  The programs are the built ones;
    further replacements are for places and ports, and each must be there."""
    found = [b for b in examples(page) if all(w in b for w in words)]
    assert len(found) == 1, (page, words, found)
    text = found[0].replace(INSTALLED, str(BIN))
    for old, new in replace.get("put", {}).items():
        assert old in text, (old, text)
        text = text.replace(old, str(new))
    return text
