"""Contrastive losses of the image encoders and of the fusion."""

# Axes: B rows of a batch, D dimensions, V views (2B)

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_MASKED = -1e4


def agree(
    left_BD: torch.Tensor,
    right_BD: torch.Tensor,
    scale: torch.Tensor | float,
    *,
    same_BB: torch.Tensor | None = None,
    bias_B: torch.Tensor | None = None,
    symmetric: bool = True,
) -> torch.Tensor:
    """InfoNCE: row b of both modalities belongs together, other rows of the batch are the wrong answers.

    Args:
        left_BD: Unit rows. Shape: (B, D).
        right_BD: Unit rows. Shape: (B, D).
        scale: Inverse temperature.
        same_BB: True where two different rows mean the same and are not negatives of each other. Shape: (B, B).
        bias_B: Subtracted from a right row's logits, e.g. its log frequency. Shape: (B,).
        symmetric: Whether the left rows are searched from the right ones too.

    Source: van den Oord et al. 2018, arXiv:1807.03748; the bias: Yi et al. 2019, "Sampling-bias-corrected
    neural modeling for large corpus item recommendations".
    """
    import torch
    import torch.nn.functional as F

    logits_BB = scale * left_BD @ right_BD.T
    if bias_B is not None:
        logits_BB = logits_BB - bias_B
    target_B = torch.arange(len(left_BD), device=left_BD.device)
    if same_BB is not None:
        ignored_BB = same_BB & ~torch.eye(len(left_BD), dtype=torch.bool, device=left_BD.device)
        logits_BB = logits_BB.masked_fill(ignored_BB, _MASKED)
    loss = F.cross_entropy(logits_BB, target_B)
    if not symmetric:
        return loss
    return (loss + F.cross_entropy(logits_BB.T, target_B)) / 2


def two_views(first_BD: torch.Tensor, second_BD: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent: the two views of a picture are a positive pair, all other views are negatives.

    Source: Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations",
    arXiv:2002.05709.
    """
    import torch
    import torch.nn.functional as F

    views_VD = F.normalize(torch.cat([first_BD, second_BD]), dim=1)
    logits_VV = views_VD @ views_VD.T / temperature
    logits_VV = logits_VV.masked_fill(torch.eye(len(views_VD), dtype=torch.bool, device=views_VD.device), _MASKED)
    target_V = torch.arange(len(views_VD), device=views_VD.device).roll(len(first_BD))
    return F.cross_entropy(logits_VV, target_V)


def neighbours(cosines_BB: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log chance of each other row as a neighbour of a row: a softmax over its similarities. Shape: (B, B).

    Args:
        cosines_BB: Cosine similarities. Shape: (B, B).
        temperature: A small one weights near neighbours only.
    """
    import torch
    import torch.nn.functional as F

    self_BB = torch.eye(len(cosines_BB), dtype=torch.bool, device=cosines_BB.device)
    return F.log_softmax((cosines_BB / temperature).masked_fill(self_BB, _MASKED), dim=1)


def structure(student_BD: torch.Tensor, teacher_BB: torch.Tensor, temperature: float) -> torch.Tensor:
    """Similarity distillation: KL divergence of the student's `neighbours` from the teacher's.

    Args:
        student_BD: Unit rows. Shape: (B, D).
        teacher_BB: `neighbours` by the similarities to preserve. Shape: (B, B).
        temperature: As in `neighbours`.

    Source: Fang et al. 2021, "SEED: Self-supervised Distillation For Visual Representation",
    arXiv:2101.04731.
    """
    import torch.nn.functional as F

    student_BB = neighbours(student_BD @ student_BD.T, temperature)
    return F.kl_div(student_BB, teacher_BB, reduction="batchmean", log_target=True)


def clip_loss(
    pictures_BD: torch.Tensor,
    words_BD: torch.Tensor,
    scale: torch.Tensor | float,
    *,
    true_BB: torch.Tensor | None = None,
    share: bool = False,
) -> torch.Tensor:
    """CLIP: softmax over the batch from each text to its picture, and from each picture to its text.

    Args:
        pictures_BD: Unit rows; row b belongs to text b. Shape: (B, D).
        words_BD: Unit rows. Shape: (B, D).
        scale: Inverse temperature.
        true_BB: True at [t, p] where text t also describes picture p, though they are not a pair. The diagonal counts
            as true. None: only the pairs.
        share: Whether such additional matches are positives with equal weight; otherwise they are just not negatives.

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision",
    arXiv:2103.00020; several positives: Yang et al. 2022, "Unified Contrastive Learning in Image-Text-Label Space",
    arXiv:2204.03610.
    """
    import torch
    import torch.nn.functional as F

    if true_BB is None or not share:
        return agree(words_BD, pictures_BD, scale, same_BB=true_BB)
    logits_BB = scale * words_BD @ pictures_BD.T
    right_BB = (true_BB | torch.eye(len(words_BD), dtype=torch.bool, device=words_BD.device)).to(logits_BB.dtype)
    to_picture = F.cross_entropy(logits_BB, right_BB / right_BB.sum(dim=1, keepdim=True))
    to_text = F.cross_entropy(logits_BB.T, right_BB.T / right_BB.T.sum(dim=1, keepdim=True))
    return (to_picture + to_text) / 2


def siglip_loss(
    pictures_BD: torch.Tensor,
    words_BD: torch.Tensor,
    scale: torch.Tensor | float,
    bias: torch.Tensor | float,
    *,
    true_BB: torch.Tensor | None = None,
    share: bool = False,
) -> torch.Tensor:
    """SigLIP: binary classification of every text-picture combination in the batch as match or no match.

    Args:
        pictures_BD: Unit rows; row b belongs to text b. Shape: (B, D).
        words_BD: Unit rows. Shape: (B, D).
        scale: Inverse temperature.
        bias: Added to every logit; starts well below 0, as most combinations do not match.
        true_BB: As in `clip_loss`.
        share: Whether additional matches are positives; otherwise they are ignored.

    Source: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", arXiv:2303.15343, algorithm 1.
    """
    import torch
    import torch.nn.functional as F

    logits_BB = scale * words_BD @ pictures_BD.T + bias
    pair_BB = torch.eye(len(words_BD), dtype=torch.bool, device=words_BD.device)
    yes_BB = pair_BB if true_BB is None or not share else pair_BB | true_BB
    costs_BB = -F.logsigmoid(torch.where(yes_BB, logits_BB, -logits_BB))
    if true_BB is not None and not share:
        costs_BB = costs_BB.masked_fill(true_BB & ~pair_BB, 0.0)
    return costs_BB.sum() / len(words_BD)
