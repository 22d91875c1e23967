"""The way of OpenP5, LC-Rec and LETTER: histories spelled in codes, `generate` with `prefix_allowed_tokens_fn`.

A decoder-only model over code tokens, a dictionary trie asked once per beam and step. `LanguageModelScorer` lets
mmrec's search score its steps by the same model, to see whether both find the same items.
"""

# Axes: B requests, P codes of a path, W beams, C children, N items

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import Tensor

from mmrec.semantic_ids.decode_index import Children, DecodeIndex

PAD, BEGIN, END, SPECIAL = 0, 1, 2, 3


class SpelledCodes:
    """A model with random weights that writes semantic IDs code by code.

    Args:
        paths_NP: Semantic IDs of the catalogue. Shape: (N, P), int32.
        hidden: Width of the model.
        layers: Its layers.
        heads: Attention heads.
        device: Where it computes.
        sharpness: Factor on the initial weights of the output layer: random weights of the usual size make nearly flat
            distributions, in which the order is decided by rounding.
    """

    def __init__(
        self,
        paths_NP: npt.NDArray[np.int32],
        *,
        hidden: int,
        layers: int,
        heads: int,
        device: torch.device,
        sharpness: float = 1.0,
    ) -> None:
        self.offsets_P = np.concatenate([[0], np.cumsum(paths_NP.max(axis=0) + 1)[:-1]]) + SPECIAL
        self.tokens_NP = paths_NP + self.offsets_P
        self.device = device
        config = transformers.Qwen3Config(
            hidden_size=hidden,
            intermediate_size=4 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            head_dim=hidden // heads,
            vocab_size=int(self.tokens_NP.max()) + 1,
            tie_word_embeddings=False,
            pad_token_id=PAD,
            bos_token_id=BEGIN,
            eos_token_id=END,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = transformers.Qwen3ForCausalLM(config).to(device).eval()
        with torch.no_grad():
            self.model.lm_head.weight.mul_(sharpness)
        trie: dict[tuple[int, ...], set[int]] = {}
        for path in self.tokens_NP.tolist():
            for depth, token in enumerate(path):
                trie.setdefault(tuple(path[:depth]), set()).add(token)
        self._allowed = {prefix: sorted(children) for prefix, children in trie.items()}
        self._row = {tuple(path): row for row, path in enumerate(self.tokens_NP.tolist())}

    def spell(self, histories: list[npt.NDArray[np.int32]]) -> Tensor:
        """Histories of one length as tokens. Shape: (B, T * P), int64."""
        return torch.tensor(np.stack([self.tokens_NP[history].ravel() for history in histories]), device=self.device)

    @torch.inference_mode()
    def generate(self, histories: list[npt.NDArray[np.int32]], width: int) -> list[list[int]]:
        """Catalogue rows found for each history, best first."""
        prompt = self.spell(histories)
        length = prompt.shape[1]
        levels = self.tokens_NP.shape[1]
        written = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            num_beams=width,
            num_return_sequences=width,
            # All paths are of one length: a token that ends them would cost the peer a step and change its scores.
            max_new_tokens=levels,
            do_sample=False,
            prefix_allowed_tokens_fn=lambda _, tokens: self._allowed[tuple(tokens[length:].tolist())],
        )
        paths = written[:, length : length + levels].tolist()
        rows = [self._row.get(tuple(path), -1) for path in paths]
        return [rows[begin : begin + width] for begin in range(0, len(rows), width)]


class LanguageModelScorer:
    """Steps of one search scored as `generate` scores them: log-softmax over the whole vocabulary."""

    def __init__(self, peer: SpelledCodes, histories: list[npt.NDArray[np.int32]], index: DecodeIndex) -> None:
        self._peer, self._index = peer, index
        self._prompt_BT = peer.spell(histories)
        self._tokens_NP = torch.from_numpy(index.sorted_paths() + peer.offsets_P).to(peer.device)

    @torch.inference_mode()
    def step(self, nodes_BW: Tensor, children: Children, depth: int) -> Tensor:
        """See `mmrec.semantic_ids.path_search.PathScorer`."""
        batch, beams = nodes_BW.shape
        # A node's codes are the first ones of any item below it.
        prefix_BWl = self._tokens_NP[self._index.item_begin[depth][nodes_BW], :depth]
        prompt_BWT = self._prompt_BT.unsqueeze(1).expand(-1, beams, -1)
        tokens = torch.cat([prompt_BWT, prefix_BWl], dim=2).flatten(0, 1)
        logits_BWV = self._peer.model(tokens, logits_to_keep=1).logits.float().log_softmax(-1).view(batch, beams, -1)
        found_BWC = logits_BWV.gather(2, children.codes + int(self._peer.offsets_P[depth]))
        return torch.where(children.exists, found_BWC, float("-inf"))

    def keep(self, parents_BW: Tensor) -> None:
        """Nothing: all follows from the nodes."""
