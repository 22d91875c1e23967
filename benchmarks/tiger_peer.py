"""Trains TIGER as torch-rechub has it and writes what it generates; imports nothing of mmrec.

Run as ``python tiger_peer.py`` by an interpreter with requirements-peers.txt, with JSON on stdin: model, data, out,
seed, minutes, epochs, patience, device. It prints one line of JSON. RQ-VAE, its trainer, the sequence-to-
sequence model and the trie are the library's; the loop around the model is here, because the library leaves it to its
examples, whose settings are used. A fourth code tells items apart that share the other three, as in the paper.
"""

# Axes: U users, E events, V validation users, Q questions, K list length, N items, T text dimensions, L codes

import contextlib
import io
import json
import math
import os
import sys
import tempfile
import time
from importlib.metadata import version

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch_rechub.models.generative.rqvae import RQVAEModel
from torch_rechub.models.generative.tiger import TIGERModel
from torch_rechub.trainers.rqvae_trainer import Trainer
from torch_rechub.utils.data import Trie
from transformers import T5Config

LIST, BEAMS = 50, 20
HISTORY, BATCH, RATE, DECAY = 20, 256, 5e-4, 0.01
QUANTIZER = {
    "num_emb_list": [256, 256, 256],
    "e_dim": 32,
    "layers": [512, 256, 128],
    "kmeans_init": True,
    "kmeans_iters": 100,
    "sk_epsilons": [0.0, 0.0, 0.0],
    "sk_iters": 50,
}
"""As in the library's example, with the paper's layers: the example's are five times as wide."""
SHAPE = {"d_model": 128, "d_ff": 1024, "d_kv": 64, "num_heads": 6, "num_layers": 4, "num_decoder_layers": 4}
"""As TIGER is published on Amazon Beauty."""
PAD, END = 0, 1


def semantic_ids(text_NT, epochs, device):
    """Token ids of every item: three codes of the RQ-VAE and one that tells collisions apart. Shape: (N, 4), int64."""
    rows_NT = torch.from_numpy(text_NT)
    model = RQVAEModel(in_dim=rows_NT.shape[1], **QUANTIZER)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = Trainer(model, n_epoch=epochs, device=device, model_path=folder, eval_step=epochs)
        # No batch of one: the model has batch normalisation.
        trainer.fit(DataLoader(rows_NT, batch_size=512, shuffle=True, drop_last=len(rows_NT) % 512 == 1))
    model.eval()
    with torch.no_grad():
        codes_NL = model.get_indices(rows_NT.to(device)).cpu().numpy()
    seen, last_N = {}, np.zeros(len(codes_NL), np.int64)
    for row, path in enumerate(map(tuple, codes_NL.tolist())):
        last_N[row] = seen[path] = seen.get(path, -1) + 1
    offsets_L = 2 + 256 * np.arange(codes_NL.shape[1] + 1)
    return np.concatenate([codes_NL, last_N[:, None]], axis=1) + offsets_L


class _Examples:
    """Next items with the histories before them, as token ids."""

    def __init__(self, offsets_U, items_E, ids_NL):
        self.offsets_U, self.items_E, self.ids_NL = offsets_U, items_E, ids_NL

    def batch(self, begins, ends, targets, device):
        longest = min(HISTORY, int((ends - begins).max()))
        inputs = np.full((len(ends), longest * self.ids_NL.shape[1] + 1), PAD, np.int64)
        for row, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            tokens = self.ids_NL[self.items_E[max(begin, end - HISTORY) : end]].ravel()
            inputs[row, : len(tokens)] = tokens
            inputs[row, len(tokens)] = END
        labels = None
        if targets is not None:
            labels = np.concatenate([self.ids_NL[targets], np.full((len(targets), 1), END)], axis=1)
            labels = torch.from_numpy(labels).to(device)
        inputs = torch.from_numpy(inputs).to(device)
        return {"input_ids": inputs, "attention_mask": (inputs != PAD).long(), "labels": labels}


def train(model, given, ids_NL, deadline, epochs, patience, device):
    """Train until the validation loss stops falling or the time is over; the best weights are kept."""
    offsets_U, items_E = given["train_offsets_U"], given["train_items_E"]
    examples = _Examples(offsets_U, items_E, ids_NL)
    begin_E = np.repeat(offsets_U[:-1], np.diff(offsets_U))
    places = np.flatnonzero(np.arange(len(items_E)) > begin_E)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = epochs * math.ceil(len(places) / BATCH)
    warm = max(1, steps // 100)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))),
    )
    rng = np.random.default_rng(torch.initial_seed() % 2**32)
    curve, best, weights, cut = [], math.inf, None, False
    while len(curve) < epochs and not cut:
        model.train()
        # Neighbours of like length, so that little of a batch is padding; batches in random order.
        order = rng.permutation(places)
        length = np.minimum(order - begin_E[order], HISTORY)
        batches = np.array_split(order[np.argsort(length, kind="stable")], math.ceil(len(order) / BATCH))
        for number in rng.permutation(len(batches)):
            ends = batches[number]
            loss = model(**examples.batch(begin_E[ends], ends, items_E[ends], device)).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if cut := time.monotonic() > deadline:
                break
        curve.append(_validation_loss(model, given, examples, device))
        if curve[-1] < best:
            best, weights = curve[-1], {name: value.clone() for name, value in model.state_dict().items()}
        elif len(curve) - 1 - int(np.argmin(curve)) >= patience:
            break
    model.load_state_dict(weights)
    return curve, cut


