"""A run report as one HTML file: Altair's and Splink's charts, drawn by the Vega that the file itself holds.

The page's content security policy lets it run its one script, known by its hash, and load nothing at all:
whatever a chart says, the page can tell nobody. Vega compiles its expressions, hence 'unsafe-eval', which
without a network and without foreign text reaches nothing. Without scripts the tables remain.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.metadata import version
from typing import Any, Final

import vl_convert
from altair.utils.schemapi import debug_mode

from identity.comparable import COLUMNS, LIST_COLUMNS
from identity.engine import open_engine
from identity.model import Model
from identity.report_charts import Figure, figures
from identity.splink_bridge import linker

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2430 }
h1 { font-size: 1.6rem; margin-bottom: 0 }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem }
p.run { color: #5b6675; margin-top: .2rem }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem;
     margin: 1.4rem 0 }
dl div { background: #f3f5f8; border-radius: .5rem; padding: .7rem .9rem }
dt { color: #5b6675; font-size: .85rem }
dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { text-align: right; padding: .28rem .6rem; border-bottom: 1px solid #e2e7ee }
th { color: #5b6675; font-weight: 600 }
th:first-child, td:first-child { text-align: left }
figure { margin: 1rem 0; overflow-x: auto }
h2 + p { color: #5b6675; margin: .2rem 0 .6rem; max-width: 46rem }
summary { color: #5b6675; cursor: pointer; margin: .4rem 0 }
"""


_DRAW: Final = """
window.addEventListener("DOMContentLoaded", async () => {
  const drawn = [...document.querySelectorAll("script[data-chart]")].map((data) =>
    vegaEmbed(document.getElementById(data.dataset.chart), JSON.parse(data.textContent),
                     {actions: false, renderer: "svg", tooltip: {theme: "light"}}));
  await Promise.all(drawn);
  document.documentElement.dataset.charts = drawn.length;
});
"""


