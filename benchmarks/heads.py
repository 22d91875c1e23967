"""The semantic-ID head in several forms over the same LLM: what is written level by level, and what in parallel.

The LLM is the one of the quality table's ``beauty-seed-0``, and stays as it is; every head is trained on its states for
the same number of passes. Ranks are among the whole catalogue, seen items removed.
"""

# Axes: B customers, T places, N items, H hidden width, P levels, L codes of a long path, K codes of a level, X places

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.intervals import RESAMPLES, mean_estimate, resample_weights, shown
from benchmarks.options import Options
from benchmarks.quality import bundle_of
from benchmarks.quality_fit import item_head_ranks, load_ranker
from benchmarks.report import Report
from benchmarks.rows import Rows
from mmrec.data.splits import LeaveOneOut, Split, evenly, leave_one_out
from mmrec.evaluation.lists import unseen_items
from mmrec.evaluation.metrics import Ranks, join_ranks, rank_targets, ranks_in_lists
from mmrec.filters.mask import EligibilityMask
from mmrec.generator.batches import Batch, epoch_batches
from mmrec.generator.beam import beam_search
from mmrec.generator.config import PathKeys
from mmrec.generator.losses import nodes_by_depth, path_softmax
from mmrec.generator.semantic_id_head import EncodedHistory, SemanticIdHead
from mmrec.recommender.ranking_model import RankingModel
from mmrec.runtime.device import autocast
from mmrec.semantic_ids.collaborative import CollaborativeConfig
from mmrec.semantic_ids.config import TokenizerConfig
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.eligibility import eligible
from mmrec.semantic_ids.tokenizer import fit_tokenizer

PASSES, QUESTIONS, BEAM, POSITIONS, RATE = 3, 4000, 64, 2048, 1e-3
COLUMNS = (
    "form",
    "semantic IDs",
    "found by",
    "validation NDCG@10",
    "test NDCG@10",
    "test Recall@10",
    "of the item head's NDCG@10",
    "parameters",
    "minutes",
)


@dataclass(frozen=True, slots=True)
class _Form:
    """One row.

    Attributes:
        name: In the table.
        keys: Of a decoder that writes level by level; empty for heads that write all levels at once.
        tokenizer: Of the paths.
    """

    name: str
    keys: PathKeys | None
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)


_CUSTOMERS = TokenizerConfig(collaborative=CollaborativeConfig(weight=0.5))
FORMS = (
    _Form("decoder, nodes known by the items below", "nodes"),
    _Form("decoder, codes known by themselves", "codes"),
    _Form("decoder, nodes, customers in the codes", "nodes", _CUSTOMERS),
    _Form("decoder, codes, customers in the codes", "codes", _CUSTOMERS),
    _Form("16 codes in parallel", None, TokenizerConfig(kind="opq", levels=16)),
    _Form("32 codes in parallel", None, TokenizerConfig(kind="opq", levels=32)),
)


def run(options: Options) -> None:
    """Measure and publish the table."""
    bundle = bundle_of("beauty-seed-0", options)
    if bundle is None:
        print("heads: not run: run `python -m benchmarks quality --only beauty-seed-0` first")
        return
    ranker = load_ranker(str(bundle), options.device)
    split = leave_one_out(ranker.parts.interactions)
    torch.set_num_threads(options.threads)
    forms = FORMS[:1] + FORMS[4:5] if options.quick else FORMS
    passes, questions = (1, 200) if options.quick else (PASSES, QUESTIONS)
    rows = Rows("heads", options, {"bundle": bundle.name, "passes": passes, "questions": questions})
    measured = [rows.measure(form.name, partial(_measure, form, ranker, split, passes, questions)) for form in forms]
    Report(
        "heads",
        f"Amazon Beauty, {ranker.items:,} items; every form is trained for {passes} passes over the training histories "
        f"on the states of the same trained LLM, which stays as it is, one seed. {questions:,} test and as many "
        f"validation users, evenly spread; whole catalogue, seen items removed; beams of {BEAM}. 95% bootstrap "
        f"intervals over users ({RESAMPLES} resamples).",
        COLUMNS,
        [tuple(row["cells"]) for row in measured],
        details={"rows": measured},
        rehearsal=options.quick,
    ).publish()
    rows.finish()


def _measure(form: _Form, ranker: RankingModel, split: LeaveOneOut, passes: int, questions: int) -> dict[str, Any]:
    start = time.monotonic()
    fitted = fit_tokenizer(ranker.parts.fused_ND.whole(), split.train, form.tokenizer, seed=0)
    torch.manual_seed(0)
    head = (
        _Decoder(ranker, fitted.semantic_ids_NP, form.keys) if form.keys else _Parallel(ranker, fitted.semantic_ids_NP)
    )
    head.to(ranker.device)
    _train(head, ranker, split, passes)
    minutes = (time.monotonic() - start) / 60
    test = _some(split.test, questions)
    validation_Q = head.ranks(ranker, _some(split.validation, questions)).ndcg_at(10)
    found = head.ranks(ranker, test)
    ndcg_Q, recall_Q = found.ndcg_at(10), found.recall_at(10)
    item_head_ndcg = float(item_head_ranks(ranker, test).ndcg_at(10).mean())
    weights_RQ = resample_weights(len(ndcg_Q))
    widths = [int(codes.max()) + 1 for codes in fitted.semantic_ids_NP.T[:-1]]
    cells = (
        form.name,
        f"{form.tokenizer.kind}, {len(widths)} x {max(widths)}",
        f"beam of {BEAM}" if form.keys else "all items scored",
        f"{validation_Q.mean():.4f}",
        *(shown(mean_estimate(gains_Q, weights_RQ), digits=4) for gains_Q in (ndcg_Q, recall_Q)),
        float(ndcg_Q.mean() / item_head_ndcg),
        sum(p.numel() for p in head.parameters()),
        round(minutes, 1),
    )
    return {"cells": cells, "item_head_ndcg": item_head_ndcg}


