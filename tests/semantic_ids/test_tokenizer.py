"""Every tokenizer keeps the contract of the interface, and what it was is read back from its tensors."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmrec.data.interactions import Interactions
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.semantic_ids.collaborative import CollaborativeConfig
from mmrec.semantic_ids.config import TOKENIZERS, TokenizerConfig
from mmrec.semantic_ids.rq_vae import RqVaeConfig
from mmrec.semantic_ids.tokenizer import FittedTokens, fit_tokenizer, tokenizer_from_tensors

ITEMS, DIMENSION = 150, 8
QUICK = {"iterations": 4, "codebook_size": 16, "rq_vae": RqVaeConfig(hidden=(16,), latent=8, steps=20)}
BOTH = CollaborativeConfig(weight=0.5, dimension=4)
CONFIGS = [
    *(TokenizerConfig(kind=kind, levels=4 if kind == "opq" else 0, **QUICK) for kind in TOKENIZERS),  # type: ignore[arg-type]
    *(
        TokenizerConfig(kind=kind, levels=4, collaborative=BOTH, **QUICK)  # type: ignore[arg-type]
        for kind in ("residual-kmeans", "rq-vae", "opq")
    ),
]


def embeddings() -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=(ITEMS, DIMENSION)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


def histories() -> Interactions:
    rows = np.random.default_rng(1).integers(0, ITEMS - 10, size=400)
    return Interactions.from_columns([f"u{n // 8}" for n in range(400)], rows, range(400))


@pytest.fixture(params=CONFIGS, ids=[f"{c.kind}{'+customers' if c.collaborative.weight else ''}" for c in CONFIGS])
def config(request: pytest.FixtureRequest) -> TokenizerConfig:
    assert isinstance(request.param, TokenizerConfig)
    return request.param


@pytest.fixture
def fitted(config: TokenizerConfig) -> FittedTokens:
    return fit_tokenizer(embeddings(), histories(), config, seed=0)


def test_every_item_has_a_path_of_its_own_within_the_widths(config: TokenizerConfig, fitted: FittedTokens) -> None:
    tokenizer, paths = fitted
    assert paths.dtype == np.int32
    assert paths.shape == (ITEMS, tokenizer.levels + 1)
    assert tokenizer.levels == config.quantizer.levels == len(tokenizer.widths)
    assert (paths[:, :-1] >= 0).all()
    assert (paths[:, :-1].max(axis=0) < tokenizer.widths).all()
    assert len(np.unique(paths, axis=0)) == ITEMS


def test_what_is_read_back_makes_the_same_paths(fitted: FittedTokens, tmp_path: Path) -> None:
    tensors = fitted.tokenizer.tensors() | {"semantic_ids": fitted.semantic_ids_NP}
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, tmp_path / "t.safetensors")
    again = tokenizer_from_tensors(load_file(tmp_path / "t.safetensors"))
    assert (again.levels, again.widths, again.encodes_new) == (
        fitted.tokenizer.levels,
        fitted.tokenizer.widths,
        fitted.tokenizer.encodes_new,
    )
    new = embeddings()[::-1] * 0.5
    if not again.encodes_new:
        with pytest.raises(FailedPreconditionError):
            again.encode(new)
        return
    codes = fitted.tokenizer.encode(new)
    assert np.array_equal(again.encode(new), codes)
    assert np.array_equal(again.decode(codes), fitted.tokenizer.decode(codes))


def test_a_new_item_gets_a_path_and_the_path_an_embedding(config: TokenizerConfig, fitted: FittedTokens) -> None:
    assert fitted.tokenizer.encodes_new == config.quantises
    if config.quantises:
        new = embeddings()[:3]
        codes = fitted.tokenizer.encode(new)
        assert codes.shape == (3, fitted.tokenizer.levels)
        assert codes.dtype == np.int32
        assert fitted.tokenizer.encode(new[:0]).shape == (0, fitted.tokenizer.levels)
        assert fitted.tokenizer.decode(codes).shape == (3, DIMENSION)
        if not config.collaborative.weight:
            assert np.array_equal(codes, fitted.semantic_ids_NP[:3, :-1])


def test_the_same_seed_gives_the_same_tokens(config: TokenizerConfig, fitted: FittedTokens) -> None:
    again = fit_tokenizer(embeddings(), histories(), config, seed=0)
    assert np.array_equal(again.semantic_ids_NP, fitted.semantic_ids_NP)
    first, second = fitted.tokenizer.tensors(), again.tokenizer.tensors()
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_with_what_customers_did_items_of_one_history_come_under_one_code() -> None:
    """Two kinds of customers over items whose content says nothing."""
    content = embeddings()
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.integers(0, 75, 8) + 75 * (user % 2) for user in range(400)])
    train = Interactions.from_columns([f"u{n // 8}" for n in range(len(rows))], rows, range(len(rows)))
    shares = []
    for weight in (0.0, 3.0):
        config = TokenizerConfig(levels=1, codebook_size=2, collaborative=CollaborativeConfig(weight, dimension=2))
        code = fit_tokenizer(content, train, config, seed=0).semantic_ids_NP[:, 0]
        shares.append(max(float(np.mean(code[:75] == kind) + np.mean(code[75:] != kind)) / 2 for kind in (0, 1)))
    assert shares[0] < 0.7
    assert shares[1] > 0.95


def test_each_kind_has_its_own_number_of_levels() -> None:
    assert {kind: TokenizerConfig(kind=kind).quantizer.levels for kind in TOKENIZERS} == {
        "residual-kmeans": 3,
        "rq-vae": 3,
        "opq": 16,
        "random": 3,
        "sequential": 3,
        "collaborative": 3,
    }


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"kind": "bpe"}, "tokenizer is 'bpe'"),
        ({"levels": 65}, "levels is 65"),
        ({"codebook_size": 1}, "codebook_size is 1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"kind": "random", "collaborative": BOTH}, "quantises nothing"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        TokenizerConfig(**bad)  # type: ignore[arg-type]


def test_when_an_embedding_is_not_finite() -> None:
    with pytest.raises(InvalidArgumentError, match="NaN"):
        fit_tokenizer(np.full((3, 2), np.nan, np.float32), histories(), TokenizerConfig(kind="random"), seed=0)


def test_when_tensors_are_of_no_tokenizer() -> None:
    with pytest.raises(KeyError, match="no known tokenizer"):
        tokenizer_from_tensors({"semantic_ids": np.zeros((1, 2), np.int32)})


def test_the_codebooks_of_an_older_bundle_are_residual_k_means() -> None:
    stored = {"semantic_ids": np.zeros((1, 3), np.int32), "codebooks": np.eye(4, dtype=np.float32).reshape(2, 2, 4)}
    tokenizer = tokenizer_from_tensors(stored)
    assert (tokenizer.levels, tokenizer.widths, tokenizer.encodes_new) == (2, (2, 2), True)
    assert tokenizer.encode(np.array([[0, 1, 0, 1]], np.float32)).tolist() == [[1, 1]]
