"""The page is a function of its value: complete, escaped, readable by everybody, and it fetches nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from kbootstrap.engine import report
from kbootstrap.model.finding import Finding
from kbootstrap.report.html import data, matrix_page, matrix_section, page, style, verdict
from kbootstrap.report.html.markup import Html, el
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import State, View
from kbootstrap.testing.builders import THE_DAY, a_cluster
from tests import views

SHAPES = {
    "three and two": views.well(a_cluster(3, 2)),
    "five masters": views.well(a_cluster(5, 0)),
    "one host": views.well(a_cluster(1, 0)),
    "seven and forty": views.well(views.big(7, 40)),
    "in trouble": views.in_trouble(),
    "offline": views.offline(a_cluster(3, 2)),
    "offline, without a PKI": views.offline(a_cluster(3, 2), pki=False),
    "silent": views.silent(a_cluster(3, 2)),
    "bare": views.bare(a_cluster(3, 2)),
}
VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    """Elements with their attributes and all text; fails where an element does not end as it began."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return squeezed("".join(self.texts))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.fixture(params=SHAPES, name="view")
def _view(request: pytest.FixtureRequest) -> View:
    return SHAPES[request.param]


def test_the_same_value_gives_the_same_page(view: View) -> None:
    assert page(view) == page(replace(view))


def test_it_fetches_nothing_and_runs_nothing(view: View) -> None:
    for tag, attributes in Reader(page(view)).elements:
        assert tag not in {"script", "img", "iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset", "action"}]
        assert attributes.get("href", "#").startswith("#") or attributes["href"] == "data:,"
    assert "@import" not in style.sheet()
    assert "url(" not in style.sheet()


def test_every_link_leads_somewhere_and_no_id_is_there_twice(view: View) -> None:
    elements = Reader(page(view)).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for tag, a in elements if tag == "a"} <= set(ids)


def test_those_who_cannot_see_it_are_told_the_same(view: View) -> None:
    elements = Reader(page(view)).elements
    text = page(view)
    assert dict(elements)["html"]["lang"] == "en"
    assert all("scope" in attributes for tag, attributes in elements if tag == "th")
    tables, drawings = [tag for tag, _ in elements if tag == "table"], [a for tag, a in elements if tag == "svg"]
    assert text.count("<caption>") == len(tables)
    assert all(attributes["role"] == "img" for attributes in drawings)
    assert len(re.findall(r"<svg[^>]*><title>[^<]+</title><desc>[^<]+</desc>", text)) == len(drawings) > 0


def test_every_state_has_a_sign_and_a_word_beside_its_colour(view: View) -> None:
    for found in re.findall(r'<td class="(ok|bad|warn|unknown)" title="([^"]+)">(.*?)</td>', page(view)):
        _, word, inner = found
        assert word
        assert re.search(r'<span class="sign" aria-hidden="true">[✓✗!?]</span><span class="unseen">[^<]+</span>', inner)


def said(view: View) -> Iterator[str]:
    """Every text of the JSON that a reader must find on the page."""
    found = data(view)
    yield from (found["cluster"], found["kubernetes"], *found["versions"].values())
    yield found["verdict"]["text"][1:]
    for issue in found["issues"]:
        yield from (issue["what"], issue["hint"], issue["rule"], folded(issue["where"]))
    for finding in found["findings"] or ():
        yield from (finding["what"], finding["hint"], finding["evidence"], finding["why"], finding["waived"], finding["check"])
    for row in found["matrix"]["rows"]:
        yield from (row["ports"], row["purpose"].removesuffix(", loopback only"))
        yield from () if row["who"] == "the host itself" else (row["who"],)
    for block in found["matrix"]["blocks"]:
        yield from (block["rule"], block["hint"], block["chain"], folded(block["targets"]), folded(block["sources"]), ", ".join(block["ports"]))
    for each in found["certificates"]:
        yield from (each["id"], each["subject"], each["issuer"], each["not_after"][:10])
    for place in found["places"]:
        yield from (place["name"], place["address"], place["pod_range"])
    for host in found["status"]["hosts"] if found["status"] else ():
        yield from (host["reason"], host["hint"], host["os"], host["kernel"])
        for unit in host["units"]:
            yield from (unit["name"].removesuffix(".service"), unit["version"])


def test_the_page_says_what_the_json_says(view: View) -> None:
    text = Reader(page(view)).text
    missing = [each for each in said(view) if squeezed(each).strip() not in text]
    assert missing == []
    json.dumps(data(view))


def test_what_hosts_say_is_text_whatever_it_is() -> None:
    view = views.in_trouble()
    text = page(view)
    assert "<script" not in text
    assert "<img" not in text
    assert views.HOSTILE in Reader(text).text