def _some(split: Split, questions: int) -> Split:
    """So many of the questions, evenly spread."""
    chosen = evenly(len(split.targets_U), questions)
    return Split(split.users_U[chosen], [split.histories[row] for row in chosen], split.targets_U[chosen])


def _train(head: _Decoder | _Parallel, ranker: RankingModel, split: LeaveOneOut, passes: int) -> None:
    generator, config = ranker.parts.generator, ranker.parts.generator.config
    histories = [split.train.history(user) for user in range(split.train.users)]
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=0.05, betas=(0.9, 0.98))
    steps = passes * math.ceil(sum(max(0, len(history) - 1) for history in histories) / POSITIONS)
    step = 0
    for epoch in range(1, passes + 1):
        batches = epoch_batches(histories, longest=config.max_history, positions=POSITIONS, seed=0, epoch=epoch)
        for batch in batches:
            step += 1
            rate = RATE * min(1.0, step / 50) * (0.55 + 0.45 * math.cos(math.pi * min(1.0, step / steps)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            own = batch.on(ranker.device)
            with autocast(ranker.device, ranker.dtype):
                with torch.no_grad():
                    # Dropout as in training, so that every form is as well protected from learning by heart.
                    tokens_NH = generator.train().item_tokens()
                    memory = generator.read(own.history_BT, own.valid_BT, tokens_NH)
                loss = head.train().loss(memory, tokens_NH, own)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
    generator.eval()
    head.eval()


class _Decoder(nn.Module):
    """The product's head, found by its beam search."""

    def __init__(self, ranker: RankingModel, paths_NP: npt.NDArray[np.int32], keys: PathKeys) -> None:
        super().__init__()
        self.index = build_decode_index(paths_NP).to(ranker.device)
        self.nodes_PN = nodes_by_depth(self.index)
        config = replace(ranker.parts.generator.config, path_keys=keys)
        self.head = SemanticIdHead(ranker.tokens_NH.shape[1], config, self.index.widths)

    def loss(self, memory: EncodedHistory, tokens_NH: Tensor, batch: Batch) -> Tensor:
        return path_softmax(self.head, memory, tokens_NH, batch, self.index, self.nodes_PN, share=1.0)[0]

    @torch.inference_mode()
    def ranks(self, ranker: RankingModel, split: Split) -> Ranks:
        keys = self.head.node_keys(ranker.tokens_NH.whole(), self.index)
        parts = []
        for begin in range(0, len(split.targets_U), 64):
            histories = split.histories[begin : begin + 64]
            masks = [EligibilityMask(unseen_N) for unseen_N in unseen_items(histories, ranker.items)]
            allowed = eligible(self.index, [[]] * len(masks), masks)
            found = beam_search(self.head, ranker.read(histories), allowed, self.index, keys, width=BEAM)
            parts.append(ranks_in_lists(found.items_BW.cpu().numpy(), split.targets_U[begin : begin + 64]))
        return join_ranks(parts)


class _Parallel(nn.Module):
    """All codes of a long path at once from the last state; an item's score is the sum of its codes' log-probabilities.

    Source: RPG (Hou et al. 2025, arXiv:2506.05781).
    """

    def __init__(self, ranker: RankingModel, paths_NP: npt.NDArray[np.int32]) -> None:
        super().__init__()
        hidden = ranker.tokens_NH.shape[1]
        self.codes_NL = torch.from_numpy(paths_NP[:, :-1].astype(np.int64)).to(ranker.device)
        self.levels, self.width = self.codes_NL.shape[1], int(self.codes_NL.max()) + 1
        self.hidden = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.LayerNorm(hidden))
        self.out = nn.Linear(hidden, self.levels * self.width)

    def forward(self, states_XH: Tensor) -> Tensor:
        """Log-probability of every code of every level. Shape: (X, L, K)."""
        logits_XLK = self.out(states_XH + self.hidden(states_XH)).view(-1, self.levels, self.width)
        log_probs_XLK: Tensor = logits_XLK.float().log_softmax(-1)
        return log_probs_XLK

    def loss(self, memory: EncodedHistory, tokens_NH: Tensor, batch: Batch) -> Tensor:
        log_probs_XLK = self(memory.states_BTH[batch.valid_BT])
        wanted_XL = self.codes_NL[batch.target_BT[batch.valid_BT]]
        return F.nll_loss(log_probs_XLK.flatten(0, 1), wanted_XL.flatten())

    @torch.inference_mode()
    def ranks(self, ranker: RankingModel, split: Split) -> Ranks:
        parts = []
        for begin in range(0, len(split.targets_U), 256):
            histories = split.histories[begin : begin + 256]
            log_probs_BLK = self(ranker.read(histories).last())
            scores_BN = sum(log_probs_BLK[:, level, self.codes_NL[:, level]] for level in range(self.levels))
            targets_B = split.targets_U[begin : begin + 256]
            parts.append(rank_targets(scores_BN.cpu().numpy(), targets_B, histories, remove_seen=True))
        return join_ranks(parts)
