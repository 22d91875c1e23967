"""Training encoders contrastively on a catalogue's own pairs of pictures and words."""

from mmrec.processes import in_main_process
from mmrec_encoders.adapting.config import AdaptConfig, SmallTowers, Views, adapt_preset, small_towers
from mmrec_encoders.adapting.report import AdaptReport
from mmrec_encoders.adapting.run import adapt_encoders

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
