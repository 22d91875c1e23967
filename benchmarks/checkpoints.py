"""A ViT-B-32 CLIP with random weights, saved once for open_clip and once, the same weights, for transformers.

Speed does not depend on what the weights are, and equal weights let a benchmark check that all contenders did the
same work. Nothing is downloaded: the vocabulary is the one that open_clip ships.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.kept import staged
from benchmarks.report import WORK

MODEL = "ViT-B-32"


class Checkpoints(NamedTuple):
    """Folders of the same model.

    Attributes:
        open_clip: With ``open_clip_config.json``; what mmrec takes as ``--image-model``.
        transformers: With ``config.json``; what sentence-transformers and infinity-emb take.
    """

    open_clip: Path
    transformers: Path


def clip_checkpoints(seed: int = 0) -> Checkpoints:
    """The checkpoint in both layouts; made if need be."""
    folder = WORK / f"{MODEL}-random-{seed}"
    found = Checkpoints(folder / "open_clip", folder / "transformers")
    if folder.is_dir():
        return found
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = open_clip.get_model_config(MODEL)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config).eval()
    preprocess = {"mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD)}
    with staged(folder) as staging:
        (staging / "open_clip").mkdir()
        _write_json(
            staging / "open_clip" / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": preprocess}
        )
        save_file(model.state_dict(), staging / "open_clip" / "open_clip_model.safetensors")
        _for_transformers(model.state_dict(), preprocess, staging / "transformers")
    return found


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _for_transformers(weights: dict[str, Any], preprocess: dict[str, Any], folder: Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPModel

    # Its defaults are ViT-B-32; open_clip's activation is the exact GELU.
    shape = CLIPConfig(text_config={"hidden_act": "gelu"}, vision_config={"hidden_act": "gelu"})
    model = CLIPModel(shape)
    own = {
        "logit_scale": weights["logit_scale"],
        "text_model.embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": weights["positional_embedding"],
        "text_projection.weight": weights["text_projection"].T,
        "vision_model.embeddings.class_embedding": weights["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": weights["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": weights["visual.positional_embedding"],
        "visual_projection.weight": weights["visual.proj"].T,
    }
    norms = (
        ("text_model.final_layer_norm", "ln_final"),
        ("vision_model.pre_layrnorm", "visual.ln_pre"),
        ("vision_model.post_layernorm", "visual.ln_post"),
    )
    own |= {f"{to}.{part}": weights[f"{of}.{part}"] for to, of in norms for part in ("weight", "bias")}
    for to, of in (("text_model", "transformer"), ("vision_model", "visual.transformer")):
        for layer in range(12):
            own |= _block(weights, f"{of}.resblocks.{layer}", f"{to}.encoder.layers.{layer}")
    left = model.load_state_dict({name: value.contiguous() for name, value in own.items()}, strict=False)
    if left.unexpected_keys or any(not name.endswith("position_ids") for name in left.missing_keys):
        raise AssertionError(f"the two layouts do not match: {left}")
    folder.mkdir(parents=True)
    with torch.no_grad():
        model.save_pretrained(folder, safe_serialization=True)
    _write_processor(preprocess, folder)


def _block(weights: dict[str, Any], of: str, to: str) -> dict[str, Any]:
    """One transformer block; open_clip keeps the three input projections of attention in one matrix."""
    found = {}
    for part in ("weight", "bias"):
        for name, value in zip("qkv", weights[f"{of}.attn.in_proj_{part}"].chunk(3), strict=True):
            found[f"{to}.self_attn.{name}_proj.{part}"] = value
        found |= {
            f"{to}.self_attn.out_proj.{part}": weights[f"{of}.attn.out_proj.{part}"],
            f"{to}.layer_norm1.{part}": weights[f"{of}.ln_1.{part}"],
            f"{to}.layer_norm2.{part}": weights[f"{of}.ln_2.{part}"],
            f"{to}.mlp.fc1.{part}": weights[f"{of}.mlp.c_fc.{part}"],
            f"{to}.mlp.fc2.{part}": weights[f"{of}.mlp.c_proj.{part}"],
        }
    return found


def _write_processor(preprocess: dict[str, Any], folder: Path) -> None:
    """Tokenizer and picture preprocessing as Hugging Face folders have them, from what open_clip ships."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    vocabulary = {
        {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}.get(word, word): number
        for word, number in tokenizer.encoder.items()
    }
    _write_json(folder / "vocab.json", vocabulary)
    merges = "\n".join(" ".join(pair) for pair in tokenizer.bpe_ranks)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": 77,
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
        },
    )
    _write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "processor_class": "CLIPProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": 224},
            "resample": 3,
            "do_center_crop": True,
            "crop_size": {"height": 224, "width": 224},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": preprocess["mean"],
            "image_std": preprocess["std"],
        },
    )
