#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""manuals.py: the manual pages are all there, of one form, and true.

Every program and every command of postern has a page; pages have their sections,
in one order; what they refer to exists; options are those of --help; settings are
those of common/control.c.  Wants the programs built (POSTERN_BIN, or build/bin).
Prints what it minds, and ends with 1 then."""
import os
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", TOP / "build/bin"))
PAGES = {p.name: p for p in sorted(TOP.glob("*/*.[1578]"))}
ORDER = ["NAME", "SYNOPSIS", "DESCRIPTION", "CALLERS", "ENVIRONMENT", "FILE DESCRIPTORS",
         "FILES", "EXIT STATUS", "EXAMPLES", "DIAGNOSTICS", "SECURITY", "SEE ALSO",
         "STANDARDS", "DIFFERENCES FROM QMAIL", "CAVEATS"]
EVERY = ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"]
PROGRAM = ["SYNOPSIS", "EXIT STATUS"]
# queue(8) is the program; the pages of scripts have no program of their name
PAGE_OF = {"queue": "postern-queue-list.1"}
SCRIPTS = {"postern-setup.8": ["install/setup"],
           "postern-import-qmail.8": ["install/import-qmail"]}
PARTS = {"postern-fsck.8": ["postern", "queue", "fsck"]}
ALWAYS = {"--help", "--version"}

minded = []


def mind(page, what):
    minded.append(f"{PAGES[page].relative_to(TOP) if page in PAGES else page}: {what}")


def sections(text):
    """{name: text} of a page, in order."""
    parts = re.split(r"^\.Sh (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def plain(text):
    """Words of mdoc without its macros."""
    text = re.sub(r"^\.\\\".*\n", "", text, flags=re.M)
    text = re.sub(r"^\.[A-Z][a-z] ", "", text, flags=re.M)
    return re.sub(r" Ns | (?=[.,;:)])", "", text.replace(" Ns ", "")).replace("\\&", "")


# ---- form ----

def check_form(name, text):
    have = sections(text)
    if not text.startswith('.\\" SPDX-License-Identifier: ISC\n.Dd '):
        mind(name, "does not begin with its licence and date")
    if not re.search(r"^\.Os$", text, re.M):
        mind(name, "wants a plain .Os")
    title, number = name.rsplit(".", 1)
    if f".Dt {title.upper()} {number}\n" not in text:
        mind(name, "has another title in .Dt")
    for section in EVERY + (PROGRAM if number in "18" else []):
        if not have.get(section, "").strip():
            mind(name, f"has no {section}")
    if ".It 0\n" not in have.get("EXIT STATUS", ".It 0\n"):
        mind(name, "EXIT STATUS is no list of codes")
    order = [ORDER.index(s) if s in ORDER else mind(name, f"{s}: no section of ours")
             for s in have]
    order = [n for n in order if n is not None]
    if order != sorted(order):
        mind(name, "sections stand in this order: " + ", ".join(
            s for s in ORDER if s in have))
    for other, number in re.findall(r"Xr (postern[\w-]*) (\d)", text):
        if f"{other}.{number}" not in PAGES:
            mind(name, f"refers to {other}({number}), which is not there")
        elif f"{other}.{number}" == name and f"{other} {number}" in have.get("SEE ALSO", ""):
            mind(name, "refers to itself")


# ---- options ----

def synopsis(text):
    """The options of an --help."""
    return set(re.findall(r"(?<![\w'./-])(--[a-z][a-z0-9-]*|-[A-Za-z]+)(?![\w-])", text))


def fl(line):
    """The options of a line of mdoc."""
    taken = False
    for word in line.lstrip(".").split():
        if word == "Fl":
            taken = True
        elif re.fullmatch(r"[A-Z][a-z]", word):
            taken = False
        elif taken and re.match(r"[\w-]", word):
            yield "-" + word


def written(text):
    """What a page says of options: all of them, and those that are its own."""
    have = sections(text)
    everywhere = {o for line in text.splitlines() for o in fl(line)}
    own = {o for line in have.get("SYNOPSIS", "").splitlines() for o in fl(line)}
    # lists whose tags are options
    own |= {o for line in re.findall(r"^\.It (Fl .*)$", text, re.M) for o in fl(line)}
    return everywhere, own


def covers(options, wanted):
    """wanted, as it stands or as letters behind one dash."""
    return wanted in options or wanted[:2] != "--" and all(
        any(letter in o[1:] for o in options if o[:2] != "--") for letter in wanted[1:])


def check_options(name, text, help_text):
    number = name.rsplit(".", 1)[1]
    if not help_text.startswith("usage: "):
        mind(name, "--help does not begin with its usage")
    if number == "8" and not re.search(name[:-2] + r"\(8\)", help_text):
        mind(name, "--help does not name this page")
    # an example in brackets is of another command
    said = synopsis(re.sub(r"\(postern [^)]*\)", "", help_text)) - ALWAYS
    everywhere, own = written(text)
    for option in sorted(said):
        if not covers(everywhere, option):
            mind(name, f"does not have {option} of --help")
    for option in sorted(own - ALWAYS - {"--"}):
        if "Other options" not in help_text and not covers(said, option):
            mind(name, f"has {option}, which --help does not know")


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=20)
    return done.stdout


def check_programs():
    if not (BIN / "postern").exists():
        mind(str(BIN), "has no programs: make first")
        return
    programs = run("make", "-s", "-C", TOP, "list-programs").split()
    commands = re.findall(r"^  ([a-z-]+) ", run(BIN / "postern", "--help"), re.M)
    pages = {}
    for program in programs:
        page = next((f"{program}.{n}" for n in "81" if f"{program}.{n}" in PAGES), None)
        if page is None:
            mind(program, "has no manual page")
        else:
            pages[page] = [BIN / program]
    for command in commands:
        page = PAGE_OF.get(command, f"postern-{command}.1")
        if page in PAGES:
            pages[page] = [BIN / "postern", command]
        else:
            mind(f"postern {command}", "has no manual page")
    for page, command in SCRIPTS.items():
        pages[page] = [TOP / command[0]]
    for page, command in PARTS.items():
        pages[page] = [BIN / command[0], *command[1:]]
    for page in PAGES:
        if page[-1] in "18" and page not in pages:
            mind(page, "is of no program")
    for page, command in pages.items():
        check_options(page, PAGES[page].read_text(), run(*command, "--help"))
    listed = re.findall(r"^\.It Cm ([a-z-]+)$", PAGES["postern.1"].read_text(), re.M)
    for command in commands:
        if command not in listed:
            mind("postern.1", f"does not have {command}")
    for command in listed:
        if command not in commands and f"postern-{command}.8" not in SCRIPTS:
            mind("postern.1", f"has {command}, which is no command")


# ---- settings ----

def settings():
    """(name, kind, default, min, max, help) of common/control.c's table."""
    text = (TOP / "common/control.c").read_text()
    table = text[text.index("control_settings[] = {"):]
    table = table[:table.index("\n};")]
    limits = (TOP / "common/limits.h").read_text()
    for name, value in re.findall(r"\b(LIMIT_\w+) = (\d+)", limits):
        table = re.sub(rf"\b{name}\b", value, table)
    for kind, inner in re.findall(r"\b(NUMBER|LINE|LIST|LIST_OF)\(((?:[^()\"]|\"(?:[^\"\\]|\\.)*\")*)\)",
                                  table):
        parts = re.findall(r"\"(?:[^\"\\]|\\.)*\"|[^,\s]+", inner)
        values = [None if p == "NULL" else
                  p[1:-1].replace("\\n", "\n") if p[0] == '"' else
                  int(re.sub(r"u?ll", "", p)) if p.isdigit() else p for p in parts]
        if kind == "NUMBER":
            low, high = (eval(re.sub(r"u?ll", "", v)) if isinstance(v, str) else v
                         for v in split_range(inner))
            yield values[0], kind, values[1], low, high, values[-1]
        else:
            high = values[2] if kind == "LIST_OF" else 0
            yield values[0], kind[:4], values[1], 0, high, values[-1]


