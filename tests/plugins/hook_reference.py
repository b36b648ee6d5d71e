"""Writes docs/plugins/hooks.md from the specifications.

python -m tests.plugins.hook_reference > docs/plugins/hooks.md
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable

from jinja2 import Environment, StrictUndefined
from service_launcher import Answer, ComposeService, Host, hookspecs
from service_launcher.guard import DEADLINES

PAGE = """\
# Hooks

Generated from `service_launcher/hookspecs.py`; this writes it anew:
`python -m tests.plugins.hook_reference > docs/plugins/hooks.md`. A plugin answers the hooks that it needs and
leaves out the arguments that it does not. Its import may take
{{ deadlines.load | int }} s.

| hook | may take |
| --- | --- |
{% for hook in hooks -%}
| [`{{ hook.name }}`](#{{ hook.name }}) | {{ deadlines[hook.name] }} s{{ hook.more }} |
{% endfor %}
{%- for hook in hooks %}
## {{ hook.name }}

```python
{{ hook.signature }}
```

{{ hook.about }}
{% endfor %}
## Host

{{ host.about }}

```python
{{ host.members }}
```

## Answer

{{ answer.about }}

```python
{{ answer.members }}
```

## ComposeService

{{ service.about }}

```python
{{ service.members }}
```
"""
#: The entry's own limits stand on top of these deadlines.
MORE = {"launcher_start": " and `start_seconds`", "launcher_stop": " and `stop_seconds`"}


def hooks() -> dict[str, Callable[..., object]]:
    """Every hook of the contract by name, in the order of the file."""
    return {name: value for name, value in vars(hookspecs).items() if name.startswith("launcher_")}


def page() -> str:
    """The page."""
    told = [
        {
            "name": name,
            "signature": f"def {name}{inspect.signature(hook)}: ...".replace("'", ""),
            "about": inspect.getdoc(hook) or "",
            "more": MORE.get(name, ""),
        }
        for name, hook in hooks().items()
    ]
    parts = {"host": _part(Host, _methods(Host)), "answer": _part(Answer, _fields(Answer))}
    parts["service"] = _part(ComposeService, _fields(ComposeService))
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(PAGE)
    return template.render(
        hooks=told, deadlines={k: f"{v:g}" for k, v in DEADLINES.items()} | {"load": DEADLINES["load"]}, **parts
    )


def _part(kind: type, members: list[str]) -> dict[str, str]:
    return {"about": inspect.getdoc(kind) or "", "members": "\n".join(members)}


def _methods(kind: type) -> list[str]:
    """What can be called or read, each with what it does."""
    lines = []
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        lines.append("# " + (inspect.getdoc(member) or "").splitlines()[0])
        if isinstance(member, property):
            returned = inspect.signature(member.fget).return_annotation  # type: ignore[arg-type]
            lines.append(f"host.{name}: {returned}")
        else:
            shown = str(inspect.signature(member)).replace("(self, ", "(").replace("(self)", "()")
            shown = shown.replace("= ''", '= ""').replace("'", "")
            lines.append(f"host.{name}{shown}")
    return lines


def _fields(kind: type) -> list[str]:
    """What it holds, in the order of the file: annotations, and defaults where there are any."""
    lines = []
    for name, annotation in inspect.get_annotations(kind).items():
        fields = getattr(kind, "model_fields", None)
        required = fields[name].is_required() if fields else not hasattr(kind, name)
        value = None if required else fields[name].default if fields else getattr(kind, name)
        default = "" if required else f" = {json.dumps(value) if isinstance(value, str) else repr(value)}"
        lines.append(f"{name}: {annotation}{default}")
    lines += [
        f"{name}: {inspect.signature(member.fget).return_annotation}  # {inspect.getdoc(member)}"
        for name, member in vars(kind).items()
        if isinstance(member, property) and member.fget and not name.startswith("_")
    ]
    return lines


if __name__ == "__main__":
    print(page(), end="")
