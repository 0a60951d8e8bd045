"""The pages of the reference: what each floor offers, from the docstrings; the names are those of ``__all__``."""

from __future__ import annotations

import ast
from pathlib import Path

FLOORS = {
    "bio": "Biology",
    "tokenizers": "Tokenizers",
    "data": "Data",
    "metrics": "Metrics",
    "models": "Models",
    "objectives": "Objectives",
    "tasks": "Tasks",
    "bundle": "Bundles",
    "training": "Training",
    "inference": "Inference",
    "hub": "Hugging Face",
    "core": "Core",
}
"""The floors with a page, from the ground up (core, which is everybody's, last), and the titles of their pages."""
MODULES = {
    "data": ["read", "corpus", "store", "sample", "pack", "catalog"],
    "training": ["duration", "optimizer", "schedule", "pretrain", "question", "plan"],
    "core": ["config", "registry", "errors"],
}
"""Floors that export nothing by ``__all__``: the modules that others build on."""


def exported(package: Path) -> dict[str, str]:
    """What a package's ``__all__`` names, and where each comes from, as dotted paths."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    origins: dict[str, str] = {}
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            origins.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            names = ast.literal_eval(node.value)
    return {name: origins[name] for name in names if name in origins}


def origin(source: Path, path: str) -> str:
    """Where a dotted name is written down: a module that only passes it on leads further."""
    module, _, name = path.rpartition(".")
    file = source / Path(*module.split(".")).with_suffix(".py")
    if not file.is_file():
        return path
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nuclex"):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return origin(source, f"{node.module}.{alias.name}")
    return path


def public(module: Path) -> list[str]:
    """The functions and classes of a module whose names do not begin with an underscore, in their order."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")]


def page(source: Path, floor: str, verbs: dict[str, str]) -> str:
    """One page of the reference: each name under the module it is written in."""
    folder = source / "nuclex" / floor
    by_module: dict[str, list[str]] = {}
    if floor in MODULES:
        for name in MODULES[floor]:
            by_module[f"nuclex.{floor}.{name}"] = public(folder / f"{name}.py")
    else:
        for path in exported(folder).values():
            module, _, name = origin(source, path).rpartition(".")
            by_module.setdefault(module, []).append(name)
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    lines = [f"# {FLOORS[floor]}: `nuclex.{floor}`", "", docstring.replace("``", "`"), ""]
    for module, names in by_module.items():
        file = source / Path(*module.split(".")).with_suffix(".py")
        meaning = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        lines += [f"## `{module}`", "", meaning.replace("``", "`"), ""]
        for name in names:
            path = f"{module}.{name}"
            if path in verbs:
                lines += [f"`{name}` is a verb: [{verbs[path][:-3]}](../verbs/{verbs[path]}).", ""]
            else:
                lines += [f"::: {path}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)
