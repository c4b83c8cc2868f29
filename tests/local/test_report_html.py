"""The page in a real browser: it is drawn, nothing is complained about, nothing is asked of anybody, and it says what the JSON says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kbootstrap.report.html import data, page
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import View
from kbootstrap.testing.builders import a_cluster
from tests import views

_DEADLINE_S = 120
_PAGES = {
    "in-trouble": views.in_trouble(),
    "well": views.well(a_cluster(3, 2)),
    "offline": views.offline(a_cluster(5, 0)),
    "big": views.well(views.big(7, 40)),
}
_MEASURE = "<script>addEventListener('load',()=>{document.title='width '+document.documentElement.scrollWidth+' of '+innerWidth})</script>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Headless Chromium with a profile of its own, in which no name resolves."""

    program: str
    home: Path

    def run(self, *arguments: str, width: int = 1280, height: int = 2000) -> tuple[str, str]:
        """Its standard output, and the console's messages of the page (from standard error)."""
        argv = [
            self.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
            f"--user-data-dir={self.home / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            "--enable-logging=stderr", "--virtual-time-budget=2000", f"--window-size={width},{height}", *arguments,
        ]  # fmt: skip
        environment = {**os.environ, "HOME": str(self.home)}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_DEADLINE_S, check=True, env=environment)
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    return Browser(program=program, home=tmp_path_factory.mktemp("chromium"))


def shown(dom: str) -> str:
    """The text of a document as the browser has built it."""
    body = dom[dom.index("<body") :]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", body)))


@pytest.mark.parametrize("name", _PAGES)
def test_the_browser_builds_it_without_a_complaint_and_its_text_is_that_of_the_json(browser: Browser, tmp_path: Path, name: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(_PAGES[name]))
    dom, console = browser.run("--dump-dom", path.as_uri())
    assert console == ""
    text = shown(dom)
    missing = [each for each in _facts(_PAGES[name]) if re.sub(r"\s+", " ", each).strip() not in text]
    assert missing == []
    assert dom.count("<script") == 0


def _facts(view: View) -> Iterator[str]:
    found = data(view)
    for issue in found["issues"]:
        yield from (issue["what"], issue["hint"], issue["rule"])
    for finding in found["findings"] or ():
        yield from (finding["what"], finding["hint"], finding["evidence"], finding["waived"])
    for row in found["matrix"]["rows"]:
        yield row["ports"]
    for block in found["matrix"]["blocks"]:
        yield from (block["rule"], block["hint"], folded(block["targets"]))
    for each in found["certificates"]:
        yield from (each["id"], each["not_after"][:10])
    for place in found["places"]:
        yield from (place["name"], place["address"], place["pod_range"])
    yield from found["versions"].values()


def test_nothing_is_asked_of_anybody(browser: Browser) -> None:
    """Served by a server of our own, the page is the only thing that is fetched; the hostile texts in it name other things to fetch."""
    text = page(views.in_trouble()).replace("http://evil.example", "http://127.0.0.1")
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _, console = browser.run("--dump-dom", f"http://127.0.0.1:{server.server_port}/report.html")
        server.shutdown()
    assert asked == ["/report.html"]
    assert console == ""


def test_what_slips_in_may_neither_run_nor_fetch(browser: Browser, tmp_path: Path) -> None:
    """The page's policy is the second lock; that it is heard at all is seen by what it forbids."""
    path = tmp_path / "report.html"
    slipped = "<script>document.title='run'</script><img src='http://127.0.0.1:9/x.png'></main>"
    path.write_text(page(views.in_trouble()).replace("</main>", slipped))
    dom, console = browser.run("--dump-dom", path.as_uri())
    assert "<title>run</title>" not in dom
    assert console.count("Content Security Policy") == 2


@pytest.mark.parametrize("name", ["in-trouble", "big"])
def test_only_tables_and_drawings_scroll_sideways(browser: Browser, tmp_path: Path, name: str) -> None:
    path = tmp_path / "report.html"
    without_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page(_PAGES[name]))
    path.write_text(without_policy.replace("</main>", f"</main>{_MEASURE}"))
    dom, _ = browser.run("--dump-dom", path.as_uri(), width=500)
    measured = re.search(r"<title>width (\d+) of (\d+)</title>", dom)
    assert measured
    assert int(measured[1]) <= int(measured[2])


def test_light_and_dark_are_drawn_differently(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(views.in_trouble()))
    pictures = []
    for scheme in (0, 1):  # blink: 0 is dark, 1 is light
        picture = tmp_path / f"{scheme}.png"
        browser.run(f"--screenshot={picture}", f"--blink-settings=preferredColorScheme={scheme}", path.as_uri(), height=1000)
        pictures.append(picture.read_bytes())
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 20_000 for picture in pictures)
    assert pictures[0] != pictures[1]


def test_it_prints(browser: Browser, tmp_path: Path) -> None:
    path, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    path.write_text(page(views.in_trouble()))
    browser.run(f"--print-to-pdf={paper}", "--no-pdf-header-footer", path.as_uri())
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 2 <= pages <= 8
