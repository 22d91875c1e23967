"""What is imported and prepared in the process that the commands of `tests.commands` are forked from."""

import gc
from importlib import import_module

from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from typer.main import get_command

from mmrec.cli.app import build_app

for name in (
    "mmrec.demo.visit",
    "mmrec.generator.pretrained",
    "mmrec.training",
    "mmrec_encoders.presets",
    "mmrec_serving.server",
    # What these import when they first load a model.
    "sentence_transformers",
    "timm",
    "transformers.models.bert.modeling_bert",
):
    import_module(name)
# The first call compiles a thousand regular expressions, and the first program imports the libraries of its parser.
get_checkpoint_conversion_mapping("bert")
get_command(build_app())
# Collections in the children leave out what is here, so that they are short and copy no pages.
gc.freeze()
