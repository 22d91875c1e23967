"""From a dataset to a bundle, and from a bundle to its figures."""

from mmrec.pipeline.bundle_evaluation import evaluate_bundle
from mmrec.pipeline.config import FitConfig, preset
from mmrec.pipeline.evaluation import Evaluation
from mmrec.pipeline.fit import FitResult, fit_dataset

__all__ = ["Evaluation", "FitConfig", "FitResult", "evaluate_bundle", "fit_dataset", "preset"]