def render_page(
    report: Mapping[str, Any], model: Model, script: str, history: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the page. It loads nothing from anywhere and holds no value of a person.

    `script` is that of `chart_script`. `history`: what `identity.run_history` found of the runs so far, this
    one last.
    """
    with debug_mode(False):  # what it would check, tests/identity/test_report.py does
        return _page(report, model, script, history)


def _page(report: Mapping[str, Any], model: Model, script: str, history: Sequence[Mapping[str, Any]]) -> str:
    policy = (
        f"default-src 'none'; script-src 'sha256-{_hash(script)}' 'unsafe-eval'; style-src 'unsafe-inline';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )
    drawn = {figure.name: figure for figure in figures(report, history)}
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Linkage run {escape(report["run_id"])}</title>
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>
<script>{script}</script></head><body>
<h1>Linkage run</h1><p class="run">{escape(report["run_id"])}{_finished(report)}</p>
<noscript><p>The charts need scripts; every figure also stands in a table.</p></noscript>
{_totals(report)}
{_notices([*_gates(report), *report["notices"]])}
{_section(drawn, "cluster-sizes")}
{_section(drawn, "match-weights")}
{_section(drawn, "threshold-choice")}
{_seams(report.get("seams"))}
{_section(drawn, "contact-classes")}
{_section(drawn, "canaries")}
{_section(drawn, "drift")}
<h2>What the records hold</h2>
{_table(("attribute", "filled", "distinct values"), _coverage(report["coverage"]))}
{_section(drawn, "largest-blocks")}
<p>Records that agree on a rule are compared; large blocks are thinned where one person
may fill them (each record is compared with a few others), and dropped where they tell nothing.</p>
{_table(_BLOCKING, _blocking(report["blocking"]))}
{"".join(_drawn(figure) for figure in _model_figures(model))}
<h2>Parameters</h2>
<p>m: pairs of one person; u: unrelated people; h: two people of one household.
A pair joins at {model.threshold:g} bits; from {model.review_threshold:g} bits on it is shown for review.</p>
{_table(("comparison", "level", "m", "u", "h"), _parameters(model))}
<h2>Time</h2>
{_table(("step", "seconds"), report["seconds"].items())}
</body></html>
"""


SCRIPT_NAME: Final = f"charts-{version('vl-convert-python')}-{sha256(_DRAW.encode()).hexdigest()[:8]}.js"
"""Another release of Vega, or other lines of ours, make another script."""


@cache
def chart_script() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, and the lines that draw this page's charts.

    Bundling it takes two seconds: what is kept of it under SCRIPT_NAME is as good.
    """
    return vl_convert.javascript_bundle(_DRAW).replace("</script", "<\\/script")


def _hash(script: str) -> str:
    return base64.b64encode(sha256(script.encode()).digest()).decode()


def _model_figures(model: Model) -> list[Figure]:
    """Return Splink's match-weight chart and m/u chart of the model."""
    with open_engine(threads=1) as engine:
        columns = ", ".join(
            f"{name} VARCHAR[]" if name in LIST_COLUMNS else f"{name} VARCHAR" for name in COLUMNS
        )
        engine.execute(f"CREATE TABLE records (unique_id BIGINT, {columns})")
        probability = 1 / (1 + 2**-model.prior)
        shown = linker(engine, model.comparisons, prior=probability).visualisations
        return [
            Figure(
                "agreement",
                "What agreement is worth",
                "Match weight in bits of each level, one person against unrelated people.",
                dict(shown.match_weights_chart().chart_dict),
            ),
            Figure(
                "parameters",
                "How often each level occurs",
                "Within one person (m) and among strangers (u).",
                dict(shown.m_u_parameters_chart().chart_dict),
            ),
        ]


def _finished(report: Mapping[str, Any]) -> str:
    if not report.get("finished_at"):
        return ""
    return f", {datetime.fromtimestamp(report['finished_at'] / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _section(drawn: Mapping[str, Figure], name: str) -> str:
    return _drawn(drawn[name]) if name in drawn else ""


def _drawn(figure: Figure) -> str:
    """Return the heading, the caption, the place of the chart and its data. In them `<` ends no script."""
    unsaid = {"title", "$schema"}  # Splink's title tells how to zoom; its schema is an older one than Vega's
    still = {name: part for name, part in figure.spec.items() if name not in unsaid}
    data = json.dumps(still, default=str).replace("<", "\\u003c")
    return (
        f"<h2>{escape(figure.title)}</h2><p>{escape(figure.caption)}</p>"
        f'<figure id="{figure.name}" role="img" aria-label="{escape(figure.title)}"></figure>'
        f'<script type="application/json" data-chart="{figure.name}">{data}</script>{_folded(figure.rows)}'
    )


def _gates(report: Mapping[str, Any]) -> list[str]:
    """Return why the run might not have been published, and why it was."""
    outcome = report.get("outcome") or {}
    found = [str(reason) for reason in outcome.get("gates") or ()]
    if outcome.get("forced"):
        found.append(f"published nevertheless, because: {outcome['forced']}")
    return found


def _totals(report: Mapping[str, Any]) -> str:
    shown = {
        "records that may be linked": report["records"],
        "golden IDs": report["golden_ids"],
        "pairs compared": report["compared_pairs"],
        "pairs accepted": report["accepted_pairs"],
        "pairs for review": report["review_pairs"],
        "peak memory, MB": report["peak_rss_mb"],
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{value:,}</dd></div>" for name, value in shown.items())
    return f"<dl>{rows}</dl>"


def _notices(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>Notices</h2><ul>{items}</ul>"


def _seams(found: Mapping[str, Any] | None) -> str:
    """Return how many golden IDs hang by one link, the weakest of these, and how often the guard refused."""
    if not found:
        return ""
    rows = [
        (
            str(bridge["golden_no"]),
            " ".join(map(str, bridge["records"])),
            "a steward's word" if bridge["certain"] else f"{bridge['weight']:.2f}",
            "{} + {}".format(*bridge["parts"]),
        )
        for bridge in found["weakest"]
    ]
    head = ("golden number", "records that it links", "bits", "records on either side")
    return f"""<h2>Bridges</h2>
<p>{found["bridges"]:,} links in {found["golden_ids"]:,} golden IDs hold two parts of two records or more
together, and no other link stands in for them: if one is wrong, two people are one. Look at the weakest
first. The guard refused to join {found["refused"]:,} pairs of golden IDs, whose records contradict their
link.</p>
{_table(head, rows) if rows else ""}"""


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    heading = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"


def _folded(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    table = _table(list(rows[0]), [list(row.values()) for row in rows])
    return f"<details><summary>As a table</summary>{table}</details>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def _coverage(coverage: Mapping[str, Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [(name, f"{found['coverage']:.1%}", found["distinct"]) for name, found in coverage.items()]


_BLOCKING: Final = (
    "rule", "pairs", "largest block", "dropped blocks", "dropped pairs", "thinned blocks",
)  # fmt: skip


def _blocking(rules: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(rule.values()) for rule in rules]


def _parameters(model: Model) -> list[tuple[Any, ...]]:
    return [
        (item.name, level.label, level.m, level.u, level.h)
        for item in model.comparisons
        for level in item.levels
    ]
