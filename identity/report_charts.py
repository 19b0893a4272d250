"""The charts of a run report, as Vega-Lite made by Altair, each with the sentence that explains it. Pure.

They show counts, parameters and names of columns and rules, as the report does; no value of a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

Report = Mapping[str, Any]
Rows = list[dict[str, Any]]

WIDTH: Final = 640  # pixels
LINK, REVIEW, WARN, QUIET, OTHER = "#2563a8", "#d9a441", "#b3402a", "#8a94a3", "#5f7f5f"
_CLASSES: Final = {"personal": LINK, "household": REVIEW, "organisation": QUIET, "junk": WARN}
_MOST_RULES: Final = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: `name` is its id on the page, `caption` what to see in it, `rows` its figures as a table."""

    name: str
    title: str
    caption: str
    spec: dict[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()


def figures(report: Report, history: Sequence[Report]) -> Iterator[Figure]:
    """Yield the charts that this report's data allow; `history`: the runs so far, this one last."""
    yield _cluster_sizes(report)
    if sum(report["match_weights"]["pairs"]):
        yield _match_weights(report)
        yield _threshold(report)
    if report.get("contact_classes"):
        yield _contact_classes(report["contact_classes"])
    if any(rule["largest_block"] for rule in report["blocking"]):
        yield _blocks(report["blocking"])
    canaries = report.get("canaries") or (report.get("outcome") or {}).get("canaries")
    if canaries:
        yield _canaries(canaries)
    if len(history) > 1:
        yield _drift(history)


def _chart(rows: Rows, *, height: int = 260, width: int = WIDTH) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=rows)).properties(width=width, height=height)


def _spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return {**spec, "config": {"font": "system-ui, sans-serif", "view": {"stroke": None}}}


def _labelled_bars(
    rows: Rows, *, name: str, value: str, colour: str = LINK
) -> alt.LayerChart | alt.FacetChart:
    """Return horizontal bars in the order of the rows, each with its number at the end."""
    base = _chart(rows, height=24 * max(len(rows), 2)).encode(
        y=alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=340)),
        x=alt.X(f"{value}:Q", title=value, axis=alt.Axis(format=",d", tickMinStep=1)),
        tooltip=[alt.Tooltip(f"{name}:N"), alt.Tooltip(f"{value}:Q", format=",")],
    )
    text = base.mark_text(align="left", dx=4).encode(text=alt.Text(f"{value}:Q", format=","))
    return alt.layer(base.mark_bar(color=colour), text)


def _cluster_sizes(report: Report) -> Figure:
    rows = [{"records": size, "golden IDs": count} for size, count in report["cluster_sizes"].items()]
    return Figure(
        "cluster-sizes",
        "Golden IDs by number of records",
        "How many golden IDs join one record, two, three and so on. A few very large ones are worth a look.",
        _spec(_labelled_bars(rows, name="records", value="golden IDs")),
        rows,
    )


def _match_weights(report: Report) -> Figure:
    weights, model = report["match_weights"], report["model"]
    rows = [
        {"bits": low, "to": low + weights["width"], "pairs": pairs,
         "decision": "link" if low >= model["threshold"] else "review"}
        for low, pairs in zip(_lows(weights), weights["pairs"], strict=True)
    ]  # fmt: skip
    bars = (
        _chart(rows)
        .mark_bar()
        .encode(
            x=alt.X("bits:Q", title="match weight, bits", bin="binned"),
            x2="to:Q",
            y=alt.Y("pairs:Q", title="pairs (root scale)", scale=alt.Scale(type="sqrt")),
            color=alt.Color(
                "decision:N", scale=alt.Scale(domain=["link", "review"], range=[LINK, REVIEW]), title=None
            ),
            tooltip=["bits:Q", "to:Q", alt.Tooltip("pairs:Q", format=","), "decision:N"],
        )
    )
    return Figure(
        "match-weights",
        "Match weights",
        "Each pair from the review threshold on, by its weight: 0 bits is a fair coin, 10 bits about 1,000 to"
        " 1. A valley at the threshold means that the data tell people apart; a hill there means guessing.",
        _spec(alt.layer(bars, _rule(model["threshold"], "threshold"))),
        rows,
    )


def _lows(weights: Mapping[str, Any]) -> list[float]:
    return [weights["from"] + at * weights["width"] for at in range(len(weights["pairs"]))]


def _rule(at: float, name: str) -> alt.LayerChart | alt.FacetChart:
    base = alt.Chart(alt.InlineData(values=[{"at": at, "name": f"{name} {at:g}"}]))
    line = base.mark_rule(strokeDash=[5, 4], color="#1c2430").encode(x="at:Q")
    text = base.mark_text(align="left", dx=5, y=8, color="#1c2430").encode(x="at:Q", text="name:N")
    return alt.layer(line, text)


