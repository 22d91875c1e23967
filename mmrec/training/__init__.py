"""Training: from a dataset to a bundle, and from a bundle to its figures.

In: a dataset folder or a bundle, and a frozen configuration. Out: a published bundle, an evaluation, a comparison.
"""

from mmrec.training.bundle_evaluation import BundleEvaluation, EvaluationSettings, evaluate_bundle
from mmrec.training.comparison import BundleComparison, compare_bundles
from mmrec.training.config import FitConfig, preset
from mmrec.training.evaluation import Evaluation
from mmrec.training.fit import FitResult, FitRun, fit_dataset
from mmrec.training.plan import FitPlan, plan_fit

__all__ = [
    "BundleComparison",
    "BundleEvaluation",
    "Evaluation",
    "EvaluationSettings",
    "FitConfig",
    "FitPlan",
    "FitResult",
    "FitRun",
    "compare_bundles",
    "evaluate_bundle",
    "fit_dataset",
    "plan_fit",
    "preset",
]
