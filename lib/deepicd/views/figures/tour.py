"""Figures of the tour: the tree, the reward landscape, the published defects."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from deepicd.views.figures.saving import PAGE

PATH, OFF_PATH, INK = "#0072b2", "#f1f1f1", "#333333"
_SHARE = LinearSegmentedColormap.from_list(
    "share", [(0.0, "#d55e00"), (0.5, "#f7f7f7"), (1.0, "#08519c")]
)
_GROUPS = {
    "malformed": "malformed",
    "not in catalogue": "no such\ncode",
    "other chapter": "other\nchapter",
    "chapter": "same\nchapter",
    "block": "same\nblock",
    "category": "same\ncategory",
    "subcategory": "same sub-\ncategory",
    "exact": "exact",
}


def plot_tree(frame: pd.DataFrame) -> Figure:
    """Draw the path to a code, from the chapter on the left to the code.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `deepicd.views.tour.tree_picture` makes it.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from deepicd.views.tour import tree_picture
    >>> len(plot_tree(tree_picture("I10")).axes)
    1
    """
    depths = int(frame.depth.max())
    tallest = int(frame.groupby("depth").size().max())
    fig, axes = plt.subplots(figsize=(PAGE, 0.48 * tallest + 0.9))
    axes.set(xlim=(-0.02, depths), ylim=(tallest + 0.55, -1.0))
    axes.axis("off")
    before = None
    for depth, group in frame.groupby("depth"):
        x, wrap = depth - 1, 117 // depths
        before = _draw_level(axes, group, x, tallest, wrap, before)
    return fig


def _draw_level(axes, group, x: int, lines: int, wrap: int, before):
    """Draw a column of nodes; give the right edge of the node on the path."""
    top = (lines - len(group)) / 2
    level, hidden = group.level.iloc[0], int(group.hidden.iloc[0])
    axes.text(x + 0.42, -0.75, level, ha="center", weight="bold", size=8)
    end = (0.0, 0.0)
    for place, node in enumerate(group.itertuples()):
        y = top + place + 0.5
        _draw_node(axes, node, x, y, wrap)
        if before:
            _draw_edge(axes, before, (x, y), node.on_path)
        if node.on_path:
            end, earns = (x + 0.84, y), f"earns {node.earns:g}"
    if hidden:
        y = top + len(group) + 0.12
        axes.text(x + 0.42, y, f"and {hidden} more", ha="center", size=6.5, color=INK)
    axes.text(x + 0.42, -0.33, earns, ha="center", size=7.5, color=PATH)
    return end


def _draw_node(axes, node, x: float, y: float, wrap: int) -> None:
    box = FancyBboxPatch(
        (x + 0.02, y - 0.42),
        0.8,
        0.84,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=PATH if node.on_path else OFF_PATH,
        edgecolor=PATH if node.on_path else "#c8c8c8",
    )
    axes.add_patch(box)
    style = {"ha": "center", "color": "white" if node.on_path else INK}
    name = f"chapter {node.name}" if node.depth == 1 else node.name
    lines = textwrap.wrap(node.title, wrap, max_lines=2, placeholder=" …")
    axes.text(x + 0.42, y - 0.22, name, va="center", size=7, weight="bold", **style)
    title = "\n".join(lines)
    axes.text(x + 0.42, y + 0.14, title, va="center", size=5.6, **style)


def _draw_edge(axes, start: tuple[float, float], end, on_path: bool) -> None:
    (x0, y0), (x1, y1) = start, (end[0] + 0.02, end[1])
    middle = (x0 + x1) / 2
    style = {"color": PATH, "lw": 1.4} if on_path else {"color": "#c8c8c8", "lw": 0.7}
    x, y = [x0, middle, middle, x1], [y0, y0, y1, y1]
    axes.plot(x, y, ls="-", zorder=0.5 if on_path else 0.1, **style)


def plot_landscape(frame: pd.DataFrame) -> Figure:
    """Draw the reward of every neighbour as one heat strip a spec.

    Groups have equal width, whatever their number of codes; the number in a
    group is its reward as a share of the exact code's (a range where it varies).

    Parameters
    ----------
    frame : pandas.DataFrame
        As `deepicd.views.reward_landscape.landscape` makes it.

    Examples
    --------
    >>> from deepicd.views.reward_landscape import landscape
    >>> len(plot_landscape(landscape("I10", ["tree", "flat"], most=2)).axes) >= 1
    True
    """
    specs = list(dict.fromkeys(frame.spec))
    groups = [level for level in _GROUPS if level in set(frame.level)]
    fig, axes = plt.subplots(figsize=(PAGE, 0.36 * len(specs) + 0.95))
    norm = Normalize(-1.0, 1.0)
    for y, spec in enumerate(specs):
        for x, level in enumerate(groups):
            cells = frame[(frame.spec == spec) & (frame.level == level)]
            _draw_cells(axes, cells.share.to_numpy(), x, y, norm)
    axes.set(xlim=(0, len(groups)), ylim=(len(specs) - 0.42, -0.58))
    axes.set_xticks(np.arange(len(groups)) + 0.5, [_GROUPS[g] for g in groups])
    axes.set_yticks(range(len(specs)), specs)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.xaxis.tick_top()
    colours = plt.cm.ScalarMappable(norm, _SHARE)
    bar = fig.colorbar(colours, ax=axes, fraction=0.02, pad=0.01, ticks=[-1, 0, 1])
    bar.set_label("share of the exact\ncode's reward")
    bar.outline.set_visible(False)
    return fig


def _draw_cells(axes, shares: np.ndarray, x: int, y: int, norm) -> None:
    """Fill one group of one spec with its codes, and write its values."""
    width = 0.96 / len(shares)
    for place, share in enumerate(shares):
        left = x + 0.02 + place * width
        colour = _SHARE(norm(np.clip(share, -1, 1)))
        axes.barh(y, width, left=left, height=0.84, color=colour, linewidth=0)
    low, high = shares.min(), shares.max()
    text = _number(low) if high - low < 0.005 else f"{_number(low)}–{_number(high)}"
    ink = "white" if abs(np.clip(shares.mean(), -1, 1)) > 0.62 else INK
    axes.text(x + 0.5, y, text, ha="center", va="center", size=7, color=ink)


def _number(value: float) -> str:
    return f"{value + 0.0:.2f}".replace("-", "−").removesuffix(".00")


def plot_defects(frame: pd.DataFrame) -> Figure:
    """Draw each defect of the published reward beside our value.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `deepicd.views.reward_defects.defects_table` makes it.

    Examples
    --------
    >>> from deepicd.views.reward_defects import defects_table
    >>> len(plot_defects(defects_table()).axes)
    1
    """
    fig, axes = plt.subplots(figsize=(PAGE, 0.2 * len(frame) + 0.75))
    rows = np.arange(len(frame))
    ours, published = frame.ours_share, frame.published_share
    axes.hlines(rows, ours, published, color="#bbbbbb", lw=1.2, zorder=1)
    axes.axvline(0, color="#888888", lw=0.6)
    axes.plot(published, rows, "D", color="#d55e00", ls="", ms=4.5, label="published")
    axes.plot(ours, rows, "o", color=PATH, ls="", ms=5, label="tree (ours)")
    names = [
        f"{case}  ({number})" if number else case
        for case, number in zip(frame.case, frame.defect, strict=True)
    ]
    axes.set_yticks(rows, names)
    axes.set(ylim=(len(frame) - 0.4, -0.6), xlim=(-0.62, 1.06))
    axes.set_xlabel("reward, as a share of the exact code's reward")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2)
    return fig