def _threshold(report: Report) -> Figure:
    rows = [
        {"threshold": row["threshold"], "pairs": row[key], "kind": kind, "links": row["links"]}
        for row in report["threshold_choice"]
        for key, kind in (("wrong", "links that are wrong"), ("missed", "matches that are missed"))
    ]
    domain = ["links that are wrong", "matches that are missed"]
    lines = (
        _chart(rows)
        .mark_line(point=True)
        .encode(
            x=alt.X("threshold:Q", title="threshold, bits"),
            y=alt.Y("pairs:Q", title="expected pairs", axis=alt.Axis(format=",d", tickMinStep=1)),
            color=alt.Color("kind:N", scale=alt.Scale(domain=domain, range=[WARN, QUIET]), title=None),
            tooltip=["threshold:Q", "kind:N", alt.Tooltip("pairs:Q", format=",.1f"),
                     alt.Tooltip("links:Q", format=",")],
        )
    )  # fmt: skip
    return Figure(
        "threshold-choice",
        "What the threshold costs",
        "What the model itself expects at each threshold, summed over the pairs from the review threshold on:"
        " wrong links against missed matches. The dashed line is the threshold that was used. What the model"
        " does not know (that it is wrong, a block that was dropped) is not in it.",
        _spec(alt.layer(lines, _rule(report["model"]["threshold"], "threshold"))),
        report["threshold_choice"],
    )


def _contact_classes(classes: Mapping[str, Mapping[str, int]]) -> Figure:
    rows = [
        {"column": column, "class": name, "values": count}
        for column, counts in classes.items()
        for name, count in counts.items()
    ]
    known = dict(_CLASSES)
    for row in rows:
        known.setdefault(str(row["class"]), OTHER)
    bars = (
        _chart(rows, height=40 * len(classes))
        .mark_bar()
        .encode(
            y=alt.Y("column:N", sort=None, title=None),
            x=alt.X("values:Q", stack="normalize", title="share of the values", axis=alt.Axis(format="%")),
            color=alt.Color(
                "class:N", scale=alt.Scale(domain=[*known], range=[*known.values()]), title="judged as"
            ),
            tooltip=["column:N", "class:N", alt.Tooltip("values:Q", format=",")],
        )
    )
    return Figure(
        "contact-classes",
        "Whose contacts these are",
        "Values of each kind, judged from who shares them. Only a personal one says much about a person; a"
        " household's says little, an organisation's or a placeholder nothing.",
        _spec(bars),
        rows,
    )


def _blocks(blocking: Sequence[Mapping[str, Any]]) -> Figure:
    largest = sorted(blocking, key=lambda rule: (-rule["largest_block"], rule["rule"]))[:_MOST_RULES]
    rows = [{"rule": rule["rule"], "records": rule["largest_block"]} for rule in largest]
    return Figure(
        "largest-blocks",
        "Largest blocks",
        "The most records that one value of a rule brought together to be compared with each other. The table"
        " below says which blocks were too large and were dropped.",
        _spec(_labelled_bars(rows, name="rule", value="records", colour=QUIET)),
    )


def _canaries(canaries: Mapping[str, Any]) -> Figure:
    rows = [
        {"figure": name, "value": canaries[name]}
        for name in ("precision", "recall", "f1")
        if canaries.get(name) is not None
    ]
    base = _chart(rows, height=90).encode(
        y=alt.Y("figure:N", sort=None, title=None),
        x=alt.X("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
        tooltip=["figure:N", alt.Tooltip("value:Q", format=".3f")],
    )
    text = base.mark_text(align="right", dx=-6, color="white").encode(text=alt.Text("value:Q", format=".3f"))
    return Figure(
        "canaries",
        "Planted people",
        "Made-up people and households, known and never stored, linked by this run's model: how many of their"
        " pairs were joined rightly (precision) and found (recall).",
        _spec(alt.layer(base.mark_bar(color=LINK), text)),
        rows,
    )


_DRIFT: Final = {
    "records": "records", "golden_ids": "golden IDs", "accepted_pairs": "links",
    "review_pairs": "pairs for review", "largest": "records of the largest golden ID",
    "median_weight": "median weight of a link, bits", "merged": "golden IDs merged",
    "split": "golden IDs split",
    "drift": "drift of match weights since the run before (stability index)",
    "canary_precision": "precision on planted people", "canary_recall": "recall on planted people",
}  # fmt: skip


def _drift(history: Sequence[Report]) -> Figure:
    rows = [
        {"run": at, "id": run["run_id"], "figure": title, "value": run[key]}
        for at, run in enumerate(history, start=1)
        for key, title in _DRIFT.items()
        if run.get(key) is not None
    ]
    shown = [title for title in _DRIFT.values() if any(row["figure"] == title for row in rows)]
    lines = (
        _chart(rows, height=110, width=280)
        .mark_line(point=True, color=LINK)
        .encode(
            x=alt.X("run:O", title="run", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=True)),
            tooltip=["run:O", "id:N", "figure:N", alt.Tooltip("value:Q", format=",")],
        )
        .facet(facet=alt.Facet("figure:N", sort=shown, title=None), columns=2)
        .resolve_scale(y="independent")
    )
    return Figure(
        "drift",
        "Run after run",
        "The published runs whose reports lie beside this one, oldest first. A jump that no new file explains"
        " is worth a look before it is believed.",
        _spec(lines),
        rows,
    )
