# SPDX-License-Identifier: ISC
"""The examples of a manual page, for tests that run them as they stand."""
import re

from suite import BIN, TOP

INSTALLED = "/usr/local/libexec/postern"


def examples(page):
    """The literal blocks of the page's EXAMPLES, in order."""
    source = (TOP / page).read_text()
    section = re.split(r"^\.Sh ", source.split("\n.Sh EXAMPLES\n")[1],
                       maxsplit=1, flags=re.M)[0]
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", section,
                        re.M | re.S)
    return [b.replace("\\e", "\\").replace("\\&", "") for b in blocks]


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
