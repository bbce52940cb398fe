# SPDX-License-Identifier: ISC
"""Dialogues with the real postern-smtpd, one behaviour per file in smtpd/.

  # text            a comment
  = NAME VALUE      a control file, or NAME=VALUE for the environment
  C: text           the client sends text and CRLF
  C\\ text           the client sends text; \\r \\n \\0 \\xHH \\\\ are escapes
  S: text           the server's next line; * stands for anything
  S.                the server closes
  Q: FROM -> TO...  queued has this message next
  M: text           the next line of its body, behind the trace header
  Q.                queued has no other message
"""
import fnmatch
import pathlib
import time
import pytest
from smtpd_harness import Lone

FILES = sorted((pathlib.Path(__file__).parent / "smtpd").glob("*.txt"))


def matches(line, pattern):
    quoted = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatch.fnmatchcase(line, quoted)


class Play:
    def __init__(self, lone):
        self.lone = lone
        self.taken = 0
        self.body = []

    def message(self, text):
        assert self.body == [], "lines of the message before are left"
        sender, recipients = text.split(" -> ")
        m = self.lone.queue.messages[self.taken]
        self.taken += 1
        assert m.sender.decode() == sender.strip("<>")
        assert [r.decode() for r in m.recipients] == recipients.split(", ")
        trace, body = m.split()
        assert trace.startswith(b"Received: from ")
        assert body == b"" or body.endswith(b"\n")
        self.body = body.decode("latin-1").split("\n")[:-1]

    def step(self, kind, text):
        client = self.lone.client
        if kind == "C:":
            client.send(text.encode("latin-1") + b"\r\n")
        elif kind == "C\\":
            client.send(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        elif kind == "S:":
            line = client.line().decode("latin-1")
            assert line.endswith("\r\n"), f"wanted {text!r}, got {line!r}"
            assert matches(line[:-2], text), f"wanted {text!r}, got {line!r}"
        elif kind == "S.":
            assert client.line() == b""
        elif kind == "Q:":
            self.message(text)
        elif kind == "M:":
            assert self.body.pop(0) == text
        elif kind == "Q.":
            time.sleep(0.05)
            assert self.body == []
            assert len(self.lone.queue.messages) == self.taken
        else:
            raise AssertionError(f"no such line: {kind}")


def read(path):
    control, env, steps = {}, {}, []
    for number, line in enumerate(path.read_text("latin-1").split("\n"), 1):
        if line == "" or line.startswith("#"):
            continue
        kind, text = line[:2], line[3:]
        if kind == "= " and "=" in line[2:]:
            k, v = line[2:].split("=", 1)
            env[k] = v
        elif kind == "= ":
            k, v = line[2:].split(" ", 1)
            control[k] = v
        else:
            steps.append((number, kind, text))
    return control, env, steps


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_dialogue(path):
    control, env, steps = read(path)
    lone = Lone(control, env)
    play = Play(lone)
    for number, kind, text in steps:
        try:
            play.step(kind, text)
        except AssertionError as e:
            raise AssertionError(f"{path.name}:{number}: {e}") from e
    assert play.body == []
    lone.finish()


def test_there_are_dialogues():
    assert len(FILES) > 20
