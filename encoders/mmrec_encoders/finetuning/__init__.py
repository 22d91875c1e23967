"""Fine-tuning: contrastive training of encoders on a catalogue's pairs of pictures and texts.

In: a dataset folder and a `FinetuningConfig`. Out: a folder of encoders, and a report of retrieval on held-out titles.
"""

from mmrec.runtime.processes import in_main_process
from mmrec_encoders.augment import Views
from mmrec_encoders.finetuning.config import FinetuningConfig, SmallTowers, finetuning_preset, small_towers
from mmrec_encoders.finetuning.report import FinetuningReport
from mmrec_encoders.finetuning.run import finetune_encoders

__all__ = [
    "FinetuningConfig",
    "FinetuningReport",
    "SmallTowers",
    "Views",
    "finetune_encoders",
    "finetuning_preset",
    "in_main_process",
    "small_towers",
]
