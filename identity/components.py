"""Connected components: what a graph's edges join, directly or through others. Pure."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def components(count: int, left: Ints, right: Ints) -> Ints:
    """Return for each of `count` nodes the number of its component, from 0 on.

    Edge i joins the nodes `left[i]` and `right[i]`, whatever its direction. Numbers ascend with the first
    node of each component.
    """
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415 - slow to load, and most commands do without

    graph = csr_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(count, count))
    _, found = csgraph.connected_components(graph, directed=False)
    numbers: Ints = found.astype(np.int64)
    return numbers
