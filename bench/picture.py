"""Bar charts for docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.table import Bar, number

OURS, PEER = "#1f6f8b", "#b8c4cc"


def draw(charts: Mapping[str, Sequence[Bar]], path: Path) -> None:
    """Draw the charts below each other, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    heights = [0.55 + 0.38 * len(bars) for bars in charts.values()]
    figure, axes = plt.subplots(
        len(charts), 1, figsize=(8, sum(heights)), height_ratios=heights, squeeze=False
    )
    for axis, (title, bars) in zip(axes[:, 0], charts.items(), strict=True):
        shown = list(reversed(bars))
        drawn = axis.barh(
            [bar.label for bar in shown],
            [bar.value for bar in shown],
            color=[OURS if bar.ours else PEER for bar in shown],
        )
        axis.bar_label(drawn, labels=[f" {number(bar.value)}" for bar in shown], fontsize=9)
        axis.set_title(title, fontsize=10, loc="left")
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.set_xticks([])
        axis.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
