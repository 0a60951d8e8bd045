"""Shell completion, asked of the shells themselves; a shell that is not installed is a visible skip."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nuclex.cli.main import app, run

PROGRAM = [sys.executable, "-c", "from nuclex.cli.main import main; main()"]
SIZES = ("mega", "micro", "micro-absolute", "micro-gelu")


def installed(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe of one's own, and a home whose settings of shells may get a line."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "mine.toml").touch()
    return tmp_path


def script(folder: Path, shell: str, name: str) -> Path:
    made = folder / "scripts" / name
    made.parent.mkdir()
    assert run(["--install-completion", "--shell", shell, "--output", str(made)]) == 0
    return made


def test_completion_is_installed_where_it_is_told_and_help_pays_nothing_for_it(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = [*PROGRAM, "--install-completion", "--shell", "bash", "-o", str(tmp_path / "nuclex.bash")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "nuclex.bash" in done.stdout
    assert "pretrain" in (tmp_path / "nuclex.bash").read_text()
    assert "nuclex.bash" in (tmp_path / ".bashrc").read_text()
    code = "import sys\nfrom nuclex.cli.main import run\nrun(['--help'])\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--install-completion" in done.stdout
    assert "'rich.panel'" in done.stdout
    assert "'cyclopts.completion'" not in done.stdout


def test_bash_completes_verbs_flags_choices_and_names(folder: Path) -> None:
    bash = installed("bash")
    made = script(folder, "bash", "nuclex.bash")
    assert "complete -F" in made.read_text()

    def completed(*words: str) -> set[str]:
        typed = " ".join(map(shlex.quote, words))
        ask = f"cd {folder}; source {made}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}\n"
        ask += 'answer=$(complete -p nuclex); answer=${answer#*-F }; ${answer% *}; echo "${COMPREPLY[*]}"'
        return set(subprocess.run([bash, "-c", ask], capture_output=True, text=True, check=True).stdout.split())

    assert completed("nuclex", "pre") == {"pretrain", "predict"}
    assert completed("nuclex", "corpus", "b") == {"build"}
    assert completed("nuclex", "embed", "--dev") == {"--device"}
    assert completed("nuclex", "evaluate", "--split", "v") == {"validation"}
    assert completed("nuclex", "plan", "pretrain/rinalmo-m") == {f"pretrain/rinalmo-{size}" for size in SIZES}
    assert completed("nuclex", "finetune", "m") == {"mine.toml"}, "a file of one's own, too"
    assert completed("nuclex", "finetune", "finetune/regr") == {"finetune/regression"}
    assert completed("nuclex", "search", "search/rnaberta-l") == {"search/rnaberta-laptop"}
    assert completed("nuclex", "benchmark", "smo") == {"smoke"}
    assert completed("nuclex", "data", "fetch", "archiveii") >= {"archiveii"}
    assert completed("nuclex", "corpus", "build", "mine.toml", "--config", "corpus/y") == {"corpus/yeast"}
    assert completed("nuclex", "tokenizer", "train", "c", "--recipe", "tokenizer/r") == {"tokenizer/rnaberta"}
    assert completed("nuclex", "embed", "pretrain/r") == set()


def test_fish_completes_verbs_flags_choices_and_names(folder: Path) -> None:
    fish = installed("fish")
    made = script(folder, "fish", "nuclex.fish")

    def completed(typed: str) -> set[str]:
        ask = f"cd {folder}; source {made}; complete -C '{typed}'"
        done = subprocess.run([fish, "--no-config", "-c", ask], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    assert completed("nuclex pre") == {"pretrain", "predict"}
    assert completed("nuclex evaluate --split v") == {"validation"}
    assert completed("nuclex plan pretrain/rinalmo-m") == {f"pretrain/rinalmo-{size}" for size in SIZES}
    assert completed("nuclex finetune m") == {"mine.toml"}
    assert completed("nuclex benchmark smo") == {"smoke"}
    assert completed("nuclex data fetch archiveii") >= {"archiveii"}
    assert completed("nuclex corpus build mine.toml --config corpus/y") == {"corpus/yeast"}
    assert completed("nuclex corpus build mine.toml --config m") == {"mine.toml"}
    assert completed("nuclex tokenizer train c --recipe tokenizer/r") == {"tokenizer/rnaberta"}
    assert completed("nuclex embed pretrain/r") == set()


@pytest.mark.parametrize("how", ["found in fpath", "sourced"])
def test_zsh_completes_verbs_flags_choices_and_names(how: str, folder: Path) -> None:
    zsh = installed("zsh")
    made = script(folder, "zsh", "_nuclex")
    said = folder / "said"
    before = f"fpath=({made.parent} $fpath); " if how == "found in fpath" else ""
    after = f"; source {made}" if how == "sourced" else ""
    # Control-X says what stands on the line and empties it.
    (folder / ".zshrc").write_text(
        f"{before}autoload -Uz compinit; compinit -u -D{after}\nPS1=''\n"
        f'say() {{ print -r -- "$BUFFER" >> {said}; BUFFER=""; }}\n'
        f'zle -N say; bindkey "^X" say\nprint ready >> {said}\n'
    )
    master, slave = pty.openpty()
    environment = {**os.environ, "ZDOTDIR": str(folder), "TERM": "dumb"}
    process = subprocess.Popen(
        [zsh, "-i"], stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment, start_new_session=True
    )
    os.close(slave)
    threading.Thread(target=_drain, args=(master,), daemon=True).start()
    try:
        _line(said, 0)
        questions = {
            "nuclex pret": "nuclex pretrain",
            "nuclex evaluate --split v": "nuclex evaluate --split validation",
            "nuclex plan pretrain/rinalmo-mi": "nuclex plan pretrain/rinalmo-micro",
            "nuclex finetune mi": "nuclex finetune mine.toml",
            "nuclex benchmark smo": "nuclex benchmark smoke",
            "nuclex data fetch calm-sp": "nuclex data fetch calm-species",
            "nuclex corpus build mine.toml --config corpus/y": "nuclex corpus build mine.toml --config corpus/yeast",
            "nuclex corpus build mine.toml --config mi": "nuclex corpus build mine.toml --config mine.toml",
            "nuclex tokenizer train c --recipe tokenizer/r": "nuclex tokenizer train c --recipe tokenizer/rnaberta",
            "nuclex embed pretrain/r": "nuclex embed pretrain/r",
        }
        for number, (typed, meant) in enumerate(questions.items(), 1):
            os.write(master, f"{typed}\t\x18".encode())
            assert _line(said, number).rstrip() == meant
    finally:
        process.kill()
        process.wait()


def _drain(master: int) -> None:
    """Read what a terminal shows until it is closed, so that nobody waits for it."""
    try:
        while os.read(master, 4096):
            pass
    except OSError:
        os.close(master)


def _line(path: Path, number: int) -> str:
    """The line of a file, once it is there."""
    for _ in range(300):
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) > number:
            return lines[number]
        time.sleep(0.1)
    raise AssertionError(f"zsh said nothing in 30 s; it had said {lines}")


def test_powershell_completes_verbs() -> None:
    assert "pretrain" in app.generate_completion(shell="powershell")
