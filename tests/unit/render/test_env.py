"""The renderer: strict, sandboxed, overridable, and its errors say template and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.errors import TemplateError
from kbootstrap.render.env import Renderer, to_yaml
from kbootstrap.render.systemd import argument


def _renderer(root: Path, **templates: str) -> Renderer:
    for name, text in templates.items():
        (root / f"{name}.j2").write_text(text)
    return Renderer([root])


def test_blocks_leave_no_blank_lines_and_the_last_newline_stays(tmp_path: Path) -> None:
    renderer = _renderer(tmp_path, a="{% for x in xs %}\n  {% if x %}\n{{ x }}\n  {% endif %}\n{% endfor %}\n")
    assert renderer.render("a.j2", {"xs": [1, 0, 2]}) == "1\n2\n"


def test_an_undefined_name_is_an_error_with_template_and_line(tmp_path: Path) -> None:
    renderer = _renderer(tmp_path, a="one\n{% include 'b.j2' %}\n", b="x\ny\n{{ host.nmae }}\n")
    with pytest.raises(TemplateError, match=r"^b\.j2:3  .*has no attribute 'nmae'"):
        renderer.render("a.j2", {"host": {}})


def test_bad_syntax_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"^a\.j2:2  "):
        _renderer(tmp_path, a="x\n{% fro %}\n").render("a.j2", {})


def test_a_missing_template_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"^gone\.j2: no such template$") as caught:
        _renderer(tmp_path).render("gone.j2", {})
    assert str(tmp_path) in caught.value.hint


def test_a_template_cannot_leave_the_sandbox(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="unsafe"):
        _renderer(tmp_path, a="{{ x.__class__.__mro__ }}").render("a.j2", {"x": 1})


def test_a_template_cannot_change_what_it_sees(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="unsafe"):
        _renderer(tmp_path, a="{{ xs.append(1) }}").render("a.j2", {"xs": []})


def test_the_first_root_wins_and_is_reported(tmp_path: Path) -> None:
    over, ours = tmp_path / "over", tmp_path / "ours"
    for root, text in ((over, "theirs"), (ours, "ours")):
        (root / "etcd").mkdir(parents=True)
        (root / "etcd" / "a.j2").write_text(text)
    (over / "new.j2").write_text("")
    renderer = Renderer([over, ours])
    assert renderer.render("etcd/a.j2", {}) == "theirs"
    assert renderer.overridden() == ("etcd/a.j2",)
    assert Renderer([tmp_path / "none", ours]).overridden() == ()


def test_yaml_keeps_the_order_of_keys_and_indents_lists() -> None:
    assert to_yaml({"b": [{"x": 1}], "a": "on"}) == "b:\n  - x: 1\na: 'on'\n"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("--a=b", "--a=b"),
        ("--path=${CREDENTIALS_DIRECTORY}/ca.crt", "--path=${CREDENTIALS_DIRECTORY}/ca.crt"),
        ("--rate=5%", "--rate=5%%"),
        ("--v=$HOME ${X}", '"--v=$$HOME $${X}"'),
        ('--say="a b"', '"--say=\\"a b\\""'),
        ("--back=\\", '"--back=\\\\"'),
        (";", '";"'),
        ("--two=a\nb", '"--two=a\\nb"'),
    ],
)
def test_systemd_reads_back_what_was_meant(text: str, escaped: str) -> None:
    assert argument(text) == escaped
