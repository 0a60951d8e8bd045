"""No line of the package, its benchmarks and its tools executes what it reads: held by a walk through the syntax."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "benchmarks", "docs")
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "pickletools", "pty"}
EVALUATORS = {"eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "os.system", "os.popen"}
YAML_LOADERS = {"Loader", "FullLoader", "UnsafeLoader", "CLoader", "CUnsafeLoader", "CFullLoader"}
ONLY = {  # keyword -> the one value that is allowed, and why
    "shell": ("False", "gives text to a shell"),
    "allow_pickle": ("False", "reads pickles"),
    "trust_remote_code": ("False", "runs code of others"),
    "verify": ("True", "believes any server"),
}
ALLOWED = {"src/nuclex/bundle/rinalmo.py: torch.save(...) pickles or runs code"}
"""What ``nuclex export --format rinalmo`` is for: RiNALMo's own code reads nothing else."""
YAML_CALLS = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}


def offences(text):
    """(line, what is wrong) for every place of a source text that could execute or unpickle what it reads."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if {name.partition(".")[0] for name in names} & PICKLERS:
                yield node.lineno, f"imports {names[0]}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {f"yaml.{name}" for name in YAML_LOADERS}:
            yield node.lineno, f"{ast.unparse(node)} builds whatever a tag names"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, wrong) for wrong in _wrong_call(ast.unparse(node.func), node))


def _wrong_call(name, call):
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    last = name.rpartition(".")[2]
    if name in EVALUATORS:
        yield f"{name}(...) executes text"
    if name.startswith("torch.") and last == "load" and given.get("weights_only") != "True":
        yield "torch.load(...) without weights_only=True"
    if name in {"torch.save", "torch.jit.load", "torch.package.PackageImporter", "torch.hub.load"}:
        yield f"{name}(...) pickles or runs code"
    if name.startswith("yaml.") and last in YAML_CALLS:
        yield f"{name}(...) is not safe_load"
    for word, (allowed, why) in ONLY.items():
        if word == "shell" and "completion" in name:  # the name of the shell that a script is written for
            continue
        if given.get(word, allowed) != allowed and not (word == "verify" and given[word] != "False"):
            yield f"{name}({word}={given[word]}) {why}"
    if last == "from_pretrained" and name.split(".")[0] != "self" and given.get("trust_remote_code") != "False":
        yield f"{name}(...) without trust_remote_code=False"
    if last in {"extractall", "unpack_archive"} and name != "unpack_archive":
        yield f"{name}(...) trusts the names in an archive; use nuclex.data.unpack"
    if last in {"read_pickle", "to_pickle", "mktemp", "load_module", "run_path", "spec_from_file_location"}:
        yield f"{name}(...)"
    if last == "import_module" and not _of_nuclex(call):
        yield f"{name}(...) with a name that is not of nuclex"


def _of_nuclex(call):
    """Whether the module's name begins with nuclex, or comes out of the table of nuclex's own verbs."""
    name = ast.unparse(call.args[0]).lstrip("f").strip("'\"")
    return name.startswith("nuclex") or name == "module"


def test_no_source_executes_what_it_reads():
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 100
    found = [
        (f"{path.relative_to(ROOT).as_posix()}: {wrong}", line)
        for path in paths
        for line, wrong in offences(path.read_text(encoding="utf-8"))
    ]
    assert len([wrong for wrong, _ in found if wrong in ALLOWED]) == len(ALLOWED)
    assert not [(wrong, line) for wrong, line in found if wrong not in ALLOWED]


BAD = [
    "import pickle",
    "from pickle import loads",
    "import joblib.numpy_pickle",
    "def f():\n    import dill",
    "eval(text)",
    "exec(text)",
    "compile(text, 'x', 'exec')",
    "__import__(name)",
    "os.system(text)",
    "torch.load(path)",
    "torch.load(path, weights_only=False)",
    "torch.save(model, path)",
    "torch.hub.load('x', 'y')",
    "yaml.load(text)",
    "yaml.load(text, Loader=yaml.SafeLoader)",
    "class L(yaml.Loader): pass",
    "yaml.unsafe_load(text)",
    "subprocess.run(text, shell=True)",
    "np.load(path, allow_pickle=True)",
    "AutoModel.from_pretrained(path, trust_remote_code=True)",
    "AutoTokenizer.from_pretrained(path)",
    "requests.get(address, verify=False)",
    "archive.extractall(folder)",
    "shutil.unpack_archive(path)",
    "pd.read_pickle(path)",
    "tempfile.mktemp()",
    "import_module(name_from_a_file)",
]
GOOD = """
import json, yaml, torch, numpy as np
yaml.safe_load(text); torch.load(path, weights_only=True); np.load(path); np.load(path, allow_pickle=False)
class L(yaml.SafeLoader): pass
AutoModel.from_pretrained(path, trust_remote_code=False); import_module(f"nuclex.{name}"); unpack_archive(a, b)
subprocess.run(["mmseqs", name]); model.eval(); re.compile(pattern); pa.compute.load(x)
"""


@pytest.mark.parametrize("text", BAD)
def test_what_executes_is_seen(text):
    assert list(offences(text))


def test_what_does_not_execute_is_not_blamed():
    assert list(offences(GOOD)) == []


NETWORK = {
    "requests",
    "urllib3",
    "httpx",
    "aiohttp",
    "socket",
    "http",
    "ftplib",
    "smtplib",
    "huggingface_hub",
    "pooch",
    "wandb",
}
REACHES_OUT = {
    "src/nuclex/hub/publish.py",  # the verb publish, and it alone
    "src/nuclex/hub/bundles.py",  # the verb convert, of a name on the hub
    "src/nuclex/bundle/published.py",  # bundles that are asked for by their name on the hub
    "src/nuclex/data/download.py",
    "src/nuclex/data/catalog.py",  # asks pooch for a folder's name, nothing else
    "src/nuclex/training/tracking.py",  # Weights & Biases, where a recipe asks for it
    "src/nuclex/web/serve.py",  # listens, on this machine alone unless told otherwise
}


def test_nobody_else_speaks_to_the_network():
    found = set()
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {name.partition(".")[0] for name in names} & NETWORK or "urllib.request" in names:
                found.add(path.relative_to(ROOT).as_posix())
    assert found == REACHES_OUT


def test_the_limits_are_those_that_are_promised():
    from nuclex.bundle.load import MOST_TEXT_BYTES
    from nuclex.bundle.weights import MOST_HEADER_BYTES, MOST_TENSORS
    from nuclex.data.download import LIMITS
    from nuclex.data.unpack import CAPS

    promised = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"text of a bundle {MOST_TEXT_BYTES >> 20} MiB" in promised
    assert f"header {MOST_HEADER_BYTES >> 20} MiB and {MOST_TENSORS:,} tensors".replace(",", " ") in promised
    assert f"{CAPS.members:,} files, ".replace(",", " ", 1) in promised
    assert f"{CAPS.bytes >> 30} GiB, and {CAPS.ratio} times" in promised
    assert (
        f"({LIMITS.redirects} at most); {LIMITS.idle_s} s of silence, one hour, or {LIMITS.attempts} attempts"
        in promised
    )
    assert LIMITS.total_s == 3600
