"""Shell completion: verbs, flags and choices as cyclopts writes them, and the names of recipes and data sets.

The names (in bash, zsh and fish) are those of the nuclex that writes the script; after an update
`nuclex --install-completion` writes it anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from cyclopts import App

Shell = Literal["zsh", "bash", "fish", "powershell"]
_WHAT = "# Names that come with nuclex, beside files, where a verb takes a recipe or a data set."
_BASH = """
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
_ZSH = """
functions[_nuclex_verbs]=$functions[_cyclopts_nuclex]
_cyclopts_nuclex() {{
  local typed="${{(j: :)words[2,CURRENT-1]}}" insert=$compstate[insert] names=""
  local -i answer
  _nuclex_verbs "$@"
  answer=$?
  case "$typed" in
{cases}
  esac
  if [[ -n "$names" ]]; then
    compstate[insert]=$insert  # an argument that has nothing but a description would leave the line as it is
    compadd -- ${{=names}} && answer=0
  fi
  return answer
}}

# The first completion reads this file as a function of its own; a shell may also source it.
if (( ${{+compstate}} )); then _cyclopts_nuclex "$@"; else compdef _cyclopts_nuclex nuclex; fi
"""
_FISH = """
function __fish_nuclex_typed
    set -l typed (commandline -opc)
    set -e typed[1]
    string match -q -- $argv[1] "$typed"
end
"""


class CompletedApp(App):
    """An application whose scripts for bash, zsh and fish know the names that come with nuclex."""

    def generate_completion(self, *, prog_name: str | None = None, shell: Shell | None = None) -> str:
        """The script for a shell, by default the one that this process was started from."""
        from cyclopts.completion.detect import detect_shell

        shell = shell or detect_shell()
        script: str = super().generate_completion(prog_name=prog_name, shell=shell)
        if shell == "powershell":
            return script
        places = _names()
        if shell == "fish":
            names = _FISH + "".join(_fish(typed, choices) for typed, choices in places.items())
        else:
            names = (_BASH if shell == "bash" else _ZSH).format(cases=_cases(places))
        return f"{script}\n{_WHAT}{names}"


def _cases(places: Mapping[str, Sequence[str]]) -> str:
    """Branches of the ``case`` of bash and zsh."""
    quoted = ((typed.replace(" ", r"\ "), names) for typed, names in places.items())
    return "\n".join(f"    {typed}) names='{' '.join(names)}' ;;" for typed, names in quoted)


def _fish(typed: str, names: Sequence[str]) -> str:
    """What fish offers at one place; the value of a flag is told as such."""
    flag = f" --long-option {typed.rpartition('--')[2]} --require-parameter" if "--" in typed else ""
    return f"complete -c nuclex -n '__fish_nuclex_typed \"{typed}\"'{flag} --force-files -a '{' '.join(names)}'\n"


def _names() -> dict[str, Sequence[str]]:
    """What is typed between ``nuclex`` and a name, as a pattern of the shell, and the names."""
    from nuclex.core.recipe import shipped_recipes
    from nuclex.data.catalog import list_datasets

    recipes = list(shipped_recipes())
    datasets = list_datasets()
    collections = [name for row in datasets for name in row["collections"]]
    pretrain = _of("pretrain", recipes)
    return {
        "plan": pretrain,
        "pretrain": pretrain,
        "finetune": _of("finetune", recipes),
        "search": [*_of("search", recipes), *pretrain],
        "benchmark": [name.removeprefix("benchmark/") for name in _of("benchmark", recipes)],
        "data fetch": list(dict.fromkeys([*collections, *(row["name"] for row in datasets)])),
        "corpus build *--config": _of("corpus", recipes),
        "tokenizer train *--recipe": _of("tokenizer", recipes),
    }


def _of(kind: str, recipes: Sequence[str]) -> list[str]:
    return [name for name in recipes if name.startswith(f"{kind}/")]
