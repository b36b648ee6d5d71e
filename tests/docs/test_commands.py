"""No command is shown that does not exist: the launcher parses what is its own, and scripts and files are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from service_launcher.cli import launcher
from service_launcher.session import Session

from tests.conftest import CHECKOUT
from tests.docs.pages import Page, commands, pages

#: What ends a command in prose: an ellipsis, or a word in capitals for something to fill in.
OPEN = re.compile(r"…|[A-Z]+|\[[A-Z].*|\.\.\.")
SEPARATOR = re.compile(r"[;|&\n]+|\$\(|\)|(?<=\s)#")
ROOT_OPTIONS = {"--root": 2, "--debug": 1, "--version": 1, "--help": 1, "-h": 1}
SCRIPT = re.compile(r"(?:\./)?(?:scripts|tools|\.ci|docs)/[\w./-]*\w")


def shown(page: Page) -> Iterator[list[str]]:
    """Each command that a page shows, as words."""
    for code in page.code():
        for part in SEPARATOR.split(commands(code)):
            try:
                yield shlex.split(part)
            except ValueError:  # an apostrophe in a line that is no command
                yield part.split()


def called(words: list[str]) -> list[str] | None:
    """The launcher's arguments, where it is the launcher or a script that delegates to it."""
    while words and "=" in words[0]:
        words = words[1:]
    if not words:
        return None
    if words[0] == "launcher" or words[0].endswith("bin/launcher"):
        return words[1:]
    script = CHECKOUT / words[0]
    if SCRIPT.fullmatch(words[0]) and script.is_file():
        delegated = re.search(r'^exec_launcher (.*) "\$@"', script.read_text(), re.MULTILINE)
        return [*delegated[1].split(), *words[1:]] if delegated else None
    return None


def refusal(arguments: list[str]) -> str | None:
    """Why the launcher would not take these arguments; None where it would."""
    command: click.Command = launcher
    # With its settings: click remembers the options for help that the first context had.
    context = click.Context(launcher, info_name="launcher", **launcher.context_settings)
    context.ensure_object(Session).root = str(CHECKOUT)
    while arguments and arguments[0] in ROOT_OPTIONS:
        arguments = arguments[ROOT_OPTIONS[arguments[0]] :]
    while isinstance(command, click.Group) and arguments and not OPEN.fullmatch(arguments[0]):
        name, *arguments = arguments
        found = command.get_command(context, name)
        if found is None:
            return f"no command {name}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    given = [word for word in arguments if not OPEN.fullmatch(word)]
    if isinstance(command, click.Group):
        return None
    options = [word.partition("=")[0] for word in given if word.startswith("-")]
    if len(given) == len(arguments) and options != ["--help"]:
        try:
            command.make_context(command.name, given, parent=context)
        except click.MissingParameter:
            pass  # named in prose without its argument
        except click.UsageError as error:
            return error.format_message()
        return None
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = set(options) - known - {"--help", "-h"}
    return f"no option {unknown}" if unknown else None


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_command_that_is_shown_exists(page: Page) -> None:
    wrong = {}
    for words in shown(page):
        arguments = called(words)
        if arguments and f"examples/launcher-{arguments[0]}/" in str(page):
            continue  # a command of the example's own plugin, which need not be installed
        if arguments is not None and (why := refusal(arguments)):
            wrong[" ".join(words)] = why
    assert not wrong


@pytest.mark.parametrize("page", [p for p in pages() if "openspec" not in str(p)], ids=str)
def test_every_script_and_folder_that_is_shown_exists(page: Page) -> None:
    for code in page.code():
        for name in SCRIPT.findall(code):
            here = [CHECKOUT / name, page.path.parent / name]
            assert any(path.exists() for path in here) or EXAMPLES.fullmatch(name), f"{page}: {name}"


#: Files of the plugins that pages take as their example.
EXAMPLES = re.compile(r"tools/(compose/docker-compose\.)?(search|shelf)(\.yml)?")


def test_the_check_sees_commands_and_refuses_wrong_ones() -> None:
    seen = [words for page in pages() for words in shown(page) if called(words) is not None]
    assert len(seen) > 60
    assert refusal(["logs", "kestra", "--tail", "50"]) is None
    assert refusal(["kestra", "run", "--dry-run"]) is None
    assert refusal(["backup"]) == "no command backup"
    assert refusal(["logs", "--last", "5"])
    assert refusal(["health", "--format", "xml"])
    assert called(shlex.split("scripts/docker/start-stacks.sh --phase tools")) == [
        "stacks",
        "start",
        "--phase",
        "tools",
    ]
