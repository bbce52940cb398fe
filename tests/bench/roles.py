# SPDX-License-Identifier: ISC
"""How much code and how many system calls each role is: a table.

usage: roles.py      from the top of the checkout

Lines: non-blank lines of a program's own modules (its _OBJS in the makefile
fragments), without common/.  Calls: different system calls that its sandbox
tables let through, the base table of common/sandbox.c included, counted in the
compiler's view of the source.
"""
import pathlib
import re
import subprocess


def objects():
    """{program: [source files]} from the makefile."""
    ask = "list-objects:\n\t@$(foreach p,$(PROGS),echo $(p) $($(p)_OBJS);)\n"
    text = subprocess.run(
        ["make", "-s", "-f", "Makefile", "-f", "-", "list-objects"], input=ask,
        stdout=subprocess.PIPE, text=True, check=True).stdout
    found = {}
    for line in text.splitlines():
        name, *names = line.split()
        found[name] = [pathlib.Path(o).with_suffix(".c") for o in names]
    return found


def tables(source):
    """{table: set of call names} of a C file."""
    text = subprocess.run(
        ["gcc", "-std=c17", "-D_GNU_SOURCE", "-I.", "-E", "-P",
         '-DPOSTERN_VERSION="0"', str(source)],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    found = {}
    for name, body in re.findall(
            r"struct sandbox_rule (\w+)\[\] = \{(.*?)\};", text, re.S):
        # every row names its call as .nr = <number or expression>
        calls = re.findall(r"\.nr\s*=\s*(.+?),\s*\.(?:why|arg)", body, re.S)
        found[name] = {re.sub(r"\s+", "", c) for c in calls}
    return found


def main():
    base = tables("common/sandbox.c")["base"]
    print(f"{'program':<18}{'lines':>7}{'  system calls let through'}")
    for program, sources in sorted(objects().items()):
        lines, seen = 0, []
        for source in sources:
            lines += sum(1 for line in source.read_text().splitlines()
                         if line.strip())
            for name, calls in tables(source).items():
                seen.append(f"{len(calls | base)} ({name})")
        print(f"{program:<18}{lines:>7}  {', '.join(seen) or '-'}")
    common = sum(1 for f in pathlib.Path("common").glob("*.c")
                 for line in f.read_text().splitlines() if line.strip())
    print(f"{'common/':<18}{common:>7}")


if __name__ == "__main__":
    main()
