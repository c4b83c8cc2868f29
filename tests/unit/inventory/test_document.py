"""Reading YAML: every refusal at its place, and nothing but findings for any text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kbootstrap.errors import InventoryError
from kbootstrap.inventory import check
from kbootstrap.inventory.document import MAX_CHARACTERS, parse
from kbootstrap.inventory.finding import Finding
from kbootstrap.inventory.loading import refuse

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(8)
)

REFUSED = {
    "empty": ("", "c.yml:1:1  the file is empty."),
    "only a comment": ("# nothing\n", "c.yml:1:1  the file is empty."),
    "a list": ("- a\n", "c.yml:1:1  expected `key: value` lines at the top."),
    "duplicate key": ("a: 1\nb:\n  c: 1\n  c: 2\n", "c.yml:4:3  c is given twice (first at line 3). Keep one of them."),
    "tab": ("a:\n\tb: 1\n", "c.yml:2:1  a tab in the indentation. YAML is indented by spaces only."),
    "byte order mark": ("\ufeffa: 1\n", "c.yml:1:1  the file starts with a byte order mark (U+FEFF). Save it as UTF-8 without BOM."),
    "python tag": ("a: !!python/object/apply:os.system [ls]\n", "c.yml:1:4  the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed."),
    "own tag": ("a:\n- !vault x\n", "c.yml:2:3  the tag !vault is not allowed."),
    "merge key": ("a: &a {x: 1}\nb:\n  <<: *a\n", "c.yml:3:3  merge keys (<<) are not read. Use groups: for settings that hosts share."),
    "unknown alias": ("a: *b\n", "c.yml:1:4  the alias *b names no anchor before it."),
    "alias of itself": ("a: &a [*a]\n", "c.yml:1:8  the alias *a names no anchor before it."),
    "alias bomb": (BOMB, "more than 100000 values after aliases are expanded."),
    "too deep": ("a: " + "[" * 40 + "]" * 40, "c.yml:1:34  nested deeper than 30 levels."),
    "far too deep": ("a: " + "[" * 100_000, "nested deeper than 30 levels."),
    "two documents": ("a: 1\n---\nb: 1\n", "c.yml:2:1  a second YAML document starts here. One file describes one cluster."),
    "a list as key": ("? [a]\n: b\n", "c.yml:1:3  a key must be a single word."),
    "yes as key": ("labels: {yes: a}\n", 'c.yml:1:10  the key yes is true for some YAML readers and text for others. Write "yes".'),
    "open quote": ('a: "b\n', "YAML cannot be read here:"),
    "open bracket": ("a: [1,\nb: 2", "YAML cannot be read here:"),
    "NUL": ("a: b\nc: \0\n", "c.yml:2:4  the character U+0000 (control character) is not allowed here, not even in a comment. Remove it."),
    "escape sequence": ("a: \x1b[2J\n", "c.yml:1:4  the character U+001B (control character) is not allowed here"),
    "right to left": ("a: b\n# x \u202e y\n", "c.yml:2:5  the character U+202E (right-to-left override) is not allowed here, not even in a comment."),
    "zero width": ("a: m\u200b1\n", "c.yml:1:5  the character U+200B (zero width space) is not allowed here"),
    "escaped control": ('a: "x\\u202ey"\n', "c.yml:1:4  the character U+202E (right-to-left override) is not allowed."),
    "half a surrogate": ("a: \ud800\n", "c.yml:1:4  the character U+D800"),
    "50 MB": ("a" * 50_000_000, f"c.yml:1:1  the file has 50000000 characters, at most {MAX_CHARACTERS} are read."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_place(name: str) -> None:
    text, expected = REFUSED[name]
    _, findings = parse(text, "c.yml")
    assert any(expected in str(finding) for finding in findings), list(map(str, findings))
    assert all(finding.severity == "error" for finding in findings)
    assert check(text, "c.yml")[0] is None


def test_an_anchor_is_read_where_it_is_small() -> None:
    document, findings = parse("a: &a {x: 1}\nb: *a\n", "c.yml")
    assert not findings
    assert document.root.entries["b"] == document.root.entries["a"]


def test_places_are_those_of_an_editor() -> None:
    document, _ = parse("a:\n  b: [x, {c: d}]\n", "c.yml")
    assert str(document.mark(("a", "b"))) == "2:3"
    assert str(document.mark(("a", "b", 1, "c"), value=True)) == "2:14"
    assert str(document.mark(("a", "nowhere", "else"))) == "1:1"


PARTS = """cluster hosts masters m1 address ssh user taints groups labels kubelet config
10.0.0.1 1.30 012 yes ~ - { } [ ] , &a *a !!x " ' | > # % ? ---"""
YAML_LIKE = st.lists(st.sampled_from([*PARTS.split(), ": ", ":\n  ", "\n", "\n    ", "\t", " "]), max_size=40).map("".join)


def _refused(findings: tuple[Finding, ...]) -> bool:
    try:
        refuse(findings, "c.yml")
    except InventoryError as error:
        return bool(error.problems) and error.exit_code == 2
    return False


@given(st.one_of(st.text(), YAML_LIKE, st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))))
@settings(max_examples=300)
@example("a: &a [*a]")
@example("hosts: {masters: [m1]}")
@example("hosts: {masters: {m1: {taints: [[]]}}}")
def test_any_text_gives_findings_and_never_anything_else(text: str) -> None:
    spec, findings = check(text, "c.yml")
    assert spec is None
    assert _refused(findings)
    assert all(str(finding).startswith("c.yml:") and "\n" not in str(finding) for finding in findings)


@given(st.sampled_from(["groups", "hosts", "ssh", "kubelet", "extra_args", "network", "labels", "taints", "versions", "endpoint"]), st.data())
@settings(max_examples=200)
def test_any_value_at_any_key_gives_findings_and_never_anything_else(key: str, data: st.DataObject) -> None:
    leaves = st.sampled_from(["x", "1", "yes", "~", "''", "1.30", "10.0.0.1", "m1", "a=b:NoSchedule"])
    keys = st.sampled_from(["masters", "m1", "user", "config", "kube-apiserver", "pods", "hosts", "ssh", "sudo", "kind", "etcd"])
    tree = data.draw(
        st.recursive(
            leaves,
            lambda inner: st.one_of(
                st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
                st.dictionaries(keys, inner, max_size=3).map(lambda d: "{" + ", ".join(f"{k}: {v}" for k, v in d.items()) + "}"),
            ),
        )
    )
    spec, findings = check(f"cluster: a\nkubernetes: 1.36.3\nhosts: {{masters: {{m1: {{address: 10.0.0.1}}}}}}\n{key}: {tree}\n", "c.yml")
    assert (spec is None) == any(finding.severity == "error" for finding in findings)
