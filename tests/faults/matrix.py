#!/usr/bin/env python3
"""The fault matrix of README.md names, in every row, tests that exist, and has every file of edge/ in some row."""
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
FEWEST_ROWS = 50

WHOLE = {"simulation", "soak", "demo", "replayer"}
FOLDERS = {"integration": TESTS / "integration", "edge": HERE / "edge"}
UNITS = {"shared": "_test.cc", "sidecar": "_test.cc", "replayer": "_test.cc", "fuzz": "_fuzz.cc"}


def tests_in(cell):
    """(name, does it exist) of each test that a cell of the table names."""
    for folder, subject in re.findall(r"\b(integration|edge)\.(\w+)", cell):
        yield f"{folder}.{subject}", (FOLDERS[folder] / f"{subject}_test.cc").is_file()
    for folder, subjects in re.findall(r"\b(shared|sidecar|replayer|fuzz) \(([^)]*)\)", cell):
        for subject in subjects.split(", "):
            yield f"{folder} ({subject})", (TESTS / folder / (subject + UNITS[folder])).is_file()
    for word in re.findall(r"(?<![.\w])\w+\b", re.sub(r"\([^)]*\)", "", cell)):
        if word in WHOLE:
            yield word, True


def main():
    text = (HERE / "README.md").read_text()
    matrix = text.split("## The fault matrix")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in matrix.splitlines() if line.startswith("| ")][1:]
    wrong = []
    named = set()
    for row in rows:
        tests = list(tests_in(row[-1])) if len(row) == 2 else []
        if not tests:
            wrong.append(f"no test: {' | '.join(row)}")
        wrong += [f"no such test: {name}, of: {row[0]}" for name, exists in tests if not exists]
        named |= {name for name, _ in tests}
    wrong += [f"in no row: edge.{path.name.removesuffix('_test.cc')}" for path in (HERE / "edge").glob("*_test.cc")
              if f"edge.{path.name.removesuffix('_test.cc')}" not in named]
    if len(rows) < FEWEST_ROWS:
        wrong.append(f"{len(rows)} rows, fewer than {FEWEST_ROWS}")
    print("\n".join(wrong or [f"{len(rows)} rows"]))
    sys.exit(1 if wrong else 0)


main()
