"""The source of a user's network: every definition that it uses, each by its name."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name
from pathlib import Path

from models.networks.user_networks import is_of_user

_Definition = tuple[str, str]


def digests(roots: Iterable[_Definition]) -> dict[str, str]:
    """Return the SHA-256 of each of the user's definitions that these definitions use, by module and name.

    Comments, docstrings and layout make no difference. Names that are looked up only when the code runs, such as
    `getattr(module, name)`, are not followed.

    Args:
        roots: module and name of functions, classes or constants at the top of a module. A definition that is not the
            user's own, or has no source, is left out.
    """
    waiting, found = list(roots), dict[str, str]()
    modules: dict[str, dict[str, list[ast.stmt]]] = {}
    while waiting:
        module, name = waiting.pop()
        key = f"{_importable(module)}.{name}"
        if key in found or not is_of_user(module):
            continue
        if module not in modules:
            modules[module] = _statements(module)
        if nodes := [node for node in modules[module].get(name, []) if not _is_import(node)]:
            text = "\n".join(without_docstrings(node) for node in nodes)
            found[key] = hashlib.sha256(text.encode()).hexdigest()
        for node in nodes:
            for used in _names(node):
                waiting += _lookup(module, modules[module], *used)
    return dict(sorted(found.items()))


def without_docstrings(tree: ast.AST) -> str:
    """Return the source of a tree without comments, docstrings and layout. The tree loses its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _importable(module: str) -> str:
    """Return the name by which a module is imported, also if it is the program that runs."""
    if module != "__main__":
        return module
    program = sys.modules[module]
    spec = getattr(program, "__spec__", None)
    return Path(str(getattr(program, "__file__", module))).stem if spec is None else str(spec.name)


def _statements(module: str) -> dict[str, list[ast.stmt]]:
    """Return the statements at the top of a module that bind a name, by that name."""
    try:
        tree = ast.parse(Path(str(sys.modules[module].__file__)).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[str, list[ast.stmt]] = {}
    for statement in _flat(tree.body):
        for name in _bound(statement):
            found.setdefault(name, []).append(statement)
    return found


def _flat(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, and those inside `if`, `try` and `with`."""
    for statement in statements:
        if isinstance(statement, ast.If | ast.Try | ast.With):
            inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt | ast.ExceptHandler)]
            for node in inner:
                yield from _flat(node.body if isinstance(node, ast.ExceptHandler) else [node])
        else:
            yield statement


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if _is_import(statement):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]  # type: ignore[attr-defined]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
        return [node.id for node in stored if isinstance(node.ctx, ast.Store)]
    return []


def _is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom)


def _names(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the names that a tree reads, each with the attributes that it reads of them: a.b.c is (a, b, c)."""
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield (inner.id, *reversed(parts))


def _lookup(module: str, statements: dict[str, list[ast.stmt]], name: str, *attributes: str) -> Iterator[_Definition]:
    """Yield the definitions that a name of a module may stand for."""
    for statement in statements.get(name, []):
        if isinstance(statement, ast.ImportFrom):
            package = getattr(sys.modules[module], "__package__", None) or ""
            source = resolve_name("." * statement.level + (statement.module or ""), package)
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    yield source, alias.name
                    yield from _attribute(f"{source}.{alias.name}", attributes)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                if (alias.asname or alias.name).partition(".")[0] == name:
                    yield from _attribute(alias.name if alias.asname else name, attributes)
        else:
            yield module, name


def _attribute(module: str, attributes: tuple[str, ...]) -> Iterator[_Definition]:
    """Yield the definition that attributes of a module name; some of them may be modules themselves."""
    for place, attribute in enumerate(attributes):
        yield ".".join((module, *attributes[:place])), attribute
