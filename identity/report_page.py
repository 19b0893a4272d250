"""A run report as one HTML page without scripts: charts are inline SVG, made by Splink and vl-convert."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import vl_convert

from identity.comparable import COLUMNS, LIST_COLUMNS
from identity.engine import open_engine
from identity.model import Model
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
figcaption { color: #5b6675 }
svg { max-width: 100%; height: auto }
"""


def render_page(report: Mapping[str, Any], model: Model) -> str:
    """Return the page. It loads nothing from anywhere and holds no value of a person."""
    weights, parameters = charts(model)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Linkage run {escape(report["run_id"])}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>
<h1>Linkage run</h1><p class="run">{escape(report["run_id"])}</p>
{_figures(report)}
{_notices(report["notices"])}
<h2>Golden IDs by number of records</h2>
{_table(("records", "golden IDs"), report["cluster_sizes"].items())}
<h2>What the records hold</h2>
{_table(("attribute", "filled", "distinct values"), _coverage(report["coverage"]))}
<h2>Which pairs were compared</h2>
<p>Records that agree on a rule are compared; blocks too large to tell anything are dropped.</p>
{_table(("rule", "pairs", "largest block", "dropped blocks", "dropped pairs"), _blocking(report["blocking"]))}
<h2>What agreement is worth</h2>
<figure><figcaption>Match weight in bits of each level, one person against unrelated people.</figcaption>
{weights}</figure>
<figure><figcaption>How often each level occurs within one person (m) and among strangers (u).</figcaption>
{parameters}</figure>
<h2>Parameters</h2>
<p>m: pairs of one person; u: unrelated people; h: two people of one household.
A pair joins at {model.threshold:g} bits; from {model.review_threshold:g} bits on it is shown for review.</p>
{_table(("comparison", "level", "m", "u", "h"), _parameters(model))}
<h2>Time</h2>
{_table(("step", "seconds"), report["seconds"].items())}
</body></html>
"""


def charts(model: Model) -> tuple[str, str]:
    """Return Splink's match-weight chart and m/u chart of the model as SVG."""
    with open_engine(threads=1) as engine:
        columns = ", ".join(
            f"{name} VARCHAR[]" if name in LIST_COLUMNS else f"{name} VARCHAR" for name in COLUMNS
        )
        engine.execute(f"CREATE TABLE records (unique_id BIGINT, {columns})")
        probability = 1 / (1 + 2**-model.prior)
        visualisations = linker(engine, model.comparisons, prior=probability).visualisations
        return (
            _svg(visualisations.match_weights_chart().chart_dict),
            _svg(visualisations.m_u_parameters_chart().chart_dict),
        )


def _svg(specification: Mapping[str, Any]) -> str:
    still = {name: part for name, part in specification.items() if name != "title"}  # it tells how to zoom
    return str(vl_convert.vegalite_to_svg(json.dumps(still, default=str)))


def _figures(report: Mapping[str, Any]) -> str:
    shown = {
        "records": report["records"],
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


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    heading = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def _coverage(coverage: Mapping[str, Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [(name, f"{found['coverage']:.1%}", found["distinct"]) for name, found in coverage.items()]


def _blocking(rules: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(rule.values()) for rule in rules]


def _parameters(model: Model) -> list[tuple[Any, ...]]:
    return [
        (item.name, level.label, level.m, level.u, level.h)
        for item in model.comparisons
        for level in item.levels
    ]
