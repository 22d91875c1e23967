"""Fine-tuning: encoders trained contrastively on a catalogue's own pairs of pictures and texts.

In: a dataset folder and an `AdaptConfig`. Out: a folder of encoders, and a report of retrieval on held-out titles.
"""

from mmrec.runtime.processes import in_main_process
from mmrec_encoders.augment import Views
from mmrec_encoders.finetuning.config import AdaptConfig, SmallTowers, adapt_preset, small_towers
from mmrec_encoders.finetuning.report import AdaptReport
from mmrec_encoders.finetuning.run import adapt_encoders

__all__ = [
    "AdaptConfig",
    "AdaptReport",
    "SmallTowers",
    "Views",
    "adapt_encoders",
    "adapt_preset",
    "in_main_process",
    "small_towers",
]
