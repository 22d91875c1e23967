"""From a dataset to a bundle, and from a bundle to its figures."""

from mmrec.pipeline.bundle_evaluation import BundleEvaluation, evaluate_bundle
from mmrec.pipeline.comparing import BundleComparison, compare_bundles
from mmrec.pipeline.config import FitConfig, preset
from mmrec.pipeline.evaluation import Evaluation
from mmrec.pipeline.fit import FitResult, fit_dataset

__all__ = [
    "BundleComparison",
    "BundleEvaluation",
    "Evaluation",
    "FitConfig",
    "FitResult",
    "compare_bundles",
    "evaluate_bundle",
    "fit_dataset",
    "preset",
]
