"""What every command is given: the options that stood before it, and a launcher once it needs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from service_launcher.errors import ConfigurationError
from service_launcher.printing import print_problems

if TYPE_CHECKING:
    import click

    from service_launcher.installation import Installation
    from service_launcher.launcher import Launcher
    from service_launcher.models import Diagnosis
    from service_launcher.plugins import HookCall
    from service_launcher.redaction import Redactor


class Session:
    """What the options before the command said; the launcher is built when a command first needs it."""

    root: str | None = None
    on_call: Callable[[HookCall], None] | None = None

    @cached_property
    def launcher(self) -> Launcher:
        """The launcher of this installation."""
        from service_launcher import wiring

        return wiring.build(self.root, on_call=self.on_call)

    def installation(self, actor: str | None = None) -> Installation:
        """This installation as its files are at any time, for what goes on; its records name this actor."""
        from service_launcher import wiring
        from service_launcher.installation import Installation

        return Installation(lambda: wiring.build(self.root, actor), _complain)

    def diagnosis(self) -> Diagnosis:
        """What doctor finds, also where no launcher can be built."""
        from service_launcher import wiring

        return wiring.diagnose(self.root)

    @cached_property
    def plugin_commands(self) -> Mapping[str, click.Command]:
        """The plugins' commands by name; who fails to tell them is named on standard error. Raises LauncherError."""
        plugins = self.launcher.plugins
        known = len(plugins.problems)
        found = {name: command for name, (_, command) in plugins.commands().items()}
        print_problems(plugins.problems[known:])
        return found

    def redactor(self) -> Redactor:
        """What takes the secrets out of text, without a launcher."""
        from service_launcher import wiring

        return wiring.redactor(self.root)


def _complain(launcher: Launcher, wrong: ConfigurationError) -> None:
    from service_launcher.models import Problem

    words = f"{launcher.redact(wrong.summary)}; the values before stay in use"
    print_problems([Problem(severity="error", summary=words, fix=wrong.fix)])
