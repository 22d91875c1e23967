"""`mmrec models`: pretrained models that come in Python packages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.output import Output

CacheOption = Annotated[
    Path,
    typer.Option("--cache", metavar="DIR", envvar="MMREC_MODELS", help="Folder of fetched models."),
]
_CACHE = Path("~/.cache/mmrec/models")


def list(cache: CacheOption = _CACHE, *, output: Output) -> None:
    """List the models that come in packages: where from, licence, size, hash, and whether they are here.

    Any model of the Hugging Face hub, a folder or a GGUF file can take the place of each: see mmrec fit --help.

    Example:
        mmrec models list
    """
    from mmrec.errors import ModelNotAvailableError
    from mmrec.runtime.packaged_models import PACKAGED_MODELS, check_published, packaged_file

    described = []
    for model in PACKAGED_MODELS:
        file = packaged_file(model, cache.expanduser())
        state = "not here"
        if file is not None:
            try:
                check_published(model, file)
                state = "here"
            except ModelNotAvailableError as err:
                state = err.message
        described.append(
            {
                "name": model.name,
                "model": model.title,
                "use": model.use,
                "source": f"PyPI, {model.package} {model.version}",
                "licence": model.licence,
                "bytes": model.size,
                "sha256": model.sha256,
                "state": state,
                "file": str(file or ""),
            }
        )
    output.data({"models": described})
    for one in described:
        rows = [(what, one[what]) for what in one if what != "name"]
        output.table(str(one["name"]), ("", ""), rows)


def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that mmrec models list shows.")],
    cache: CacheOption = _CACHE,
    *,
    output: Output,
) -> None:
    """Fetch a model with pip into the cache folder, check its hash, and print its path.

    Nothing is installed. A model that is already here is checked and not fetched again.

    Example:
        mmrec models get smollm2-135m
        mmrec fit data/shop --out bundle/ --language-model "$(mmrec models get smollm2-135m)"

    Raises:
        NotFoundError: there is no such model.
        ModelNotAvailableError: it cannot be fetched, or is not the published one.
    """
    from mmrec.errors import NotFoundError
    from mmrec.runtime.model_fetching import fetch_model
    from mmrec.runtime.packaged_models import PACKAGED_MODELS

    models = {model.name: model for model in PACKAGED_MODELS}
    if name not in models:
        raise NotFoundError(f"there is no packaged model {name!r}; there are {', '.join(models)}")
    file = fetch_model(models[name], cache.expanduser(), output.progress())
    output.data({"name": name, "file": str(file), "sha256": models[name].sha256})
    if not output.json:
        typer.echo(file)
