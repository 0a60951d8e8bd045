"""Fuzz formats in a process of their own: ``python -m nuclex_fuzz NAME:COUNT… [--stream S]``, a JSON line for each."""

from __future__ import annotations

import argparse
import faulthandler
import json

from nuclex_fuzz.formats import format_named
from nuclex_fuzz.judging import fuzz_mutants


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="+", metavar="NAME:COUNT")
    parser.add_argument("--stream", default="0")
    given = parser.parse_args()
    faulthandler.enable()
    for item in given.formats:
        name, _, count = item.rpartition(":")
        print(json.dumps({"begun": name}), flush=True)
        totals = fuzz_mutants(format_named(name), int(count), given.stream)
        print(json.dumps({**totals.to_data(), "shown": [str(finding) for finding in totals.findings]}), flush=True)


if __name__ == "__main__":
    main()
