"""Plot of training losses and the validation metric by epoch."""

from __future__ import annotations

from pathlib import Path

from mmrec.generator.training_log import TrainingResult
from mmrec.runtime.files import replace_file


def draw_curves(result: TrainingResult, path: Path) -> None:
    """Write the plot as a PNG; equal results give equal bytes.

    Args:
        result: The epochs, and the best one, which is marked.
        path: The PNG file.
    """
    # Without pyplot, whose global state is unsafe in servers and tests.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    records, best_epoch = result
    if not records:
        return
    figure = Figure(figsize=(9, 3.5))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.14, top=0.97, wspace=0.22)
    losses, metric = figure.subplots(1, 2)
    epochs = [record.epoch for record in records]
    losses.plot(epochs, [record.item_loss for record in records], ".-", label="item head")
    losses.plot(epochs, [record.semantic_id_loss for record in records], ".-", label="semantic-ID head")
    losses.set(xlabel="epoch", ylabel="training loss, nats")
    metric.plot(epochs, [record.ndcg_at_10 for record in records], ".-", label="item head, whole catalogue")
    if best_epoch:
        best = records[best_epoch - 1].ndcg_at_10
        metric.plot([best_epoch], [best], "o", fillstyle="none", label=f"kept: {best:.4f} at {best_epoch}")
    metric.set(xlabel="epoch", ylabel="validation NDCG@10")
    for axes in (losses, metric):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)  # the first epoch may end before the first checkpoint
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))
