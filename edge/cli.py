"""The command line: arguments in, one call, an exit code out.

0 is done, 1 failed, 2 a wrong usage, 78 a wrong configuration. What fails says so in one line
on standard error; results go to standard output, as JSON with ``--json``.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.cli_spool import add_spool
from edge.config import Config, ConfigError
from edge.console import (
    DONE,
    FAILED,
    MISCONFIGURED,
    USAGE,
    Environ,
    add_config,
    fail,
    keep_journal,
    load_config,
    say,
    tell,
)

if TYPE_CHECKING:
    from edge.shell.keys.mint import SigningKey
    from origin_client.origin import Options

Command = Callable[[argparse.Namespace, Environ], int]

_KEY: Final[dict[str, Any]] = {
    "type": Path,
    "required": True,
    "metavar": "FILE",
    "help": "PEM of the private key; made if absent",
}


def run(arguments: Sequence[str], environ: Environ) -> int:
    """Run the command that *arguments* name.

    Args:
        arguments: Without the program's name.
        environ: The environment, for settings.

    Returns:
        The exit code.

    Raises:
        SystemExit: 2 for a wrong usage, 0 after ``--help``.
    """
    parsed = _parser().parse_args(arguments)
    command: Command = parsed.command
    try:
        code = command(parsed, environ)
        sys.stdout.flush()  # here, where a reader that left is expected
    except ConfigError as error:
        return fail(str(error), MISCONFIGURED)
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has enough; Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge", description="An edge validation gateway for iGaming events."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the gateway"))
    _add_check(commands.add_parser("check", help="try all that serve needs, without listening"))
    _add_demo(commands.add_parser("demo", help="play one casino evening on loopback"))
    _add_probe(commands.add_parser("probe", help="ask a running gateway whether it is ready"))
    _add_token(commands.add_parser("token", help="a development issuer's keys and tokens"))
    add_spool(commands.add_parser("spool", help="look into a spool, in use or not; empty it"))
    _add_origin(commands.add_parser("origin", help="read what was forwarded; publish"))
    _add_schema(commands.add_parser("schema", help="print a machine-readable contract"))
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_serve)
    add_config(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_check)
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per finding")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_demo)
    parser.add_argument("--keep", action="store_true", help="stay up, and print a curl line")
    parser.add_argument("--seed", type=int, help="play the evening that a failed run named")


def _add_probe(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_probe)
    parser.add_argument("url", metavar="URL", help="of the admin port, http://HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_token(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    mint = commands.add_parser("mint", help="print a signed token")
    mint.set_defaults(command=_token_mint)
    mint.add_argument("--key", **_KEY)
    mint.add_argument("--iss", required=True, help="issuer, as the settings name it")
    mint.add_argument("--aud", required=True, help="audience, as the settings name it")
    mint.add_argument("--sub", required=True, help="player id, or the service's name")
    mint.add_argument("--scope", required=True, help="such as 'events:write stream:read'")
    mint.add_argument("--sid", metavar="UUID", help="session: makes it a player's token")
    mint.add_argument("--brand", help="of the player, and only of one")
    mint.add_argument("--jurisdiction", help="of the player, such as MT or US-NJ")
    mint.add_argument("--ttl", type=int, metavar="S", help="seconds until it expires")
    revoke = commands.add_parser("revoke", help="print a signed revocation, a line of a source")
    revoke.set_defaults(command=_token_revoke)
    revoke.add_argument("--key", **_KEY)
    named = revoke.add_mutually_exclusive_group(required=True)
    named.add_argument("--session", metavar="UUID", help="revoke one session")
    named.add_argument("--sub", help="or a player, in all sessions")
    named.add_argument("--jti", action="append", help="or one token, or more")
    revoke.add_argument("--ttl", type=int, metavar="S", help="seconds until it ends; 0 lifts")
    revoke.add_argument("--id", help="its name: a later one of that name replaces it")
    jwks = commands.add_parser("jwks", help="print the key set that verifies the tokens")
    jwks.set_defaults(command=_token_jwks)
    jwks.add_argument("--key", **_KEY)


def _add_origin(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    cat = commands.add_parser("cat", help="print the records of a topic")
    cat.set_defaults(command=_origin_cat)
    _add_topic(cat)
    cat.add_argument("--json", action="store_true", help="one JSON object per record")
    put = commands.add_parser("put", help="publish standard input, one CloudEvent a line")
    put.set_defaults(command=_origin_put)
    _add_topic(put)
    put.add_argument(
        "--key", default="", help="of all records; the same one keeps them in order"
    )


def _add_topic(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", metavar="URL", help="log:PATH or kafka://HOST:PORT,…")
    add_config(parser)
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the origin, over those of the settings; a secret's NAME ends in _file",
    )
    parser.add_argument("--topic", required=True, help="such as edge.bet.v1")


def _add_schema(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_schema)
    parser.add_argument("name", choices=("openapi", "asyncapi", "config", "catalogue"))


def _serve(arguments: argparse.Namespace, environ: Environ) -> int:
    config = Config.load(arguments.config, environ)

    from edge.app import serve
    from edge.shell.listen import PortTaken
    from edge.shell.spool.claim import SpoolLocked

    keep_journal()
    try:
        return serve(config)
    except (PortTaken, SpoolLocked) as error:
        return fail(str(error), FAILED)


def _demo(arguments: argparse.Namespace, _: Environ) -> int:
    from edge.demo import evening

    return evening.main(seed=arguments.seed, is_kept=arguments.keep, out=sys.stdout)


def _check(arguments: argparse.Namespace, environ: Environ) -> int:
    from edge.shell.check import check, exit_code, render

    findings = check(arguments.config, environ)
    for finding in findings:
        say(render(finding, as_json=arguments.json))
    return exit_code(findings)


def _probe(arguments: argparse.Namespace, _: Environ) -> int:
    import msgspec

    from edge.shell.probe import ProbeFailed, probe

    try:
        readiness = probe(arguments.url)
    except ValueError as error:
        return fail(str(error), USAGE)
    except ProbeFailed as error:
        return fail(str(error), FAILED)
    if arguments.json:
        say(msgspec.json.encode(readiness).decode())
    else:
        say("ready" if readiness.ready else "not ready")
        for part, state in readiness.probes.items():
            say(f"{part}: {state}")
    return DONE if readiness.ready else FAILED


def _token_mint(arguments: argparse.Namespace, _: Environ) -> int:
    from edge.shell.clock import SystemClock
    from edge.shell.keys.mint import TTL_S, Grant, mint, passing_key, read_signing_key
    from edge.shell.keys.trial import caution, complaint

    if typed := _mint_complaint(arguments):
        return fail(typed, USAGE)
    grant = Grant(
        iss=arguments.iss,
        aud=arguments.aud,
        sub=arguments.sub,
        scope=arguments.scope,
        sid=arguments.sid,
        brand=arguments.brand,
        jurisdiction=arguments.jurisdiction,
        ttl_s=TTL_S if arguments.ttl is None else arguments.ttl,
    )
    now, path = SystemClock().now(), arguments.key
    try:
        trial_key = read_signing_key(path)
    except ConfigError:
        # Whoever mistyped an option is told of that first, and no key is made.
        trial_key = passing_key()
    if refused := complaint(trial_key, grant, now):
        return fail(refused, USAGE)
    if needed := caution(grant):
        tell(needed)
    say(mint(_signing_key(path), grant, now))
    return DONE


def _mint_complaint(arguments: argparse.Namespace) -> str | None:
    """Say what a gateway would pass over: a typing error, and hard to see later."""
    from edge.core.lane import Lane

    known = ["events:write", "stream:read", *(f"facts:{lane}" for lane in Lane)]
    if unknown := set(arguments.scope.split(" ")).difference(known):
        return f"--scope knows no {min(unknown)!r}, but {', '.join(known)}"
    return None


def _token_revoke(arguments: argparse.Namespace, _: Environ) -> int:
    from edge.core.directive import DirectiveRefused, read_directive
    from edge.core.keyset import read_key_set
    from edge.shell.clock import SystemClock
    from edge.shell.keys.direct import Order, revoke
    from edge.shell.keys.mint import key_set

    order = Order(
        session=arguments.session,
        subject=arguments.sub,
        jtis=tuple(arguments.jti) if arguments.jti else None,
    )
    if arguments.ttl is not None:
        order = replace(order, ttl_s=arguments.ttl)
    if arguments.id is not None:
        order = replace(order, name=arguments.id)
    key = _signing_key(arguments.key)
    signed = revoke(key, order, SystemClock().now())
    try:
        read_directive(signed.encode(), read_key_set(key_set(key), None).keys)
    except DirectiveRefused as error:
        return fail(f"no gateway would believe it: {error}", USAGE)
    say(signed)
    return DONE


def _token_jwks(arguments: argparse.Namespace, _: Environ) -> int:
    from edge.shell.keys.mint import key_set

    say(key_set(_signing_key(arguments.key)).decode())
    return DONE


def _origin_cat(arguments: argparse.Namespace, environ: Environ) -> int:
    from origin_client.cat import cat
    from origin_client.origin import OriginError, OriginUnavailable

    url, options = _origin(arguments, environ)
    try:
        records = cat(url, options, arguments.topic, sys.stdout, as_json=arguments.json)
    except (OriginError, OriginUnavailable) as error:
        return fail(str(error), FAILED)
    if not records:
        tell(f"nothing was written to {arguments.topic} yet")
    return DONE


def _origin_put(arguments: argparse.Namespace, environ: Environ) -> int:
    from origin_client.origin import OriginError, OriginUnavailable
    from origin_client.put import put

    url, options = _origin(arguments, environ)
    # What is no UTF-8 stays what it is: the origin says that it takes no such key.
    key = os.fsencode(arguments.key)
    try:
        records, complaints = put(url, options, arguments.topic, sys.stdin.buffer, key=key)
    except (OriginError, OriginUnavailable) as error:
        return fail(str(error), FAILED)
    for complaint in complaints:
        tell(complaint)
    tell(f"{records} published to {arguments.topic}")
    return FAILED if complaints else DONE


def _origin(arguments: argparse.Namespace, environ: Environ) -> "tuple[str, Options]":
    """Return which origin is meant: what the URL says, or else the settings."""
    options = dict(option.partition("=")[::2] for option in arguments.option)
    if arguments.url is not None:
        return arguments.url, options
    settings = load_config(arguments, environ, "URL").origin
    return settings.url, {**settings.options, **options}


def _schema(arguments: argparse.Namespace, _: Environ) -> int:
    import orjson

    from edge.core.asyncapi import asyncapi_document
    from edge.core.openapi import catalogue_document, openapi_document
    from edge.settings_schema import settings_schema

    documents = {
        "openapi": openapi_document,
        "asyncapi": asyncapi_document,
        "config": settings_schema,
        "catalogue": catalogue_document,
    }
    say(orjson.dumps(documents[arguments.name](), option=orjson.OPT_INDENT_2).decode())
    return DONE


def _signing_key(path: Path) -> "SigningKey":
    from edge.shell.keys.mint import ensure_key, read_signing_key

    if ensure_key(path):
        tell(f"made a new key, {path}")
    return read_signing_key(path)