def test_a_hostile_name_of_a_host_is_text_everywhere() -> None:
    spec = a_cluster(3, 2)
    spec = replace(spec, name=views.HOSTILE, hosts=tuple(replace(host, name=f"{host.name}{views.HOSTILE}") for host in spec.hosts))
    text = page(replace(views.well(spec), certificates=()))
    Reader(text)
    assert "<script" not in text
    assert "<img" not in text
    assert "onerror" not in re.findall(r"<[^>]*>", text)


def test_signs_that_hide_what_a_text_says_are_shown() -> None:
    assert el("p", "a\u202eb\x1b[31mc\x00") == "<p>a\ufffdb\ufffd[31mc\ufffd</p>"
    assert el("a", Html("<b>"), title='"&') == '<a title="&quot;&amp;"><b></a>'


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (["m1", "m2", "m3", "w1", "w2"], "m1–m3, w1, w2"),
        (["n08", "n09", "n10", "n11"], "n08–n11"),
        (["n8", "n9", "n10"], "n8–n10"),
        (["n9", "n010", "n011"], "n9, n010, n011"),
        (["a", "b"], "a, b"),
        (["1", "2", "3"], "1–3"),
        (["m1", "w2", "w3"], "m1, w2, w3"),
        ([], ""),
    ],
)
def test_names_in_a_row_are_a_range(names: list[str], want: str) -> None:
    assert folded(names) == want


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("palette", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(palette: dict[str, str]) -> None:
    pairs = [(text, ground) for text in ("text", "muted", "accent", "ok", "bad", "warn", "unknown") for ground in ("ground", "panel")]
    pairs += [(state, f"{state}-ground") for state in ("ok", "bad", "warn", "unknown")] + [("text", "bad-ground"), ("muted", "bad-ground")]
    pairs += [("ok", "bad-ground")]  # a good line on the card of a bad host
    weak = {}
    for text, ground in pairs:
        dark, light = sorted((luminance(palette[text]), luminance(palette[ground])))
        if (light + 0.05) / (dark + 0.05) < 4.5:
            weak[text, ground] = round((light + 0.05) / (dark + 0.05), 2)
    assert weak == {}


@pytest.mark.parametrize(
    ("name", "state", "begins"),
    [
        ("three and two", State.OK, "healthy"),
        ("in trouble", State.BAD, "not healthy: 11 problems, 4 warnings"),
        ("offline", State.UNKNOWN, "not asked"),
        ("silent", State.BAD, "no host answers"),
        ("bare", State.UNKNOWN, "not installed: nothing stands in the way"),
    ],
)
def test_the_first_word_is_the_verdict(name: str, state: State, begins: str) -> None:
    found = verdict(SHAPES[name])
    assert found.state is state
    assert found.text.startswith(begins)


def test_a_consequence_is_no_problem_of_its_own() -> None:
    of_w2 = [issue for issue in data(views.in_trouble())["issues"] if "w2" in issue["where"] and issue["section"] != "certificates"]
    assert [issue["what"] for issue in of_w2] == ["cannot be read: 10.77.0.22:22 does not answer within 10 s"]


def test_what_is_waived_is_shown_and_counts_for_nothing() -> None:
    view = replace(SHAPES["three and two"], findings=(Finding(check="swap", host="w1", what="swap is on", hint="swapoff -a", waived="it is small"),))
    assert verdict(view).text == "healthy"
    assert "Waived: it is small" in Reader(page(view)).text


def test_forty_hosts_alike_share_a_column() -> None:
    heads = re.findall(r'<th scope="col" class="host[^"]*"><span>([^<]+)</span>', page(SHAPES["seven and forty"]))
    assert heads == ["m1–m7", "w1–w40", "m1–m7", "w1–w40"]


def test_a_certificate_past_its_end_and_one_near_it() -> None:
    at = {days: data(views.well(a_cluster(3, 2), now=THE_DAY + timedelta(days=days))) for days in (100, 350, 400)}
    ends = {days: [i for i in found["issues"] if i["section"] == "certificates"] for days, found in at.items()}
    assert ends[100] == []
    assert [i["grave"] for i in ends[350]] == [False]
    assert [i["grave"] for i in ends[400]] == [True]
    assert "51 certificates expired" in ends[400][0]["what"]


def test_the_matrix_alone_is_a_page_too() -> None:
    spec = a_cluster(3, 2)
    hosts = [host.name for host in spec.hosts]
    proofs = views.proofs(spec, [views.dropped("m2", ["etcd-peer"], sources=["m1"], rule=views.HOSTILE)])
    section = matrix_section(report.rows(spec), proofs, hosts=hosts)
    assert section in matrix_page("lab", report.rows(spec), proofs, hosts=hosts)
    assert views.HOSTILE in Reader(section).text
    assert "nobody asked yet" in matrix_section(report.rows(spec), hosts=hosts, note="nobody asked yet")
