"""Fuzzing led by coverage: ``python -m nuclex_fuzz.guided NAME RUNS [SEED]``.

atheris counts the branches of nuclex's own Python code that an input takes, and keeps mutating those that took a new
one. It begins with the seeds of the format and has the same judge. The first finding ends it with exit code 1 and the
input on stdout; where there is none it prints one JSON line and leaves with 0.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

INSTRUMENTED = ("nuclex.bio", "nuclex.data", "nuclex.tasks", "nuclex.core")


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from nuclex_fuzz.formats import text_formats
    from nuclex_fuzz.judging import Finding, Stuck, Totals, guarded, judge, scratch

    name, runs, seed = sys.argv[1], int(sys.argv[2]), next(iter(sys.argv[3:]), "1")
    format, totals = text_formats()[name], Totals(name)
    home = tempfile.mkdtemp(prefix="fuzz-", dir=scratch())
    corpus = Path(home) / "seeds"
    corpus.mkdir()
    for number, content in enumerate(format.seeds):
        (corpus / str(number)).write_bytes(content)
    path = format.prepare(Path(home))

    def leave(said: str, code: int) -> None:  # libFuzzer never gives the process back
        print(said, flush=True)
        shutil.rmtree(home)
        os._exit(code)

    def one_input(data: bytes) -> None:
        path.write_bytes(data)
        try:
            with guarded():
                accepted = judge(format, path)
        except (Exception, Stuck) as error:
            leave(str(Finding(name, data, f"{type(error).__name__}: {error}"[:600])), 1)
        totals.accepted, totals.refused = totals.accepted + accepted, totals.refused + (not accepted)
        if totals.inputs >= runs:
            leave(json.dumps(totals.to_data()), 0)

    options = ["-timeout=0", "-max_len=8192", "-verbosity=0", f"-seed={seed}"]  # the judge has timers of its own
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
