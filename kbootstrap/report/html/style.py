"""How it looks: two palettes (the reader's system says which), one style sheet, no picture, no script, nothing fetched.

Every pair of text and ground that is used has a contrast of 4.5 : 1 or more (WCAG 2 AA); a test computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kbootstrap.report.html.markup import Html, el, join

LIGHT: Final[Mapping[str, str]] = {
    "ground": "#ffffff", "panel": "#f6f8fa", "text": "#1b1f24", "muted": "#57606a", "rule": "#d0d7de", "accent": "#0550ae",
    "ok": "#116329", "ok-ground": "#e3f5e6", "bad": "#a40e26", "bad-ground": "#ffe5e5", "warn": "#7d4e00", "warn-ground": "#fff4cf",
    "unknown": "#57606a", "unknown-ground": "#eef1f4",
}  # fmt: skip
DARK: Final[Mapping[str, str]] = {
    "ground": "#0d1117", "panel": "#161b22", "text": "#e6edf3", "muted": "#9aa4af", "rule": "#30363d", "accent": "#79c0ff",
    "ok": "#56d364", "ok-ground": "#12281a", "bad": "#ff8f87", "bad-ground": "#3d1519", "warn": "#e3b341", "warn-ground": "#302708",
    "unknown": "#9aa4af", "unknown-ground": "#21262d",
}  # fmt: skip

_SHEET: Final = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:20px 24px 60px}
h1{font-size:26px;line-height:1.2;margin:0}h1 small{font-weight:400;color:var(--muted);font-size:16px}
h2{font-size:19px;margin:44px 0 8px;padding-bottom:6px;border-bottom:1px solid var(--rule)}h3{font-size:15px;margin:22px 0 8px}
p{margin:4px 0}a{color:inherit}.lead,.muted{color:var(--muted)}.lead{margin-bottom:12px}.bad.lead{color:var(--bad)}
code{font:.87em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code.text,code.fix{white-space:pre-wrap;overflow-wrap:anywhere}
code.fix{display:inline-block;padding:2px 8px;border-radius:4px;background:var(--panel);border:1px solid var(--rule);user-select:all}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.top{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:baseline;justify-content:space-between}
.verdict{font-size:17px;font-weight:600;padding:8px 14px;border-radius:6px;margin:14px 0;border-left:5px solid}
.ok{color:var(--ok)}.bad{color:var(--bad)}.warn{color:var(--warn)}.unknown,.none{color:var(--unknown)}
.verdict.ok{background:var(--ok-ground)}.verdict.bad{background:var(--bad-ground)}.verdict.warn{background:var(--warn-ground)}
.verdict.unknown{background:var(--unknown-ground)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:10px;margin:0;padding:0;list-style:none}
.tiles a{display:block;height:100%;padding:8px 12px;border:1px solid var(--rule);border-radius:6px;background:var(--panel);text-decoration:none}
.tiles a:hover,.tiles a:focus-visible{border-color:var(--accent)}
.tiles .name{display:block;color:var(--muted);font-size:.87em}.tiles .value{display:block;font-weight:600;overflow-wrap:anywhere}
.tiles .more{display:block;color:var(--muted);font-size:.87em}
.issues,.blocks{list-style:none;margin:0;padding:0;display:grid;gap:8px}
.issues>li,.blocks>li{border-left:4px solid;border-radius:4px;padding:8px 12px;background:var(--panel)}
.issues div p,.blocks p,.blocks dl{color:var(--text)}.issues p{margin:0}
.issues .where{font-weight:600;overflow-wrap:anywhere}.issues .sign{margin-right:6px}
.issues>li{display:grid;grid-template-columns:minmax(70px,120px) 1fr minmax(0,38%);gap:4px 14px}
.issues .fix,.blocks .fix{color:var(--text);background:var(--ground)}
.blocks dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:4px 0 0}.blocks dt,.facts dt{color:var(--muted)}
.blocks dd,.facts dd{margin:0;min-width:0;overflow-wrap:anywhere}.blocks .muted{color:var(--muted)}
.blocks li:target{outline:2px solid var(--accent)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:14px 0}.facts dt{grid-column:1}.facts dd{grid-column:2}
.scroll{overflow-x:auto;position:relative}.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;font-size:.93em}caption{text-align:left;color:var(--muted);padding:0 0 6px;font-size:.87em}
th,td{text-align:left;padding:5px 10px;border-bottom:1px solid var(--rule);vertical-align:top}
thead th{color:var(--muted);font-weight:600;vertical-align:bottom}
tbody th{font-weight:600}.grid tbody th{font-weight:400;min-width:220px}.grid td:not([class]){min-width:120px}
.grid td,.grid .host{text-align:center;white-space:nowrap}
.grid td{vertical-align:middle}.grid tbody th{vertical-align:middle;position:sticky;left:0;background:var(--ground)}
.grid .host{white-space:normal;overflow-wrap:anywhere;min-width:44px;max-width:150px}
.grid .many{min-width:150px;max-width:240px}
.grid td:not([class]){text-align:left;white-space:normal;color:var(--muted);font-size:.87em}
.grid .sign{font-weight:700}.grid .value{font-size:.87em}.grid a{text-decoration:none;border-bottom:1px dotted}
.grid td.ok{background:var(--ok-ground)}.grid td.bad{background:var(--bad-ground)}.grid td.warn{background:var(--warn-ground)}
.grid td.unknown{background:var(--unknown-ground)}.grid td[class]{box-shadow:inset 2px 0 var(--ground)}
.dense td[class]{padding:5px 6px}
.turned .host span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap}.turned .host{min-width:0;padding:5px 3px}
.turned td[class]{padding:5px 4px}.turned .minor{display:none}
.list td p{margin:0 0 3px}.whole{white-space:nowrap}.word{white-space:nowrap;font-weight:600}.number{text-align:right;white-space:nowrap}
.list th[scope=row]{white-space:nowrap}.hosts code{white-space:nowrap}.hosts .fix{white-space:pre-wrap}
.legend{color:var(--muted);font-size:.87em;margin-top:8px}.key{margin-right:14px}
details{margin-top:12px}summary{cursor:pointer;color:var(--accent)}
footer{margin-top:48px;padding-top:10px;border-top:1px solid var(--rule);color:var(--muted);font-size:.87em}
.drawing{display:block;width:100%;min-width:820px;height:auto;font-size:13px;fill:var(--text)}
.drawing .middle{text-anchor:middle}.drawing .end{text-anchor:end}.drawing .strong{font-weight:600}.drawing .muted{fill:var(--muted)}
.drawing text.ok{fill:var(--ok)}.drawing text.bad{fill:var(--bad)}.drawing text.warn{fill:var(--warn)}.drawing text.unknown{fill:var(--unknown)}
.drawing .band{fill:var(--panel);stroke:var(--rule)}.drawing .way{fill:var(--ground);stroke:var(--muted)}
.drawing .card{fill:var(--ground);stroke:var(--rule)}.drawing .card.bad{fill:var(--bad-ground);stroke:var(--bad)}
.drawing .card.silent{stroke-dasharray:6 4}
.drawing .arrow{stroke:var(--muted);stroke-width:1.5}.drawing marker path{fill:var(--muted)}
.drawing line.grid{stroke:var(--rule)}.drawing line.now{stroke:var(--accent);stroke-width:1.5}.drawing text.now{fill:var(--accent)}
.drawing .bar.ok{fill:var(--ok);opacity:.55}.drawing .bar.warn{fill:var(--warn)}.drawing .bar.bad{fill:var(--bad)}
.drawing .mark{stroke:var(--text);stroke-width:1.5}
@media (max-width:700px){main{padding:14px 12px 40px}h1{font-size:22px}.issues>li,.blocks dl{grid-template-columns:1fr;gap:2px}
.blocks dt{margin-top:4px}}
@media print{main{max-width:none;padding:0}body{font-size:11px}h1{font-size:20px}h2{font-size:15px;margin-top:22px}
.scroll{overflow:visible}.drawing{min-width:0}
.issues>li,.blocks>li,tr,.tiles a{break-inside:avoid}h2,h3,caption{break-after:avoid}.tiles a{background:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
@page{size:A4 landscape;margin:12mm}
"""


def sheet() -> str:
    """The style sheet. On paper the light palette holds whatever the screen shows."""
    return f":root{{{_variables(LIGHT)}}}@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}" + _SHEET.replace("\n", "")


def _variables(palette: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in palette.items())


def document(title: str, *parts: Html) -> str:
    """A whole page. Its policy lets a browser fetch nothing, and run nothing, even if something of that kind came into it."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", Html(sheet())),
    )
    return f"<!doctype html>\n{el('html', head, el('body', el('main', join(parts))), lang='en')}\n"
