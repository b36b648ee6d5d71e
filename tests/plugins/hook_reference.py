"""Writes docs/plugins/hooks.md from the specifications.

python -m tests.plugins.hook_reference > docs/plugins/hooks.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from jinja2 import Environment, StrictUndefined
from service_launcher import hookspecs
from service_launcher.plugins import DEADLINES

PAGE = """\
# Hooks

Generated from `service_launcher/hookspecs.py`; `python -m tests.plugins.hook_reference` writes it anew. A plugin
answers the hooks that it needs and leaves out the arguments that it does not. Its import may take
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
{% endfor -%}
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
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(PAGE)
    return template.render(
        hooks=told, deadlines={k: f"{v:g}" for k, v in DEADLINES.items()} | {"load": DEADLINES["load"]}
    )


if __name__ == "__main__":
    print(page(), end="")
