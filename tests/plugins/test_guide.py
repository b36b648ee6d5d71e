"""The plugin author's guide is true: every command and block of code of docs/plugins is run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pluggy
import pytest
import service_launcher
import service_launcher.testing
from jinja2 import UndefinedError
from markdown_it import MarkdownIt
from service_launcher import hookspecs, scaffold
from service_launcher.hookspecs import hookspec

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.environments import environment, run
from tests.plugins import hook_reference
from tests.plugins.conftest import empty

GUIDE = CHECKOUT / "docs/plugins"
PAGES = sorted(GUIDE.glob("*.md"))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words and options behind it, and its text."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def option(self, name: str) -> str | None:
        """The value of an option such as `shows="file"`."""
        return next((w.partition("=")[2] for w in self.words if w.startswith(f"{name}=")), None)

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    found = []
    for token in tokens:
        if token.type in ("fence", "code_block"):
            language, *words = shlex.split(token.info) or [""]
            found.append(Block(page, (token.map or [0])[0] + 1, language, tuple(words), token.content))
    return found


ALL = [block for page in PAGES for block in blocks(page)]
PYTHON = [block for block in ALL if block.language == "python" and block.page.name != "hooks.md"]


def test_every_block_is_of_a_kind_that_some_test_runs() -> None:
    assert {block.language for block in ALL} == {"sh", "text", "python", "toml", "yaml", "mermaid"}
    assert {word for block in PYTHON for word in block.words if "=" not in word} <= {"fragment", "test"}
    sh_pages = {block.page.name for block in ALL if block.language == "sh"}
    assert sh_pages == {"tutorial.md", "how-to.md", "operadores.pt-BR.md"}, "the tests below run the commands of these"


@pytest.mark.parametrize("block", [b for b in PYTHON if not b.words], ids=str)
def test_a_plugin_of_the_guide_keeps_to_the_contract(block: Block) -> None:
    module: dict[str, object] = {"__name__": "launcher_shelf.plugin"}
    exec(compile(block.text, str(block), "exec"), module)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    plugin = module.get("plugin") or type("Module", (), {k: staticmethod(v) for k, v in module.items() if callable(v)})
    assert manager.register(plugin)
    assert manager.get_hookcallers(plugin)
    manager.check_pending()
    for name in (name for name in module if name.startswith("launcher_") and "tomorrow" not in name):
        assert hasattr(hookspecs, name)


@pytest.mark.parametrize("block", [b for b in PYTHON if "fragment" in b.words], ids=str)
def test_a_fragment_of_the_guide_can_be_used_as_it_stands(block: Block) -> None:
    names = {"PluginContract": service_launcher.testing.PluginContract, "Variable": service_launcher.Variable}
    exec(compile(block.text, str(block), "exec"), names)
    if "TestContract" not in names:
        return  # a record: it could be made
    made = vars(names["TestContract"])
    known = {*vars(service_launcher.testing.PluginContract), "entry_point"}
    assert {name for name in made if not name.startswith("__")} <= known


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "toml"], ids=str)
def test_a_settings_file_of_the_guide_can_be_read(block: Block, tmp_path: Path) -> None:
    from service_launcher import selection

    (tmp_path / "plugins.toml").write_text(block.text)
    assert selection.read(tmp_path / "plugins.toml").only == tuple(tomllib.loads(block.text)["only"])


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "yaml"], ids=str)
def test_a_compose_file_of_the_guide_is_one_for_compose(block: Block, tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(block.text)
    command = ("docker", "compose", "--file", str(tmp_path / "compose.yml"), "config", "--quiet")
    refused = run(*command)
    assert refused.returncode
    assert "SHELF_PASSWORD" in refused.stderr
    assert "run launcher init" in refused.stderr
    assert run(*command, SHELF_PASSWORD="x").returncode == 0


def test_the_diagram_has_every_hook() -> None:
    (diagram,) = (block for block in ALL if block.language == "mermaid")
    assert set(re.findall(r"launcher_\w+", diagram.text)) == set(hook_reference.hooks())


def test_the_page_of_hooks_is_what_the_specifications_say() -> None:
    assert (GUIDE / "hooks.md").read_text() == hook_reference.page(), "python -m tests.plugins.hook_reference"


def test_the_reference_names_the_whole_public_surface_and_nothing_else() -> None:
    text = (GUIDE / "reference.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    testing = set(service_launcher.testing.__all__)
    surface = set(service_launcher.__all__)
    inside = {"StandIn", "Behaviour", "TemporaryInstallation", "ThrowAwayProject"}  # named beside their fixtures
    assert named == surface | testing - inside
    assert all(f"`{name}`" in text for name in inside)


def test_every_command_of_plugins_is_in_the_reference() -> None:
    from service_launcher.plugin_commands import plugins

    text = (GUIDE / "reference.md").read_text()
    assert not [name for name in plugins.commands if not re.search(rf"`launcher plugins {name}|, `{name} ", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:examples|scripts|host|docs)/[\w./-]+)`", page.read_text()):
        assert (CHECKOUT / path).exists(), path


# The commands, by hand of a newcomer: a clean environment, an empty folder, a real Engine.


def _script(page: Path, prepared: Path) -> str:
    """One shell script of all commands of a page; what each block prints follows its mark."""
    lines = ["set -eu"]
    for block in blocks(page):
        if block.language == "sh":
            lines.append(f"echo '@@{block.line}'")
            if folder := block.option("folder"):
                lines.append(f"cd {shlex.quote(str(prepared / folder))}")
            lines.append(block.text)
        elif shown := block.option("shows"):
            lines.append(f"diff {shlex.quote(shown)} - <<'END OF BLOCK'\n{block.text}END OF BLOCK")
    return "\n".join(lines)


def _follow(page: Path, folder: Path, prepared: Path, **exported: str) -> None:
    """Run the commands of a page, and look for what it says that they print."""
    done = run("bash", "-c", f"exec 2>&1\n{_script(page, prepared)}", cwd=folder, LANG="C.UTF-8", **exported)
    assert done.returncode == 0, done.stdout[-3000:]
    printed = dict(re.findall(r"^@@(\d+)\n(.*?)(?=^@@|\Z)", done.stdout, re.MULTILINE | re.DOTALL))
    said = None
    for block in blocks(page):
        if block.language == "sh":
            said = printed[str(block.line)]
        elif block.language == "text":
            for line in block.text.splitlines():
                assert line in (said or ""), f"{block}: {line!r} is not in:\n{said}"


@pytest.fixture(scope="module")
def desk(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What pip gets from the site's own configuration: an index with the host's wheel, the libraries already there."""
    index = tmp_path_factory.mktemp("index")
    (index / wheels["service_launcher"].name).write_bytes(wheels["service_launcher"].read_bytes())
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}


