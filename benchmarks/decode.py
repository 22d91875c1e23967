"""Constrained generation: mmrec's beam search against Hugging Face `generate` with `prefix_allowed_tokens_fn`.

The peer is the way of OpenP5, LC-Rec and LETTER: histories spelled in codes, a dictionary trie asked once per beam and
step. Backbones are of one shape with random weights, the catalogue is the same, both on this machine's device.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers

from benchmarks.options import Options
from benchmarks.report import Report
from mmrec.device import resolve_device
from mmrec.generator.batches import pad_histories
from mmrec.generator.beam import beam_search
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.item_tokens import ItemTable
from mmrec.generator.model import Generator
from mmrec.tokens.decode_index import build_decode_index
from mmrec.tokens.semantic_ids import assign_semantic_ids

ITEMS, HISTORY, CODES, LEVELS, BEAM = 12_000, 50, 256, 3, 50
HIDDEN, LAYERS, HEADS = 128, 4, 4


def run(options: Options) -> None:
    """Measure both and publish the table."""
    where = resolve_device(options.device)
    rng = np.random.default_rng(0)
    paths = assign_semantic_ids(rng.integers(0, CODES, size=(ITEMS, LEVELS)).astype(np.int32))
    ours, theirs = _ours(paths, where), _theirs(paths, where)
    rows = []
    for batch in (1, 16):
        histories = [rng.integers(0, ITEMS, HISTORY).astype(np.int32) for _ in range(batch)]
        fast = _seconds(lambda h=histories: ours(h), repeats=10)
        slow = _seconds(lambda h=histories: theirs(h), repeats=2)
        rows.append((batch, 1000 * fast, batch / fast, 1000 * slow, batch / slow, slow / fast))
    Report(
        "decode",
        f"{ITEMS:,} items, histories of {HISTORY}, {LEVELS + 1} codes, beam {BEAM}, {LAYERS} layers, {HIDDEN} wide, "
        f"float32 on {where}; median of 10 (peer: 2) after one warm-up.",
        ("batch", "mmrec ms", "mmrec requests/s", "generate ms", "generate requests/s", "times"),
        rows,
    ).publish()


def _ours(paths: np.ndarray, device: torch.device) -> Callable[[list[np.ndarray]], object]:
    index = build_decode_index(paths).to(device)
    table = ItemTable(
        torch.randn(ITEMS, 256), torch.from_numpy(paths.astype(np.int64)), torch.ones(ITEMS, dtype=torch.bool)
    )
    config = GeneratorConfig(architecture="qwen3", hidden=HIDDEN, layers=LAYERS, heads=HEADS, max_history=HISTORY)
    model = Generator(config, table, index.widths).to(device).eval()
    with torch.inference_mode():
        tokens = model.item_tokens()
        keys = model.node_keys(tokens, index)

    @torch.inference_mode()
    def generate(histories: list[np.ndarray]) -> object:
        history, valid = pad_histories(histories, HISTORY)
        memory = model.read(history.to(device), valid.to(device), tokens)
        eligible = torch.ones(len(histories), ITEMS, dtype=torch.bool, device=device)
        return beam_search(model.semantic_id_head, memory, eligible, index, keys, width=BEAM).items_BW.cpu()

    return generate


def _theirs(paths: np.ndarray, device: torch.device) -> Callable[[list[np.ndarray]], object]:
    offsets = np.concatenate([[0], np.cumsum(paths.max(axis=0) + 1)[:-1]]) + 3
    tokens = paths + offsets
    end = 2
    trie: dict[tuple[int, ...], set[int]] = {}
    for path in tokens.tolist():
        for depth, token in enumerate([*path, end]):
            trie.setdefault(tuple(path[:depth]), set()).add(token)
    allowed = {prefix: sorted(children) for prefix, children in trie.items()}
    length = HISTORY * paths.shape[1]
    config = transformers.Qwen3Config(
        hidden_size=HIDDEN,
        intermediate_size=4 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HIDDEN // HEADS,
        vocab_size=int(tokens.max()) + 1,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=end,
    )
    model = transformers.Qwen3ForCausalLM(config).to(device).eval()

    @torch.inference_mode()
    def generate(histories: list[np.ndarray]) -> object:
        prompt = torch.tensor(np.stack([tokens[history].ravel() for history in histories]), device=device)
        return model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            num_beams=BEAM,
            num_return_sequences=BEAM,
            max_new_tokens=paths.shape[1] + 1,
            do_sample=False,
            prefix_allowed_tokens_fn=lambda _, written: allowed.get(tuple(written[length:].tolist()), [end]),
        ).cpu()

    return generate


def _seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
