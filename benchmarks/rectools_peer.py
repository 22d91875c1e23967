"""Trains a sequential recommender of RecTools and writes what it recommends; imports nothing of mmrec.

Run as ``python rectools_peer.py`` by an interpreter with requirements-peers.txt, with JSON on stdin: model, data, out,
seed, minutes, epochs, patience, device. It prints one line of JSON. The networks, data preparation, training
loop and ranking are the library's; the loss is its softmax loss, computed at the places that have a target instead of
at padding too, which changes the time and not the value.
"""

# Axes: U users, E events, V validation users, Q questions, K list length, N items, B batch, T places, H hidden width

import json
import os
import sys
import time
import warnings
from datetime import timedelta
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import HSTUModel, SASRecModel
from rectools.models.nn.item_net import CatFeaturesItemNet, IdEmbeddingsItemNet
from rectools.models.nn.transformers.lightning import TransformerLightningModule

LIST = 50
SHAPE = {"n_factors": 64, "n_blocks": 2, "n_heads": 2, "dropout_rate": 0.5, "session_max_len": 50}
"""As SASRec and its successors are published on Amazon Beauty; everything else is the library's default."""


class _AtTargets(TransformerLightningModule):
    """The library's training, with the softmax at places that have a target, and NDCG@10 as the validation metric."""

    def _logits(self, states_XH, item_embs):
        return self.torch_model.similarity_module(states_XH, item_embs) / self.logits_t

    def training_step(self, batch, batch_idx):
        item_embs = self.torch_model.item_model.get_all_embeddings()
        states_BTH = self.torch_model.encode_sessions(batch, item_embs)
        there_BT = batch["y"] != 0
        loss = torch.nn.functional.cross_entropy(self._logits(states_BTH[there_BT], item_embs), batch["y"][there_BT])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        scores_BN = self._logits(self.torch_model.encode_sessions(batch, self.item_embs)[:, -1], self.item_embs)
        scores_BN = scores_BN.scatter(1, batch["x"], float("-inf"))  # what was seen, and padding
        rank_B = (scores_BN > scores_BN.gather(1, batch["y"])).sum(1)
        gain_B = torch.where(rank_B < 10, 1 / torch.log2(rank_B + 2.0), 0.0)
        self.log("ndcg_at_10", gain_B.mean(), on_step=False, on_epoch=True, batch_size=len(gain_B))


class _KeepBest(pl.Callback):
    """Early stopping; the best weights stay in memory and come back at the end."""

    def __init__(self, patience):
        self.patience, self.curve, self.best, self.weights = patience, [], -1.0, None

    def on_validation_end(self, trainer, pl_module):
        figure = float(trainer.callback_metrics["ndcg_at_10"])
        self.curve.append(figure)
        if figure > self.best:
            self.best, self.best_epoch = figure, len(self.curve)
            self.weights = {name: value.clone() for name, value in pl_module.torch_model.state_dict().items()}
        # The clock may have stopped it already, in the middle of a pass.
        trainer.should_stop = trainer.should_stop or len(self.curve) - self.best_epoch >= self.patience

    def on_train_end(self, trainer, pl_module):
        pl_module.torch_model.load_state_dict(self.weights)


def validation_mask(interactions, users):
    """The last event of these users."""
    last = ~interactions.duplicated(Columns.User, keep="last")
    return (last & interactions[Columns.User].isin(users)).to_numpy()


def make_trainer(minutes, epochs, patience, device):
    """Stops early, or when the time is over."""
    return pl.Trainer(
        max_epochs=epochs,
        max_time=timedelta(minutes=minutes),
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        deterministic=True,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[_KeepBest(patience)],
    )


def _frame(users, items):
    return pd.DataFrame(
        {
            Columns.User: users,
            Columns.Item: items,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(np.arange(len(items)), unit="s"),  # the order, and nothing else
        }
    )


def _histories(offsets_U, items_E):
    return _frame(np.repeat(np.arange(len(offsets_U) - 1), np.diff(offsets_U)), items_E)


def _lists(model, dataset, questions, *, filter_viewed):
    found = model.recommend(np.arange(questions), dataset, LIST, filter_viewed, on_unsupported_targets="ignore")
    lists_QK = np.full((questions, LIST), -1, np.int32)
    lists_QK[found[Columns.User], found[Columns.Rank] - 1] = found[Columns.Item]
    return lists_QK


def main(model, data, out, seed, minutes, epochs, patience, device):
    """Train, recommend, and say how it went."""
    # Warnings of the library about its own settings; nothing of ours is in them.
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    pl.seed_everything(seed, verbose=False)
    with np.load(data, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    train = _histories(given["train_offsets_U"], given["train_items_E"])
    # In front of nothing else: a user's validation event comes after the user's training events.
    events = pd.concat(
        [train, _frame(given["validation_users_V"], given["validation_targets_V"])], ignore_index=True
    ).assign(**{Columns.Datetime: lambda frame: pd.to_datetime(np.arange(len(frame)), unit="s")})
    features, names = None, []
    if model.endswith("-features"):
        features = pd.DataFrame(
            {"id": given["feature_items_F"], "feature": given["feature_names_F"], "value": given["feature_values_F"]}
        )
        known = features["id"].isin(events[Columns.Item])
        features, names = features[known], sorted(features["feature"].unique())
    dataset = Dataset.construct(events, item_features_df=features, cat_item_features=names)
    blocks = (IdEmbeddingsItemNet, CatFeaturesItemNet) if names else (IdEmbeddingsItemNet,)
    settings = SHAPE | {
        "loss": "softmax",
        "item_net_block_types": blocks,
        "lightning_module_type": _AtTargets,
        "get_val_mask_func": validation_mask,
        "get_val_mask_func_kwargs": {"users": given["validation_users_V"].tolist()},
        "get_trainer_func": make_trainer,
        "get_trainer_func_kwargs": {"minutes": minutes, "epochs": epochs, "patience": patience, "device": device},
        "recommend_torch_device": device,
    }
    if model.startswith("hstu"):
        recommender = HSTUModel(**settings, relative_time_attention=False)
    else:
        recommender = SASRecModel(**settings)
    start = time.monotonic()
    recommender.fit(dataset)
    trained = time.monotonic() - start
    asked = _histories(given["test_offsets_Q"], given["test_items_E"])
    if features is not None:
        features = features[features["id"].isin(asked[Columns.Item])]
    questions = len(given["test_offsets_Q"]) - 1
    asked_dataset = Dataset.construct(asked, item_features_df=features, cat_item_features=names)
    np.savez(
        out,
        removed_QK=_lists(recommender, asked_dataset, questions, filter_viewed=True),
        kept_QK=_lists(recommender, asked_dataset, questions, filter_viewed=False),
    )
    kept = recommender.fit_trainer.callbacks
    best = next(callback for callback in kept if isinstance(callback, _KeepBest))
    return {
        "minutes": {"train": trained / 60, "recommend": (time.monotonic() - start - trained) / 60},
        "epochs": len(best.curve),
        "best_epoch": best.best_epoch,
        "validation_ndcg_at_10": best.curve,
        "cut": len(best.curve) < epochs and len(best.curve) - best.best_epoch < patience,
        "settings": {name: value for name, value in settings.items() if isinstance(value, int | float | str)},
        "given": "item ids" + (f" and the categories {', '.join(names)}" if names else ""),
        "versions": {name: version(name) for name in ("rectools", "torch", "pytorch-lightning", "numpy", "pandas")},
    }


if __name__ == "__main__":
    print("measured: " + json.dumps(main(**json.loads(sys.stdin.read()))), flush=True)
