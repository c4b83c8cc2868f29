"""jinja2, strict: an undefined name is an error, templates cannot reach Python's internals, what is rendered is exactly what is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kbootstrap.errors import TemplateError
from kbootstrap.render import systemd


class _Sandbox(ImmutableSandboxedEnvironment):
    """jinja2's verdict on an attribute follows from the object's type alone; asked anew at each access, it was half of rendering."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._verdicts: dict[tuple[type, str], bool] = {}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        key = type(obj), attr
        found = self._verdicts.get(key)
        if found is None:
            found = self._verdicts[key] = super().is_safe_attribute(obj, attr, value)
        return found


class Renderer:
    """The templates under *roots*; an earlier root overrides a later one (``inventory/<cluster>/overrides`` comes first). *compiled* keeps what
    they were compiled to."""

    def __init__(self, roots: Sequence[Path], compiled: jinja2.BytecodeCache | None = None) -> None:
        self._roots = tuple(roots)
        self._environment = _Sandbox(
            loader=jinja2.FileSystemLoader([str(root) for root in roots]),
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # units and configurations, never HTML
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            cache_size=-1,
            bytecode_cache=compiled,
        )
        self._environment.filters |= {"unit_arg": systemd.argument, "yaml": to_yaml, "json": to_json}

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """The text of *template* (``etcd/etcd.service.j2``). TemplateError says template and line, and what was undefined or malformed."""
        try:
            return self._environment.get_template(template).render(context)
        except jinja2.TemplateNotFound as error:
            looked = ", ".join(str(root) for root in self._roots)
            raise TemplateError(f"{error.name}: no such template", hint=f"Looked in {looked}.") from None
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"{error.name or template}:{error.lineno}  {error.message}") from None
        except jinja2.TemplateError as error:
            raise TemplateError(f"{self._place(error, template)}  {error.message}") from None

    def overridden(self) -> tuple[str, ...]:
        """The templates that an earlier root takes over from the last one, sorted."""
        if not self._roots:
            return ()
        own = _names(self._roots[-1])
        return tuple(sorted(set().union(*(_names(root) for root in self._roots[:-1])) & own))

    def _place(self, error: jinja2.TemplateError, template: str) -> str:
        """The innermost template line of the traceback: jinja2 rewrites it so that frames carry template files and lines."""
        place, frame = template, error.__traceback__
        while frame is not None:
            path = Path(frame.tb_frame.f_code.co_filename)
            for root in self._roots:
                if path.is_relative_to(root):
                    place = f"{path.relative_to(root)}:{frame.tb_lineno}"
            frame = frame.tb_next
        return place


def _names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.j2")}


class _Dumper(yaml.SafeDumper):
    """Block style with indented lists and no anchors: as people write Kubernetes documents."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Any) -> str:
    """*value* (dicts, lists, scalars) as YAML, keys in their given order, one newline at the end."""
    if not isinstance(value, dict) or not value:
        return _dump(value)
    return "".join(_item(json.dumps({key: part})) for key, part in value.items())  # hosts' documents differ in one or two of their keys


@lru_cache(maxsize=1024)
def _item(text: str) -> str:
    return _dump(json.loads(text))


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000)


def to_json(value: Any) -> str:
    """*value* as indented JSON without a newline at the end."""
    return json.dumps(value, indent=2)