@pytest.fixture
def newcomer(engine: PrivateEngine, tmp_path: Path) -> Iterator[Path]:
    """An empty folder outside the checkout, with an environment that has the libraries and not the launcher."""
    empty(engine)
    # A stand-in for the image that the tutorial names, which no registry serves here: it answers on the same port.
    made = engine.docker("create", "local/kestra-rehearsal:1")
    engine.docker("commit", "--change", "ENV STANDIN_HTTP_PORT=80", made, "nginx:1.27")
    engine.docker("rm", made)
    environment(tmp_path / "desk/.venv", pip=True)
    yield tmp_path / "desk"
    empty(engine)
    engine.docker("image", "rm", "--force", "nginx:1.27")


@pytest.mark.docker
def test_the_commands_of_the_guide_do_what_it_says(newcomer: Path, desk: dict[str, str], engine: PrivateEngine) -> None:
    shell = {**desk, "DOCKER_HOST": engine.address}
    _follow(GUIDE / "tutorial.md", newcomer, newcomer, **shell)
    assert engine.docker("ps", "--quiet") == "", "the tutorial leaves nothing running"

    venv = {"VIRTUAL_ENV": str(newcomer / ".venv"), "PATH": f"{newcomer / '.venv/bin'}:{os.environ['PATH']}"}
    _follow(GUIDE / "how-to.md", newcomer, newcomer, **shell | venv)
    _follow(GUIDE / "operadores.pt-BR.md", newcomer / "installation", newcomer, **shell | venv)

    tests = newcomer / "launcher-shelf/tests/test_reference.py"
    tests.write_text("".join(block.text for block in PYTHON if "test" in block.words))
    done = run("python", "-m", "pytest", "-q", "--require-docker", str(tests), cwd=tests.parent.parent, **shell | venv)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "4 passed" in done.stdout


# The promises of the reference.


def test_the_public_surface_is_what_can_be_imported() -> None:
    for module in (service_launcher, service_launcher.testing):
        assert module.__all__ == sorted(module.__all__, key=lambda name: (name[0].islower(), name))
        public = {n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, type(ast))}
        assert set(module.__all__) == public - {"annotations"}


def test_every_hook_is_documented_tested_and_used() -> None:
    """A new hook ships with its documentation, a test that is called like it, and a plugin that needs it."""
    tests = "".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    plugins = [*(CHECKOUT / "examples").rglob("plugin.py"), CHECKOUT / "launcher_kestra/plugin.py"]
    sources = "".join(path.read_text() for path in plugins)
    for name, hook in hook_reference.hooks().items():
        assert len((hook.__doc__ or "").split("\n\n")) >= 2, f"{name}: what it is, and when it is asked of whom"
        assert re.search(rf"def test_\w*{name}\b|def test_{name}", tests), f"no test is called test_{name}"
        assert re.search(rf"^(def )?{name}\b", sources, re.MULTILINE), f"no plugin uses {name}"


def test_a_new_hook_without_any_of_these_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hookspecs, "launcher_nobody", hookspec(lambda: None), raising=False)
    with pytest.raises(AssertionError, match="launcher_nobody"):
        test_every_hook_is_documented_tested_and_used()
    with pytest.raises((AssertionError, UndefinedError)):
        test_the_page_of_hooks_is_what_the_specifications_say()
    with pytest.raises(AssertionError):
        test_the_diagram_has_every_hook()


def test_the_simplest_plugin_has_twenty_lines_at_most(tmp_path: Path) -> None:
    made = scaffold.make("shelf", "compose", tmp_path, image="nginx:1.27", port=80, health="")
    assert len((made / "launcher_shelf/plugin.py").read_text().splitlines()) <= 20


def test_the_deprecation_machinery_of_pluggy_reaches_the_author() -> None:
    class Old:
        @hookspec(warn_on_impl=DeprecationWarning("launcher_old goes away with 2.0: use launcher_new"))
        def launcher_old(self) -> None: ...

    class Plugin:
        @service_launcher.hookimpl
        def launcher_old(self) -> None: ...

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(Old)
    with pytest.warns(DeprecationWarning, match="use launcher_new"):
        manager.register(Plugin())
