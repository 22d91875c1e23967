"""`mmrec serve`: the gRPC server of a bundle."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from mmrec.cli.engines import recommender_loader
from mmrec.cli.id_lists import read_text_file
from mmrec.cli.options import Compute, Writing
from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.runtime.limits import check_choice, check_number

SWITCH_INTERVAL_S = 0.0005
"""A call that waits for the interpreter lock while items are encoded gets it ten times sooner than by default."""
_log = logging.getLogger(__name__)


class _Say(NamedTuple):
    """Tells the operator something; as lines of the log where these are JSON."""

    note: Callable[[str], None]
    warn: Callable[[str], None]


_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def serve(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder.")],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for every network interface.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes any free port.")] = 50051,
    front_ends: Annotated[
        int,
        typer.Option(
            "--front-ends",
            metavar="N",
            help="Processes that take calls, in front of one for the engine; 0: one process does both.",
        ),
    ] = 0,
    max_queue: Annotated[
        int, typer.Option("--max-queue", metavar="N", help="Largest number of waiting calls; more are refused.")
    ] = 256,
    max_batch: Annotated[int, typer.Option("--max-batch", metavar="N", help="Largest batch of requests.")] = 32,
    max_bytes: Annotated[
        int,
        typer.Option(
            "--max-bytes",
            metavar="N",
            help="Bytes of large requests and of unread replies that are held in memory; more calls are refused.",
        ),
    ] = 256 * 1024 * 1024,
    max_pixels: Annotated[
        int,
        typer.Option(
            "--max-pixels",
            metavar="N",
            help="Pixels that the pictures of a call may have, a JPEG counted a quarter; calls with more are refused.",
        ),
    ] = 1_000_000_000,
    picture_sandbox: Annotated[
        bool,
        typer.Option(
            "--picture-sandbox/--no-picture-sandbox",
            help="Decode large pictures in a process of limited memory and time.",
        ),
    ] = True,
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE", help="File with the token that callers must send.")
    ] = "",
    keys: Annotated[
        str,
        typer.Option(
            "--keys", metavar="FILE", help="File of API keys with scopes and rates; see mmrec keys new --help."
        ),
    ] = "",
    without_keys: Annotated[
        bool,
        typer.Option("--without-keys", help="Let callers on other machines in without a key; they may do everything."),
    ] = False,
    tls_cert: Annotated[
        str, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM); turns TLS on.")
    ] = "",
    tls_key: Annotated[str, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).")] = "",
    client_ca: Annotated[
        str,
        typer.Option("--client-ca", metavar="FILE", help="Require a client certificate of this authority (PEM)."),
    ] = "",
    grace: Annotated[
        float, typer.Option("--grace", metavar="SECONDS", help="Time for running calls to finish.")
    ] = 10.0,
    max_connection_age: Annotated[
        float,
        typer.Option("--max-connection-age", metavar="SECONDS", help="Close connections of this age; 0 for never."),
    ] = 0.0,
    max_connection_idle: Annotated[
        float,
        typer.Option(
            "--max-connection-idle", metavar="SECONDS", help="Close connections without calls after it; 0 for never."
        ),
    ] = 1800.0,
    max_connections: Annotated[
        int,
        typer.Option(
            "--max-connections", metavar="N", help="Connections at once; 0 for half of the process's open files."
        ),
    ] = 0,
    max_calls: Annotated[
        int,
        typer.Option("--max-calls", metavar="N", help="Calls of one connection at once; clients keep others back."),
    ] = 1000,
    max_streams: Annotated[
        int,
        typer.Option(
            "--max-streams", metavar="N", help="Open streams of one key, or address without keys; more are refused."
        ),
    ] = 256,
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="FOLDER|URL",
            help="Folder, or URL of a PostgreSQL or Redis, for changes of the catalogue and events; without, none.",
        ),
    ] = "",
    fold_after: Annotated[
        int,
        typer.Option(
            "--fold-after", metavar="N", help="Compact after N changes, into a new version of the bundle; 0 for never."
        ),
    ] = 0,
    fold_every: Annotated[
        float,
        typer.Option("--fold-every", metavar="SECONDS", help="Compact at this interval, if anything changed; 0: not."),
    ] = 0.0,
    keep_versions: Annotated[
        int, typer.Option("--keep-versions", metavar="N", help="Versions of the bundle kept by compaction; 0 for all.")
    ] = 0,
    watch: Annotated[
        bool, typer.Option("--watch", help="Switch to a new current version of the bundle without a SIGHUP.")
    ] = False,
    trial_seconds: Annotated[
        float,
        typer.Option(
            "--trial-seconds",
            metavar="N",
            help="Most time for another process to load a new version of the bundle before the server does; 0: not.",
        ),
    ] = 1800.0,
    reflection: Annotated[
        bool, typer.Option("--reflection/--no-reflection", help="gRPC reflection: callers may list the services.")
    ] = True,
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            metavar="HOST:PORT",
            help="Prometheus metrics over HTTP; a port alone is of this machine, 0 any free one. Empty: none.",
        ),
    ] = "",
    traces: Annotated[
        str,
        typer.Option("--traces", metavar="URL", help="Send OpenTelemetry traces to this collector, by OTLP over gRPC."),
    ] = "",
    trace_share: Annotated[
        float,
        typer.Option("--trace-share", metavar="0..1", help="Calls that are traced, where their callers do not decide."),
    ] = 1.0,
    access_log: Annotated[
        str,
        typer.Option(
            "--access-log",
            metavar="none|errors|all",
            help="Calls that get a line in the log; of equal failures only the first ones, then their number.",
        ),
    ] = "errors",
    log_format: Annotated[
        str, typer.Option("--log-format", metavar="text|json", help="Lines of the log, on stderr.")
    ] = "text",
    wording_queue: Annotated[
        int,
        typer.Option("--wording-queue", metavar="N", help="Replies that may wait for the language model."),
    ] = 8,
    *,
    compute: Compute,
    writing: Writing,
    output: Output,
) -> None:
    """Serve a bundle over gRPC until SIGTERM or Ctrl-C, then let running calls finish.

    The address is printed on stdout when the server is ready; with --json as one line of JSON.

    With --keys every call needs a key that allows it; the file is read again when it changes. --token-file has one
    token that allows everything.

    On SIGHUP it switches to the current version of the bundle, after applying the changes in the store to it; no call
    fails. Another process, within limits of memory and time, loads the version first and asks it: a version that does
    not pass is not served, the log says why, and the server goes on as it is. With --fold-after or --fold-every it
    writes such versions itself, by compaction of the recorded changes.

    With --front-ends calls are taken by processes of their own on the same port, and the engine's process is started
    again when it ends: calls are answered UNAVAILABLE until then, and connections stay.

    Servers share a store in PostgreSQL: --store postgresql://USER@HOST/DATABASE, with the password in ~/.pgpass (in the
    URL, the list of processes shows it), or in Redis: --store "redis://USER@HOST:6379/0?password_file=FILE". What one
    of them has recorded the others use within a second. mmrec fold compacts such a store.

    With --language-model the sentences of explanations and conversations are worded in a thread of their own, within
    --wording-seconds; where that is over, or --wording-queue is full, those of templates are sent.

    Example:
        mmrec serve bundle/ --port 50051
        mmrec serve bundle/ --store changes/ --fold-after 10000 --keep-versions 3
        mmrec serve bundle/ --language-model smollm2-135m
        mmrec serve bundle/ --host 0.0.0.0 --keys keys.toml --tls-cert cert.pem --tls-key key.pem
        mmrec serve bundle/ --metrics 9464 --traces http://localhost:4317 --trace-share 0.01
        mmrec serve bundle/ --host 0.0.0.0 --port 0 --token-file token.txt --json
    """
    # Until the server can switch to another version of the bundle, a SIGHUP asks for nothing and must not end it.
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    say = _start_log(log_format, output)
    # Flags are checked before anything heavy is imported.
    from mmrec_serving.config import ServerConfig

    if host not in _LOOPBACK:
        if not (token_file or keys or client_ca or without_keys):
            raise InvalidArgumentError(
                f"{host} can be reached from other machines, and every caller could do everything: pass --keys, "
                "--token-file or --client-ca, or else --without-keys",
                field="host",
            )
        if (token_file or keys) and not tls_cert:
            say.warn(
                f"callers of {host} send their keys unencrypted, unless a proxy adds TLS: pass --tls-cert and --tls-key"
            )
    metrics_host, metrics_port = _metrics_address(metrics)
    if metrics and metrics_host not in _LOOPBACK:
        say.warn(f"metrics on {metrics_host} can be read from other machines, by everybody")
    check_number("front_ends", front_ends, low=0, high=1_000)
    config = ServerConfig(
        host=host,
        port=port,
        max_queue=max_queue,
        max_batch=max_batch,
        wording_queue=wording_queue,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        picture_sandbox=picture_sandbox,
        token=_read_token(token_file, say) if token_file else None,
        keys=Path(keys) if keys else None,
        tls_cert=Path(tls_cert) if tls_cert else None,
        tls_key=Path(tls_key) if tls_key else None,
        client_ca=Path(client_ca) if client_ca else None,
        grace_s=grace,
        reflection=reflection,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        traces=traces,
        trace_share=trace_share,
        access_log=access_log,  # type: ignore[arg-type]  # it is checked there
        max_connection_age_s=max_connection_age or None,
        max_connection_idle_s=max_connection_idle or None,
        max_connections=max_connections,
        max_calls=max_calls,
        max_streams=max_streams,
        store=store or None,
        fold_after=fold_after,
        fold_every_s=fold_every or None,
        keep_versions=keep_versions,
        watch=watch,
        trial_s=trial_seconds or None,
    )
    if not Path(bundle).is_dir():
        raise NotFoundError(f"there is no bundle folder {bundle!r}; make one with: mmrec fit DATASET --out {bundle}")

    def say_listening(address: str) -> None:
        say.note(f"listening on {address}, loading {bundle}")

    def say_ready(address: str) -> None:
        typer.echo(json.dumps({"address": address, "status": "SERVING"}) if output.json else address)

    if front_ends:
        from mmrec_serving.processes import serve_in_processes
        from mmrec_serving.telemetry.json_lines import LogConfig
        from mmrec_serving.updates.child_process import command_of

        serve_in_processes(
            command_of("mmrec.cli.engine_process"),
            {"bundle": bundle, "compute": asdict(compute), "writing": asdict(writing)},
            front_ends,
            config,
            LogConfig(log_format, _level(output)),
            on_listening=say_listening,
            on_ready=say_ready,
        )
        say.note("stopped")
        return
    from mmrec_serving.server import serve as run_server

    load = recommender_loader(bundle, compute, writing)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    run_server(
        load,
        config,
        on_listening=say_listening,
        on_ready=say_ready,
    )
    say.note("stopped")


def _level(output: Output) -> int:
    # --quiet keeps warnings and errors: the log must contain the ids of internal errors.
    return logging.WARNING if output.quiet else logging.INFO


def _start_log(log_format: str, output: Output) -> _Say:
    check_choice("log_format", log_format, ("text", "json"))
    from mmrec_serving.telemetry.json_lines import LogConfig, start_log

    start_log(LogConfig(log_format, _level(output)))
    _log.setLevel(_level(output))
    if log_format == "json":
        return _Say(_log.info, _log.warning)
    return _Say(output.note, lambda text: output.note(f"warning: {text}"))


def _metrics_address(text: str) -> tuple[str, int | None]:
    """Host and port of ``HOST:PORT``, ``:PORT`` or ``PORT``; of an empty text no port."""
    host, _, port = text.strip().rpartition(":")
    if not text.strip():
        return _LOOPBACK[0], None
    if not (port.isascii() and port.isdecimal()):
        raise InvalidArgumentError(
            f"metrics is {text!r:.80}; pass HOST:PORT, such as 0.0.0.0:9464, or a port alone", field="metrics"
        )
    return host or _LOOPBACK[0], int(port)


def _read_token(path: str, say: _Say) -> str:
    token = read_text_file(Path(path), "a token").strip()
    if not token:
        raise InvalidArgumentError(f"the token file {path!r} is empty; write the token into it", field="token_file")
    mode = Path(path).stat().st_mode & 0o777
    if os.name == "posix" and mode & 0o077:
        say.warn(f"others may use the token file {path!r} (mode {mode:o}); run: chmod 600 {path}")
    return token
