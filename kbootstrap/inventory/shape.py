"""The tree against the schema: wrong types, unknown keys and bad values, each at its line and column.

What is wrong is cut out of the tree after it was reported, so that the rules can still judge the rest and all problems are shown at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from kbootstrap.inventory.finding import Finding, did_you_mean, nearest
from kbootstrap.inventory.scalars import plain_value, surprise
from kbootstrap.inventory.schema import ClusterFile
from kbootstrap.inventory.tree import Document, Node, Path, Scalar, Sequence, Table

_FREE_FORM = (("kubelet", "config"), ("proxy", "config"))
_ROUNDS = 5  # cutting one part out can lay another error bare, but no deeper than the schema


def validate(document: Document) -> tuple[ClusterFile, list[Finding]]:
    """The document as a typed tree, without the parts that the findings are about."""
    findings = [_sentence(document, path, "string_type", {}) for path in _free_form_surprises(document.root)]
    raw = to_python(document.root)
    for _ in range(_ROUNDS):
        try:
            return ClusterFile.model_validate(raw), findings
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in details:
            findings.append(_sentence(document, detail["loc"], detail["type"], detail.get("ctx", {})))
        for detail in details:
            _cut(raw, detail["loc"])
    return ClusterFile.model_validate({}), findings


def to_python(node: Node) -> Any:
    """The tree as plain values; an unquoted scalar that YAML readers disagree on stays ``Surprising`` text."""
    if isinstance(node, Table):
        return {key: to_python(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [to_python(item) for item in node.items]
    return plain_value(node.text) if node.plain else node.text


def _cut(raw: Any, path: Path) -> None:
    """Remove what stands at *path* or the nearest part of it that exists; of a list always the whole."""
    parent, last = None, None
    for step in path:
        if not isinstance(raw, dict) or step not in raw:
            break
        parent, last, raw = raw, step, raw[step]
    if parent is not None:
        del parent[last]


def _free_form_surprises(node: Node, path: Path = (), inside: bool = False) -> Iterator[Path]:
    """Where free-form parts hold scalars whose type nobody else can decide."""
    if isinstance(node, Table):
        for key, value in node.entries.items():
            yield from _free_form_surprises(value, (*path, key), inside or (*path, key)[-2:] in _FREE_FORM)
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from _free_form_surprises(item, (*path, index), inside)
    elif inside and node.plain and surprise(node.text):
        yield path


def _sentence(document: Document, loc: Path, kind: str, context: dict[str, Any]) -> Finding:
    """One of pydantic's errors as what is wrong and what to write instead."""
    path, is_key = tuple(step for step in loc if step != "[key]"), "[key]" in loc
    while kind != "extra_forbidden" and path and document.node(path) is None:
        path = path[:-1]  # `endpoint: haproxy` is short for `endpoint: {kind: haproxy}`
    key, node = next((step for step in reversed(path) if isinstance(step, str)), "the file"), document.node(path)
    if kind == "extra_forbidden":
        return document.finding(path, f"unknown key {show(key)}", _unknown_key_hint(key, path[:-1]))
    text = show(key) if is_key else _shown(node, key)
    if kind == "value_error":
        what, _, write = str(context["error"]).partition("; write ")
        subject = text if is_key else f"{key}: {text}"
        what, hint = f"{subject}: {what}", f"Write {write}." if write else ""
    elif kind in ("enum", "literal_error"):
        choices = [word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(",")]
        what, hint = f"{key}: {text} is not one of {', '.join(choices)}", did_you_mean(node.text if isinstance(node, Scalar) else key, choices)
    else:
        what, hint = _type_sentence(key, text, node, kind, context)
    return document.finding(path, what, hint, value=not is_key)


def _type_sentence(key: str, text: str, node: Node | None, kind: str, context: dict[str, Any]) -> tuple[str, str]:
    wanted, write = {
        "string_type": ("text", ""),
        "int_type": ("a whole number", ""),
        "bool_type": ("true or false", ""),
        "list_type": ("a list", f"Write [{text}]." if isinstance(node, Scalar) else ""),
        "greater_than_equal": (f"at least {context.get('ge')}", ""),
        "less_than_equal": (f"at most {context.get('le')}", ""),
    }.get(kind, ("`key: value` lines", ""))
    if not isinstance(node, Scalar):
        return f"{key}: expected {wanted}, found {text}", write
    advice = surprise(node.text) if node.plain else None
    if kind == "string_type":
        reason = f"{text} is {advice.read_as}" if advice else f"expected text, found the {_kind_of(node)} {text}"
        return f"{key}: {reason}", f"Write {json.dumps(node.text, ensure_ascii=False)}." if node.text else ""
    if advice:
        value = advice.value if kind != "bool_type" or advice.value in ("true", "false") else ""
        return f"{key}: {text} is {advice.read_as}, expected {wanted}", f"Write {value}." if value else ""
    if not node.plain and type(plain_value(node.text)) is {"int_type": int, "bool_type": bool}.get(kind):
        return f"{key}: expected {wanted}, found the text {text}", f"Write {node.text} without quotes."
    return f"{key}: expected {wanted}, found {text}", write


def _kind_of(node: Scalar) -> str:
    value = plain_value(node.text) if node.plain else node.text
    names = {bool: "truth value", int: "number", float: "number", str: "text"}
    return names.get(type(value), "empty value")


def _shown(node: Node | None, key: str) -> str:
    """The value for a message; never what may be a secret."""
    if isinstance(node, Scalar):
        return "(not shown)" if "password" in key and "file" not in key else show(node.text) or "nothing"
    return "a list" if isinstance(node, Sequence) else "a mapping"


def show(text: str) -> str:
    """Text from the user's file as it may stand in a message: one line, short, nothing that moves the cursor."""
    line = text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
    return line if len(line) <= 60 else f"{line[:57]}…"


def _unknown_key_hint(key: str, path: Path) -> str:
    """The nearest key here, or where the key has its place."""
    model = _model_at(path)
    for section, field in model.model_fields.items():
        inner = next(_models(field.annotation), None)
        if inner and key in inner.model_fields and not nearest(key, model.model_fields):
            return f"Did you mean {section}.{key}?"
    return did_you_mean(key, model.model_fields)


def _model_at(path: Path) -> type[BaseModel]:
    """The model that judges what stands at *path*."""
    model: type[BaseModel] = ClusterFile
    skip = False
    for step in path:
        if skip or not isinstance(step, str) or step not in model.model_fields:
            skip = False
            continue
        annotation = model.model_fields[step].annotation
        skip = "dict" in str(annotation)
        model = next(_models(annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