def split_range(inner):
    fields = [f.strip() for f in re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", inner)]
    for field in fields[2:4]:
        if not re.fullmatch(r"[0-9ul<> ]+", field):
            sys.exit(f"common/control.c: {field}: not understood")
        yield field


def check_settings():
    page = "postern-control.5"
    text = PAGES[page].read_text()
    told = re.findall(r"^\.It Pa (\w+)\n(An? .*?\.)$", sections(text)["DESCRIPTION"], re.M)
    table = list(settings())
    if [n for n, _ in told] != [s[0] for s in table]:
        mind(page, "settings are not those of common/control.c, in their order: "
             f"{[s[0] for s in table]}")
    told = dict(told)
    for name, kind, default, low, high, text in table:
        if kind == "NUMBER":
            want = f"A number from {low} to {high}, default {default}."
        else:
            if default is None:
                behind = text.split("default: ")[1:] or ["?"]
                shown = behind[0].replace("the system's", "the system's name")
            else:
                shown = " and ".join(default.split()) or "empty"
            most = f" of at most {high} lines" if high else ""
            want = f"A {kind.lower()}{most}, default {shown}."
        if told.get(name) != want:
            mind(page, f"{name}: wants \"{want}\"")
    if not table:
        mind("common/control.c", "no table was found")


# ---- the other documents ----

def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def check_documents():
    commands = re.findall(r"^  ([a-z-]+) ", run(BIN / "postern", "--help"), re.M)
    for path in sorted(TOP.glob("*.md")):
        text = path.read_text()
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, part = link.partition("#")
            to = TOP / name if name else path
            if "://" in link:
                continue
            if not to.exists():
                mind(path.name, f"refers to {name}, which is not there")
            elif part and part not in map(anchor, re.findall(
                    r"^#+ (.*)$", to.read_text(), re.M)):
                mind(path.name, f"refers to {link}, and there is no such heading")
        for command in re.findall(r"`postern ([a-z-]+)", text):
            if command not in commands and not (BIN / f"postern-{command}").exists() \
                    and f"postern-{command}.8" not in SCRIPTS:
                mind(path.name, f"says postern {command}, which is no command")


for page_name, path in PAGES.items():
    check_form(page_name, path.read_text())
check_programs()
check_settings()
check_documents()
print("\n".join(minded))
sys.exit(bool(minded))
