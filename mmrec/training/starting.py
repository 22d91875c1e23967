"""Starts a generator from the bundle of another catalogue: pre-training on one or several, fine-tuning on the last.

Bundles may be chained: each is fitted on its catalogue, starting from the one before. Unit of work: one bundle.
"""

from __future__ import annotations

from dataclasses import replace

from safetensors.torch import load_file

from mmrec.bundle import Bundle
from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.generator.backbone import load_backbone
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.model import Generator
from mmrec.recommender.artefact import GENERATOR, SETTINGS

_SHAPE = ("hidden", "layers", "heads", "qk_norm", "decoder_layers", "path_keys")


def started_config(config: GeneratorConfig, bundle: Bundle) -> GeneratorConfig:
    """The configuration with the shape of a bundle's LLM.

    Raises:
        InvalidArgumentError: the bundle's LLM was a pretrained one.
    """
    known = GeneratorConfig(**bundle.read_json(SETTINGS)["generator"])
    if known.pretrained:
        raise InvalidArgumentError(
            f"start_from is {str(bundle.root)!r}, whose LLM is {known.pretrained!r}, tuned; only a small decoder is "
            "trained on: pass a bundle without a language model of its own, or --language-model instead",
            field="start_from",
        )
    return replace(config, **{name: getattr(known, name) for name in _SHAPE})


def start_generator(generator: Generator, bundle: Bundle, fused: int) -> None:
    """Give a generator the weights of a bundle's that do not belong to its catalogue.

    Args:
        generator: Of `started_config`, on the CPU.
        bundle: The bundle.
        fused: Dimensions of a fused embedding.

    Raises:
        BundleError: the bundle's files do not fit each other.
    """
    folder = bundle.path(f"{GENERATOR}/heads.safetensors").parent
    decoder, _ = load_backbone(folder / "backbone")
    weights = load_file(folder / "heads.safetensors")
    weights |= {f"backbone.{name}": weight for name, weight in decoder.state_dict().items()}
    if "catalogue.project.weight" not in weights:
        raise BundleError(f"{folder} has no weights of item tokens; it was written by another version: fit again")
    generator.start_from(weights, fused)
