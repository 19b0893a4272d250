"""Which old golden ID goes to which new cluster: the one-to-one assignment of greatest overlap. Pure.

Old IDs (rows) and new clusters (columns) share records; an edge weighs what they share. Invariants:

- The result is a maximum-weight matching, exactly, whatever the size: nothing greedy, no cut-off.
- It depends on the edges alone: rows are numbered oldest first and columns by their smallest record, so
  neither input order nor cluster labels nor threads matter.
- Among equal totals older rows win (the sum of their age ranks decides), then the column order.

Almost every row and column meets nobody else. What is left shrinks by a rule that is exact (an edge
heavier than the best other edges of both its ends together is in every optimum), falls into connected
components, of which those with one row or one column need only a maximum, and only the rest reach a
solver: SciPy's dense one, or its sparse one (LAPJVsp) where a dense matrix would not fit.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from identity.components import components

Ints = npt.NDArray[np.int64]

DENSE_CELLS: Final = 1_000_000
"""Largest matrix for the dense solver, 8 MB of float64."""

EXACT: Final = 2**53
"""SciPy's solvers compute in float64: integers are exact below this."""


def assign(rows: Ints, columns: Ints, weights: Ints) -> tuple[Ints, Ints]:
    """Return the matched (rows, columns), ascending by row, of the maximum-weight assignment.

    One entry per edge, no edge twice, weights at least 1. Row numbers must ascend with age (oldest
    first), column numbers with the cluster's smallest record.
    """
    open_edges = np.lexsort((columns, rows))
    matched: list[Ints] = []
    while len(open_edges):
        forced = _forced(rows[open_edges], columns[open_edges], weights[open_edges])
        if not forced.any():
            break
        taken = open_edges[forced]
        matched.append(taken)
        open_edges = open_edges[
            ~np.isin(rows[open_edges], rows[taken]) & ~np.isin(columns[open_edges], columns[taken])
        ]
    if len(open_edges):
        matched.extend(_by_component(open_edges, rows, columns, weights))
    chosen = np.concatenate(matched) if matched else np.empty(0, dtype=np.int64)
    chosen = chosen[np.argsort(rows[chosen], kind="stable")]
    return rows[chosen], columns[chosen]


def _forced(rows: Ints, columns: Ints, weights: Ints) -> npt.NDArray[np.bool_]:
    """Mark the edges that are in every optimum: they outweigh the best rivals at both ends together.

    Were such an edge left out, putting it in for its (at most two) rivals would raise the total.
    """
    return weights > _best_rival(rows, weights) + _best_rival(columns, weights)


def _best_rival(ends: Ints, weights: Ints) -> Ints:
    """For each edge, the greatest weight of another edge at the same end; 0 if there is none."""
    order = np.lexsort((-weights, ends))
    sorted_ends, sorted_weights = ends[order], weights[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = sorted_ends[1:] != sorted_ends[:-1]
    starts = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    second = np.zeros(len(starts), dtype=np.int64)
    several = np.flatnonzero(np.diff(np.append(starts, len(order))) > 1)
    second[several] = sorted_weights[starts[several] + 1]
    rival = np.empty(len(order), dtype=np.int64)
    rival[order] = np.where(first, second[group], sorted_weights[starts[group]])
    return rival


def _by_component(edges: Ints, rows: Ints, columns: Ints, weights: Ints) -> list[Ints]:
    """Solve what no rule decided, one connected component at a time; returns edges."""
    row_names, row = np.unique(rows[edges], return_inverse=True)
    column_names, column = np.unique(columns[edges], return_inverse=True)
    size = len(row_names) + len(column_names)
    label = components(size, row, column + len(row_names))
    rows_in = np.bincount(label[: len(row_names)], minlength=size)
    columns_in = np.bincount(label[len(row_names) :], minlength=size)
    component = label[row]
    star = (rows_in[component] == 1) | (columns_in[component] == 1)
    solved = [_stars(edges[star], component[star], rows, columns, weights)]
    rest = np.flatnonzero(~star)
    rest = rest[np.argsort(component[rest], kind="stable")]  # edges stay in row, column order inside
    cuts = np.flatnonzero(np.diff(component[rest])) + 1
    parts = np.split(rest, cuts) if len(rest) else []
    solved += [edges[part][_solve(row[part], column[part], weights[edges[part]])] for part in parts]
    return solved


def _stars(edges: Ints, component: Ints, rows: Ints, columns: Ints, weights: Ints) -> Ints:
    """One row or one column: the heaviest edge, then the older row, then the earlier column."""
    order = np.lexsort((columns[edges], rows[edges], -weights[edges], component))
    first = np.ones(len(order), dtype=bool)
    first[1:] = component[order][1:] != component[order][:-1]
    return edges[order[first]]


def _solve(rows: Ints, columns: Ints, weights: Ints) -> Ints:
    """Solve one component exactly; returns positions of its matched edges."""
    row_names, row = np.unique(rows, return_inverse=True)
    column_names, column = np.unique(columns, return_inverse=True)
    cost = _with_age(row, weights, len(row_names))
    if len(row_names) * len(column_names) <= DENSE_CELLS:
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import, seldom needed

        matrix = np.zeros((len(row_names), len(column_names)))
        matrix[row, column] = cost
        left, right = linear_sum_assignment(matrix, maximize=True)
        real = matrix[left, right] > 0  # the solver also pairs what shares nothing
        left, right = left[real], right[real]
    else:
        left, right = _solve_sparse(row, column, cost, len(row_names), len(column_names))
    wanted = left.astype(np.int64) * len(column_names) + right
    return np.flatnonzero(np.isin(row * len(column_names) + column, wanted))


def _with_age(row: Ints, weights: Ints, count: int) -> Ints:
    """Weights scaled so that a matching's age ranks break its ties and never outvote a record.

    Left unscaled where that would leave float64's exact integers: then equal totals fall to the solver,
    which is as deterministic, since rows and columns come in their canonical order.
    """
    scale = count * (count + 1) // 2 + 1
    heaviest = np.zeros(count, dtype=np.int64)
    np.maximum.at(heaviest, row, weights)
    if int(heaviest.sum()) * scale + scale >= EXACT:
        return weights
    return weights * scale + (count - row)


def _solve_sparse(
    row: Ints, column: Ints, cost: Ints, row_count: int, column_count: int
) -> tuple[Ints, Ints]:
    """Maximum-weight matching of a large sparse component.

    SciPy's sparse solver wants every row matched, so each gets a column of its own that stands for
    "unmatched" and weighs 1, and every real edge weighs 1 more: a constant that changes no optimum.
    """
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415 - slow to load, seldom needed

    own = np.arange(row_count, dtype=np.int64)
    graph = csr_array(
        (
            np.concatenate([cost + 1, np.ones(row_count, dtype=np.int64)]).astype(np.float64),
            (np.concatenate([row, own]), np.concatenate([column, own + column_count])),
        ),
        shape=(row_count, column_count + row_count),
    )
    left, right = csgraph.min_weight_full_bipartite_matching(graph, maximize=True)
    real = right < column_count
    return left[real].astype(np.int64), right[real].astype(np.int64)
