"""`mmrec fit`: from a dataset folder to a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.options import Compute, MaxLeftOutOption, TemplateOption
from mmrec.cli.output import Output


def fit(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset folder: items, events, pictures.")],
    out: Annotated[str, typer.Option("--out", metavar="BUNDLE", help="Bundle folder; a new version is added to it.")],
    preset: Annotated[
        str,
        typer.Option("--preset", metavar="embedded|standard", help="embedded downloads nothing; standard is larger."),
    ] = "embedded",
    require: Annotated[
        str, typer.Option("--require", metavar="picture|words", help="Leave out items without a picture, or words.")
    ] = "",
    max_left_out: MaxLeftOutOption = -1.0,
    min_rating: Annotated[
        float | None,
        typer.Option(
            "--min-rating",
            metavar="R",
            help="Events rated lower are negative; 0: all are positive; default: by dataset.toml or the rating scale.",
            show_default=False,
        ),
    ] = None,
    image_model: Annotated[
        str,
        typer.Option("--image-model", metavar="MODEL", help="An open_clip model, or small: trained on the pictures."),
    ] = "",
    finetune_minutes: Annotated[
        float,
        typer.Option(
            "--finetune-minutes",
            metavar="M",
            help="Time limit for fine-tuning the preset's image model, for 10,000 pictures or more; 0: never.",
        ),
    ] = 15.0,
    text_model: Annotated[
        str, typer.Option("--text-model", metavar="MODEL", help="A text embedder, by hub id or folder.")
    ] = "",
    language_model: Annotated[
        str,
        typer.Option(
            "--language-model",
            metavar="MODEL",
            help="A pretrained LLM by hub id, folder or GGUF file, tuned by LoRA.",
        ),
    ] = "",
    tuning: Annotated[
        str,
        typer.Option(
            "--tuning", metavar="lora|full|frozen", help="What of a pretrained LLM is trained beside the item tokens."
        ),
    ] = "lora",
    first_layers: Annotated[
        int, typer.Option("--first-layers", metavar="N", help="Keep only these layers of a pretrained LLM; 0: all.")
    ] = 0,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Train a pretrained LLM in less memory, and slower.")
    ] = False,
    instructions: Annotated[
        str,
        typer.Option(
            "--instructions",
            metavar="FOLDER",
            help="Train the LLM on all tasks of this set of `mmrec prepare` too; a pretrained one then reads wishes.",
        ),
    ] = "",
    dictionary: Annotated[
        str,
        typer.Option(
            "--dictionary",
            metavar="FOLDER",
            help="WordNet's database files: definitions of the words of wishes, such as /usr/share/wordnet of Debian.",
        ),
    ] = "",
    encoders_from: Annotated[
        str,
        typer.Option("--encoders-from", metavar="BUNDLE", help="Use this bundle's encoders instead of training any."),
    ] = "",
    start_from: Annotated[
        str,
        typer.Option(
            "--start-from", metavar="BUNDLE", help="Train this bundle's LLM on, with its encoders: pre-training."
        ),
    ] = "",
    template: TemplateOption = "",
    tokenizer: Annotated[
        str,
        typer.Option(
            "--tokenizer",
            metavar="residual-kmeans|rq-vae|opq|random|sequential|collaborative",
            help="How semantic IDs are made; with the last three, new items get none.",
        ),
    ] = "residual-kmeans",
    max_history: Annotated[
        int, typer.Option("--max-history", metavar="N", help="Number of most recent items that the LLM reads.")
    ] = 50,
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", help="Epochs of the LLM at most; 0: by preset.")] = 0,
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", metavar="M", help="Time limit for training the LLM; 0: none.")
    ] = 0.0,
    log_dir: Annotated[
        str, typer.Option("--log-dir", metavar="FOLDER", help="Write training curves for TensorBoard there.")
    ] = "",
    compare_modalities: Annotated[
        bool,
        typer.Option("--compare-modalities", help="Also fit with pictures alone and words alone, for the metrics."),
    ] = False,
    split: Annotated[
        str, typer.Option("--split", metavar="leave-one-out|time", help="Which events are held out for evaluation.")
    ] = "leave-one-out",
    relabel_ids: Annotated[
        bool,
        typer.Option("--relabel-ids", help="Random item ids in random order; for experiments only."),
    ] = False,
    holds_changes: Annotated[
        int,
        typer.Option(
            "--holds-changes",
            metavar="N",
            help="The dataset includes a live catalogue's changes up to N; `mmrec serve --store` replays later ones.",
            show_default=False,
        ),
    ] = -1,
    events_from: Annotated[
        str,
        typer.Option(
            "--events-from",
            metavar="STORE",
            help="Fit on the events of this store of `mmrec serve --store` too, which follow those of the dataset.",
        ),
    ] = "",
    cache: Annotated[
        str,
        typer.Option(
            "--cache",
            metavar="FOLDER",
            help="Vector cache, shared by fits and by mmrec embed. [BUNDLE/.fit/cache]",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be trained: parameters, memory, steps.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run every stage again, ignoring results of earlier fits.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Same seed, same machine: same bundle.")] = 0,
    *,
    compute: Compute,
    output: Output,
) -> None:
    """Embed, fuse, quantise, train, evaluate, and publish a bundle.

    The same command resumes after a kill. The bundle is published as a whole or not at all. Vectors of pictures and
    texts are cached by content: another fit into the folder, or with the same --cache, encodes only what has changed.
    On several GPUs, start it with accelerate launch -m or torchrun -m.

    Example:
        mmrec fit data/shop --out bundle/
        mmrec fit data/films --out bundle/ --require picture --max-minutes 20
        mmrec fit data/shop --out bundle/ --dry-run
        mmrec fit data/shop --out bundle/ --instructions instructions/
        mmrec fit data/shop --out bundle/ --events-from changes/
        mmrec fit data/shop --out bundle/ --start-from bundle-of-another-shop/
        torchrun --nproc-per-node 4 -m mmrec fit data/shop --out bundle/
    """
    from dataclasses import replace
    from pathlib import Path

    from mmrec.cli.recorded import dataset_with_events
    from mmrec.cli.tables import print_evaluation, print_tasks
    from mmrec.runtime.processes import in_main_process
    from mmrec.training import FitRun, fit_dataset, plan_fit
    from mmrec.training import preset as preset_config

    config = preset_config(preset, language_model=language_model)
    training = replace(config.training, max_minutes=max_minutes, epochs=epochs or config.training.epochs)
    config = replace(
        config,
        image_model=image_model,
        finetune_minutes=finetune_minutes,
        text_model=text_model,
        encoders_from=encoders_from,
        start_from=start_from,
        template=template or None,
        require=require,  # type: ignore[arg-type]  # checked by FitConfig
        max_left_out=None if max_left_out == -1.0 else max_left_out,
        min_rating=min_rating,
        split=split,  # type: ignore[arg-type]  # checked by FitConfig
        relabel_ids=relabel_ids,
        compare_modalities=compare_modalities,
        seed=seed,
        device=compute.device,
        dtype=compute.dtype,
        tokenizer=replace(config.tokenizer, kind=tokenizer),  # type: ignore[arg-type]  # checked by TokenizerConfig
        generator=replace(
            config.generator,
            max_history=max_history,
            tuning=tuning,  # type: ignore[arg-type]  # checked by GeneratorConfig
            first_layers=first_layers,
            gradient_checkpointing=gradient_checkpointing,
        ),
        training=training,
        instructions=replace(config.instructions, folder=instructions),
        dictionary=dictionary,
    )
    recorded = None
    if events_from:
        recorded = dataset_with_events(Path(dataset), events_from, Path(out))
        dataset = recorded.folder
    if dry_run:
        plan = plan_fit(dataset, config)
        output.data(plan)
        output.table(
            "What would be trained",
            ("what", "how much"),
            [
                ("items", f"{plan.items:,}"),
                ("training events", f"{plan.events:,}"),
                ("parameters", f"{plan.parameters:,}"),
                ("trained parameters", f"{plan.trained:,}"),
                ("memory, about", f"{plan.memory_bytes / 2**20:,.0f} MiB"),
                ("epochs at most", f"{plan.epochs:,}"),
                ("steps of an epoch", f"{plan.steps:,}"),
            ],
        )
        return
    # Of several processes, only the main one prints.
    prints = in_main_process(compute.device)
    output = output if prints else Output(json=output.json, quiet=True)
    if recorded and recorded.left_out.users:
        events, users = recorded.left_out
        output.note(f"events of deleted customers that are left out of the dataset: {events:,} (customers: {users:,})")
    run = FitRun(
        cache=Path(cache) if cache else None,
        log_dir=Path(log_dir) if log_dir else None,
        holds_changes=None if holds_changes == -1 else holds_changes,
        holds_events=recorded.events if recorded else None,
        holds_deletions=recorded.deletions if recorded else None,
        fresh=fresh,
    )
    result = fit_dataset(
        dataset,
        out,
        config,
        output.progress(),
        run=run,
        note=output.note,
    )
    if not prints:
        return
    if result.unreadable:
        output.note(f"{result.unreadable} pictures could not be read; `mmrec check {dataset}` names them")
    if result.bare:
        output.note(
            f"{result.bare:,} items have neither words nor a readable picture: they are recommended from events alone, "
            "and search and similar items do not return them"
        )
    output.data(
        {
            "bundle": str(result.bundle),
            "version": result.version.name,
            "items_without_content": result.bare,
            "best_epoch": result.best_epoch,
            "seconds": result.seconds,
            "dataset_rows": result.summary,
            "tokens": result.tokens.as_json(),
            **result.evaluation.as_json(),
            "tasks": [figures.as_json() for figures in result.tasks],
        }
    )
    if result.evaluation.questions:
        print_evaluation(output, result.evaluation)
    if result.tasks:
        print_tasks(output, [figures.as_json() for figures in result.tasks])
    output.table(
        f"Semantic IDs: {result.tokens.collision_share:.1%} of items share their codes with another item",
        result.tokens.columns,
        result.tokens.rows,
    )
    output.table("Time", ("stage", "seconds"), [(name, f"{value:.1f}") for name, value in result.seconds.items()])
    output.note(f"published {result.version}")
