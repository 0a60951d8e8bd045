"""Shell completion: verbs, flags and choices as cyclopts writes them; in bash also the names of recipes and data sets.

The names are those of the nuclex that writes the script; after an update `nuclex --install-completion` writes it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cyclopts import App

Shell = Literal["zsh", "bash", "fish", "powershell"]
_BASH = """
# Names that come with nuclex, beside files, where a verb takes a recipe or a data set.
_nuclex_names() {{
  _nuclex "$@"
  local names=""
  case "${{COMP_WORDS[*]:1:COMP_CWORD-1}}" in
{cases}
  esac
  [[ -n "$names" ]] && COMPREPLY+=($(compgen -W "$names" -- "${{COMP_WORDS[COMP_CWORD]}}"))
  return 0
}}

complete -F _nuclex_names nuclex
"""


class CompletedApp(App):
    """An application whose script for bash knows the names that come with nuclex."""

    def generate_completion(self, *, prog_name: str | None = None, shell: Shell | None = None) -> str:
        """The script for a shell, by default the one that this process was started from."""
        from cyclopts.completion.detect import detect_shell

        shell = shell or detect_shell()
        script: str = super().generate_completion(prog_name=prog_name, shell=shell)
        return script + _BASH.format(cases=_cases()) if shell == "bash" else script


def _cases() -> str:
    """What is typed before a name, and the names, as branches of bash's ``case``."""
    from nuclex.core.recipe import shipped_recipes
    from nuclex.data.catalog import list_datasets

    recipes = list(shipped_recipes())
    datasets = list_datasets()
    collections = dict.fromkeys(name for row in datasets for name in row["collections"])
    suites = [name.removeprefix("benchmark/") for name in _of("benchmark", recipes)]
    pretrain = _of("pretrain", recipes)
    branches = {
        "plan|pretrain": pretrain,
        "finetune": _of("finetune", recipes),
        "search": [*_of("search", recipes), *pretrain],
        "benchmark": suites,
        '"data fetch"': [*collections, *(row["name"] for row in datasets)],
        '"corpus build "*--config': _of("corpus", recipes),
        '"tokenizer train "*--recipe': _of("tokenizer", recipes),
    }
    return "\n".join(f"    {typed}) names='{' '.join(names)}' ;;" for typed, names in branches.items())


def _of(kind: str, recipes: Sequence[str]) -> list[str]:
    return [name for name in recipes if name.startswith(f"{kind}/")]
