"""`mmrec serve`: the gRPC server of a bundle."""

from __future__ import annotations

import json as json_format
import logging
from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.options import DeviceOption, DtypeOption, JsonFlag, QuietFlag
from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError, NotFoundError


def serve(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder.")],
    host: Annotated[
        str, typer.Option("--host", help="Listen here; 0.0.0.0 is every network of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes any free port.")] = 50051,
    max_queue: Annotated[
        int, typer.Option("--max-queue", metavar="N", help="Calls that may wait; more are refused.")
    ] = 256,
    max_batch: Annotated[int, typer.Option("--max-batch", metavar="N", help="Requests computed at once.")] = 32,
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE", help="Callers must send the token in this file.")
    ] = "",
    tls_cert: Annotated[
        str, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM); turns TLS on.")
    ] = "",
    tls_key: Annotated[str, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).")] = "",
    client_ca: Annotated[
        str,
        typer.Option("--client-ca", metavar="FILE", help="Callers need a certificate of this authority."),
    ] = "",
    grace: Annotated[float, typer.Option("--grace", metavar="SECONDS", help="For running calls when stopped.")] = 10.0,
    max_connection_age: Annotated[
        float,
        typer.Option("--max-connection-age", metavar="SECONDS", help="Renew connections; 0 for never."),
    ] = 0.0,
    store: Annotated[
        str, typer.Option("--store", metavar="FOLDER", help="Keep changes of the catalogue here; without: none.")
    ] = "",
    fold_after: Annotated[
        int,
        typer.Option("--fold-after", metavar="N", help="Fold N changes into a new version of the bundle; 0 for never."),
    ] = 0,
    fold_every: Annotated[
        float,
        typer.Option("--fold-every", metavar="SECONDS", help="Fold what has changed so often; 0 for not by time."),
    ] = 0.0,
    keep_versions: Annotated[
        int, typer.Option("--keep-versions", metavar="N", help="Versions that stay when folding; 0 for all.")
    ] = 0,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with any version that becomes current, without a SIGHUP.")
    ] = False,
    reflection: Annotated[
        bool, typer.Option("--reflection/--no-reflection", help="Let callers list the services.")
    ] = True,
    access_log: Annotated[
        str,
        typer.Option(
            "--access-log",
            metavar="none|errors|all",
            help="Which calls get a line in the log; of failures alike only the first ones, then their number.",
        ),
    ] = "errors",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Serve a bundle over gRPC until SIGTERM or Ctrl-C, then let running calls finish.

    The address is printed on stdout when the server answers calls; with --json as one line of JSON.

    On SIGHUP it goes on with the version of the bundle that is current by then; no call fails, and changes that the
    store keeps are brought into it first. With --fold-after or --fold-every it makes such versions itself.

    Example:
        mmrec serve bundle/ --port 50051
        mmrec serve bundle/ --store changes/ --fold-after 10000 --keep-versions 3
        mmrec serve bundle/ --host 0.0.0.0 --port 0 --token-file token.txt --json
    """
    # Flags are checked before anything heavy is imported.
    from mmrec_serving.config import ServerConfig

    config = ServerConfig(
        host=host,
        port=port,
        max_queue=max_queue,
        max_batch=max_batch,
        token=_read_token(token_file) if token_file else None,
        tls_cert=Path(tls_cert) if tls_cert else None,
        tls_key=Path(tls_key) if tls_key else None,
        client_ca=Path(client_ca) if client_ca else None,
        grace_s=grace,
        reflection=reflection,
        access_log=access_log,  # type: ignore[arg-type]  # it is checked there
        max_connection_age_s=max_connection_age or None,
        store=Path(store) if store else None,
        fold_after=fold_after,
        fold_every_s=fold_every or None,
        keep_versions=keep_versions,
        watch=watch,
    )
    if not Path(bundle).is_dir():
        raise NotFoundError(f"there is no bundle folder {bundle!r}; make one with: mmrec fit DATASET --out {bundle}")

    from mmrec.recommender import Recommender
    from mmrec_serving.server import serve as run_server

    # The ids of internal errors must be found in the log, so --quiet keeps warnings and errors.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mmrec_serving").setLevel(logging.WARNING if quiet else logging.INFO)
    out = Output(json=json, quiet=quiet)

    def say_ready(address: str) -> None:
        typer.echo(json_format.dumps({"address": address, "status": "SERVING"}) if json else address)

    run_server(
        lambda: Recommender.load(bundle, device=device, dtype=dtype),
        config,
        on_listening=lambda address: out.note(f"listening on {address}, loading {bundle}"),
        on_ready=say_ready,
    )
    out.note("stopped")


def _read_token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise NotFoundError(f"cannot read a token from {path!r}: {getattr(err, 'strerror', 'not text')}") from err
    if not token:
        raise InvalidArgumentError(f"the token file {path!r} is empty; write the token into it", field="token_file")
    return token
