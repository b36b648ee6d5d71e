"""Every environment variable that is read is documented, and every one that is documented is read."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.reference import OWN_VARIABLES, plugin_variables
from launcher_kestra.services import VARIABLES
from tests.conftest import CHECKOUT
from tests.docs.pages import Page, pages

#: Of every shell and every process; nobody sets them for this project.
ORDINARY = {"PATH", "HOME", "PWD", "TMPDIR", "EUID", "BASH_SOURCE", "DISPLAY", "WAYLAND_DISPLAY"}
#: Between a script and the file that it sources.
SOURCED = {"ROOT", "CONSENT"}
#: Read inside containers, from images, or from /etc/os-release, and not from the environment of an operator.
INSIDE = {"tools/images/postgres/", "tools/images/kestra/", "tools/images/rehearsal/"}
NOT_OURS = {"ID", "VERSION_ID", "PG_MAJOR"}
VARIABLE = re.compile(
    r"(?<![\w-])(?:(?:KESTRA|LAUNCHER|SKIP|ALLOW|DOCKER|SERVICE_LAUNCHER)_[A-Za-z_]*[A-Za-z])(?![\w*(-])"
)


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=CHECKOUT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [CHECKOUT / name for name in filter(None, listed.split("\0")) if (CHECKOUT / name).is_file()]


def read_by_python(path: Path) -> Iterator[str]:
    """Names that a module asks an environment for; constants of the module are looked up."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def name(node: ast.expr) -> str | None:
        value = node.value if isinstance(node, ast.Constant) else constants.get(getattr(node, "id", ""))
        return value if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Za-z_]*_[A-Za-z_]*|CI|PORT", value) else None

    for node in tree.body:  # asked for one after the other
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and "_VARIABLES" in ast.unparse(node):
            yield from filter(None, map(name, node.value.elts))
    for node in ast.walk(tree):
        key = None
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute):
            where = ast.unparse(node.func.value)
            if node.func.attr in ("get", "secret", "getenv") and re.search(r"environ|\benv$|^os$", where):
                key = name(node.args[0])
        elif isinstance(node, ast.Subscript) and re.search(r"environ", ast.unparse(node.value)):
            key = name(node.slice)
        if key:
            yield key


def read_by_shell(path: Path) -> set[str]:
    """Names that a script expands and does not set itself."""
    text = re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE)
    text = re.sub(r"'[^'\n]*'", "''", text)
    expanded = set(re.findall(r"\$\{?#?([A-Z][A-Z0-9_]+)", text))
    own = re.findall(
        r"(?:^|[\s;(])(?:local |readonly |declare [-\w]* ?|export )?([A-Z][A-Z0-9_]+)=(?!\$\{\1)", text, re.MULTILINE
    )
    lists = re.findall(r"(?:readonly|local|declare) ([A-Z0-9_= $(){}\".\-/a-z]+)", text)
    return expanded - set(own) - {word for words in lists for word in re.findall(r"\b([A-Z][A-Z0-9_]+)=", words)}


def read() -> dict[str, set[str]]:
    """Every variable that the code reads, with the files that do."""
    found: dict[str, set[str]] = {}
    for path in tracked("host/service_launcher/*.py", "launcher_kestra/*.py"):
        for name in read_by_python(path):
            found.setdefault(name, set()).add(str(path.relative_to(CHECKOUT)))
    for path in tracked("scripts", "tools", ".ci"):
        name = str(path.relative_to(CHECKOUT))
        if not any(name.startswith(folder) for folder in INSIDE) and re.match(
            rb"#!.*\b(ba)?sh\b|# shellcheck shell=", path.read_bytes()[:60]
        ):
            for variable in read_by_shell(path):
                found.setdefault(variable, set()).add(name)
    for path in tracked("tools/compose/*.yml"):
        for variable in re.findall(r"(?<!\$)\$\{([A-Za-z_]+)", path.read_text()):
            found.setdefault(variable, set()).add(str(path.relative_to(CHECKOUT)))
    return {name: files for name, files in found.items() if name not in ORDINARY | SOURCED | NOT_OURS}


DOCUMENTED = {variable.name for variable in VARIABLES} | OWN_VARIABLES.keys()


def test_every_variable_that_is_read_is_documented() -> None:
    assert {name: files for name, files in read().items() if name not in DOCUMENTED} == {}


def test_every_variable_that_is_documented_is_read() -> None:
    everywhere = read()
    plain = "".join(path.read_text() for path in tracked("launcher_kestra/*.py"))
    for name in DOCUMENTED:
        # The plugin names some through constants of another module.
        constants = re.findall(rf'^([A-Z_]+) = "{name}"$', plain, re.MULTILINE)
        used = any(len(re.findall(rf"\b{constant}\b", plain)) > 2 for constant in constants)
        assert name in everywhere or used, f"{name} is read by nobody"


def test_the_plugin_says_the_same_through_its_hook() -> None:
    assert [v.name for v in plugin_variables()] == [v.name for v in VARIABLES]


def test_the_guide_tells_of_every_variable_of_the_services() -> None:
    guide = (CHECKOUT / "docs/context/ops/orchestration/kestra.md").read_text()
    rows = set(re.findall(r"^\| `([A-Za-z_]+)` \|", guide, re.MULTILINE))
    assert {v.name for v in VARIABLES} <= rows
    assert rows <= DOCUMENTED


@pytest.mark.parametrize("page", [p for p in pages() if "reference" not in str(p)], ids=str)
def test_no_page_names_a_variable_that_does_not_exist(page: Page) -> None:
    named = {name for code in page.code() for name in VARIABLE.findall(code)}
    assert named - DOCUMENTED - KNOWN == set()


#: Names of other programs' variables, and of the tests'.
KNOWN = {"KESTRA_CONFIGURATION"}
