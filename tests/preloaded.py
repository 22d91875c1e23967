"""What is imported and prepared in the process that the commands of `tests.commands` are forked from."""

import gc
import io
from contextlib import redirect_stdout, suppress
from importlib import import_module

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from mmrec.cli.app import run

gc.disable()
for name in (
    "mmrec.demo.visit",
    "mmrec.generator.pretrained",
    "mmrec.training",
    "mmrec_encoders.presets",
    "mmrec_serving.server",
    # What these import when they load a model or draw.
    "pydantic.type_adapter",
    "sentence_transformers",
    "timm",
    "transformers.models.bert.modeling_bert",
    "matplotlib.figure",
):
    import_module(name)
# The first call compiles a thousand regular expressions, and the first command reads the signatures of all of them.
get_checkpoint_conversion_mapping("bert")
with suppress(SystemExit), redirect_stdout(io.StringIO()):
    run(["--version"])
# Collections in the children leave out what is here, so that they are short and copy no pages.
gc.freeze()
gc.enable()