@torch.no_grad()
def _validation_loss(model, given, examples, device):
    model.eval()
    users, targets = given["validation_users_V"], given["validation_targets_V"]
    losses = []
    for rows in np.array_split(np.arange(len(users)), math.ceil(len(users) / BATCH)):
        begins, ends = given["train_offsets_U"][users[rows]], given["train_offsets_U"][users[rows] + 1]
        loss = model(**examples.batch(begins, ends, targets[rows], device)).loss
        losses.append(float(loss) * len(rows))
    return sum(losses) / len(users)


@torch.no_grad()
def generate(model, given, ids_NL, device):
    """Items that the beams end in, best first, -1 past the last. Shape: (Q, BEAMS), int32."""
    model.eval()
    model.config.use_cache = True
    trie = Trie([[PAD, *path, END] for path in ids_NL.tolist()])
    allowed = trie.def_prefix_allowed_tokens_fn(trie)
    row_of = {tuple(path): row for row, path in enumerate(ids_NL.tolist())}
    offsets_Q = given["test_offsets_Q"]
    examples = _Examples(offsets_Q, given["test_items_E"], ids_NL)
    lists_QW = np.full((len(offsets_Q) - 1, BEAMS), -1, np.int32)
    order = np.argsort(np.diff(offsets_Q), kind="stable")
    for rows in np.array_split(order, math.ceil(len(order) / 64)):
        inputs = examples.batch(offsets_Q[rows], offsets_Q[rows + 1], None, device)
        del inputs["labels"]
        found = model.generate(
            **inputs,
            max_new_tokens=ids_NL.shape[1] + 1,
            num_beams=BEAMS,
            num_return_sequences=BEAMS,
            prefix_allowed_tokens_fn=allowed,
        )
        paths = found[:, 1 : 1 + ids_NL.shape[1]].cpu().numpy().reshape(len(rows), BEAMS, -1)
        for row, beams in zip(rows, paths, strict=True):
            lists_QW[row] = [row_of.get(tuple(path), -1) for path in beams.tolist()]
    return lists_QW


def _lists(lists_QW, given, *, remove_seen):
    lists_QK = np.full((len(lists_QW), LIST), -1, np.int32)
    for row, found in enumerate(lists_QW):
        rows = found[found >= 0]
        if remove_seen:
            history = given["test_items_E"][given["test_offsets_Q"][row] : given["test_offsets_Q"][row + 1]]
            rows = rows[~np.isin(rows, history)]
        lists_QK[row, : len(rows)] = rows
    return lists_QK


def main(model, data, out, seed, minutes, epochs, patience, device):
    """Make semantic IDs, train, generate, and say how it went."""
    del model  # there is one
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(seed)
    np.random.seed(seed)  # scikit-learn's k-means, inside the library
    with np.load(data, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    start = time.monotonic()
    ids_NL = semantic_ids(given["text_NT"], min(50, epochs), device)
    quantized = time.monotonic() - start
    network = TIGERModel(
        T5Config(
            vocab_size=int(ids_NL.max()) + 1,
            pad_token_id=PAD,
            eos_token_id=END,
            decoder_start_token_id=PAD,
            **SHAPE,
        )
    ).to(device)
    curve, cut = train(network, given, ids_NL, start + 60 * minutes, epochs, patience, device)
    trained = time.monotonic() - start - quantized
    lists_QW = generate(network, given, ids_NL, device)
    np.savez(
        out,
        removed_QK=_lists(lists_QW, given, remove_seen=True),
        kept_QK=_lists(lists_QW, given, remove_seen=False),
    )
    settings = SHAPE | {"beams": BEAMS, "history": HISTORY, "batch": BATCH, "learning_rate": RATE}
    return {
        "minutes": {
            "quantise": quantized / 60,
            "train": trained / 60,
            "recommend": (time.monotonic() - start - quantized - trained) / 60,
        },
        "epochs": len(curve),
        "best_epoch": int(np.argmin(curve)) + 1,
        "validation_loss": curve,
        "cut": bool(cut),
        "settings": settings | {"items that share three codes": float((ids_NL[:, -1] > ids_NL[:, -1].min()).mean())},
        "given": "MiniLM vectors of the same words, in the semantic IDs",
        "versions": {name: version(name) for name in ("torch-rechub", "torch", "transformers", "numpy")},
    }


if __name__ == "__main__":
    print("measured: " + json.dumps(main(**json.loads(sys.stdin.read()))), flush=True)
