"""Any key of a recipe as a flag: ``--model.depth 6`` is rewritten to ``--set model.depth=6`` before parsing."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from cyclopts import App

STDIN = "-"


def rewrite_settings(app: App, tokens: Sequence[str]) -> list[str]:
    """Rewrite the flags that the verb does not declare itself; verbs without ``--set`` are left alone.

    A value may follow as the next token or after ``=``; a flag without a value is ``true``. A single ``-`` (standard
    input) goes to the end, behind ``--``, since it would be read as an option elsewhere.
    """
    _, commands, rest = app.parse_commands(list(tokens))
    function = commands[-1].default_command
    if function is None:
        return list(tokens)
    declared = {name.replace("_", "-") for name in inspect.signature(function).parameters} | {"help", "version"}
    done, waiting = list(tokens[: len(tokens) - len(rest)]), list(rest)
    last = ["--", STDIN] if STDIN in waiting and "--" not in waiting else []
    if last:
        waiting.remove(STDIN)
    if "set" not in declared:
        return [*done, *waiting, *last]
    while waiting:
        token = waiting.pop(0)
        if token == "--":
            return [*done, token, *waiting]
        name, equals, value = token[2:].partition("=")
        if not token.startswith("--") or len(token) == 2 or name.replace("_", "-").removeprefix("no-") in declared:
            done.append(token)
            continue
        if not equals:
            value = waiting.pop(0) if waiting and not waiting[0].startswith("--") else "true"
        done += ["--set", f"{name.replace('-', '_')}={value}"]
    return [*done, *last]
