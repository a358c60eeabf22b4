"""Tries everything ``edge serve`` needs, in its order, without listening: ``edge check``.

In go the settings; out comes one finding for each thing tried. Where it can, it does what serve
does, by the same code: a new spool or log is made, one that crashed is recovered. What it
cannot try beside a running gateway (its ports and its locks) it tells apart from mistakes.
"""

import enum
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from edge.config import (
    Config,
    ConfigError,
    DirectiveSettings,
    Issuer,
    Limits,
    OriginSettings,
    SpoolSettings,
)
from edge.core.keyset import KeySetRefused, read_key_set
from edge.core.lane import Lane
from edge.core.push import PUSH_TOPIC
from edge.shell.clock import SystemClock
from edge.shell.directive_file import DirectiveFile
from edge.shell.journal import LINE_BYTES_MAX, harmless
from edge.shell.keys.fetch import FetchFailed
from edge.shell.keys.source import open_source
from edge.shell.listen import PortTaken, listen
from edge.shell.origin import open_origin, open_push_reader
from edge.shell.spool.claim import SpoolLocked, stranger, volatile
from edge.shell.spool.process import LOCK_NAME, Spool, worker_directory
from origin_client.notice import DEAD_TOPIC, REFUSED_TOPIC
from origin_client.origin import OriginUnavailable, Surveyable

SURVEY_S: Final = 10.0  # a cluster of three that changes its leaders answers again by then


class Level(enum.StrEnum):
    """What a finding means for a start now: nothing, a doubt, a wait, or a mistake."""

    OK = "ok"
    WARNING = "warning"
    TAKEN = "taken"
    ERROR = "error"


_EXIT_CODES: Final = {Level.OK: 0, Level.WARNING: 0, Level.TAKEN: 1, Level.ERROR: 78}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was tried.

    Attributes:
        level: What it means.
        path: The setting; ``""`` for the file as a whole.
        text: What was found, and what to do about it.
    """

    level: Level
    path: str
    text: str


def check(path: Path | None, environ: Mapping[str, str]) -> list[Finding]:
    """Try the settings in the file at *path* (``None``: no file) and in *environ*."""
    config, faults = Config.survey(path, environ)
    if config is None:
        return [Finding(Level.ERROR, fault.path, fault.complaint) for fault in faults]
    findings = [
        _try("http.port", lambda: _take("http", config.http.host, config.http.port)),
        _try("admin.port", lambda: _take("admin", config.admin.host, config.admin.port)),
        *_try_issuers(config),
        *_try_directives(config.directives),
        *_doubt_addresses(config.limits),
    ]
    lock = worker_directory(config.spool) / LOCK_NAME
    if (owner := stranger(lock)) is not None:
        # Recovery, and the embedded log, would leave files that their user cannot read.
        complaint = f"{lock} belongs to user {owner}: run edge check as that user"
        return [*findings, Finding(Level.ERROR, "spool.path", complaint)]
    findings.append(_try("spool.path", lambda: _open_spool(config.spool)))
    if findings[-1].level is Level.TAKEN:
        # Whoever has the spool has the embedded log too: one line tells the operator enough.
        return findings
    return [*findings, *_doubt_room(config.spool), *_try_origin(config.origin)]


def render(finding: Finding, *, as_json: bool) -> str:
    """Write *finding* as one line, for machines or for people."""
    if as_json:
        return msgspec.json.encode(finding).decode()
    path = f"{finding.path}: " if finding.path else ""
    return harmless(f"{finding.level.value:8}{path}{finding.text}", LINE_BYTES_MAX)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 78 if there is a mistake, else 1 if another process is in the way, else 0."""
    return max(_EXIT_CODES[finding.level] for finding in findings)


def _try(path: str, attempt: Callable[[], Finding | str]) -> Finding:
    """Make the finding of one attempt; text is a good one at *path*."""
    try:
        found = attempt()
    except ConfigError as error:
        return Finding(Level.ERROR, error.path, error.complaint)
    except (PortTaken, SpoolLocked) as error:
        return Finding(Level.TAKEN, path, str(error))
    return Finding(Level.OK, path, found) if isinstance(found, str) else found


def _take(section: str, host: str, port: int) -> str:
    listen(section, host, port, backlog=None).close()
    return "is free" if port else "takes a free one"


def _try_issuers(config: Config) -> Iterator[Finding]:
    for index, issuer in enumerate(config.auth.issuers):
        path = f"auth.issuers[{index}]"
        yield _try(path, partial(_read_keys, issuer, path, config))


def _read_keys(issuer: Issuer, path: str, config: Config) -> Finding:
    """Read the keys once, as the keyring does.

    A key server that does not answer is only a doubt: serve starts without keys and answers 503
    until there are some. What answers, and is no key set, is the wrong address.

    Raises:
        ConfigError: No source, two, or one that may not be read.
    """
    source = open_source(issuer, path, Path(config.spool.path), config.auth.jwks_refresh_s)
    path = f"{path}.jwks_path" if issuer.jwks_path else f"{path}.jwks_url"
    try:
        key_set = read_key_set(source.read(), issuer.algorithm)
    except KeySetRefused as error:
        return Finding(Level.ERROR, path, f"is no key set to believe: {error}")
    except FetchFailed as error:
        return Finding(Level.WARNING, path, f"cannot be fetched now: {error}")
    except OSError as error:
        return Finding(Level.ERROR, path, f"cannot be read: {error.strerror}")
    if key_set.skipped:
        return Finding(Level.WARNING, path, f"not all is used: {'; '.join(key_set.skipped)}")
    count = len(key_set.keys)
    return Finding(Level.OK, path, "has 1 key" if count == 1 else f"has {count} keys")


def _try_directives(settings: DirectiveSettings) -> Iterator[Finding]:
    """Read the directives once, as serve does; one that cannot be believed is only a doubt."""
    if settings.source is None or settings.keys is None:
        return
    file = DirectiveFile(Path(settings.source), Path(settings.keys))
    reading = file.read(tuple, SystemClock().now().unix_ns)
    for name, why in reading.errors.items():
        yield Finding(Level.ERROR, f"directives.{name}", f"cannot be used: {why}")
    if reading.refused:
        doubt = f"lines that are not believed: {reading.refused}; {'; '.join(reading.told)}"
        yield Finding(Level.WARNING, "directives.source", doubt)
    elif not reading.errors:
        found = f"can be read; directives that are believed: {len(reading.believed)}"
        yield Finding(Level.OK, "directives.source", found)


def _doubt_addresses(limits: Limits) -> Iterator[Finding]:
    """Doubt that only requests, or only sockets, are counted by address: behind a proxy."""
    per_address = limits.connections.per_address
    if limits.address is None and per_address is not None:
        doubt = (
            f"is {per_address}, and limits.address is false: where a proxy makes one address of "
            "all clients, no more than these get a socket; set it to false there"
        )
        yield Finding(Level.WARNING, "limits.connections.per_address", doubt)
    elif limits.address is not None and per_address is None:
        doubt = (
            f"is {limits.address.quota} in {limits.address.window_s} s, and "
            "limits.connections.per_address is false: where a proxy makes one address of all "
            "clients, they share these; set it to false there"
        )
        yield Finding(Level.WARNING, "limits.address", doubt)


def _open_spool(settings: SpoolSettings) -> Finding:
    spool = Spool.open(msgspec.structs.replace(settings, lock_wait_s=0))
    waiting = sum(lane.records_at_start for lane in spool.statistics().values())
    spool.close()
    if kind := volatile(Path(settings.path)):
        doubt = f"lies on {kind}, which may lose what was accepted; spool.allow_volatile is set"
        return Finding(Level.WARNING, "spool.path", doubt)
    return Finding(Level.OK, "spool.path", f"opens; {waiting} records wait in it")


def _doubt_room(settings: SpoolSettings) -> Iterator[Finding]:
    """Doubt a bound that the disk is too small for: then every lane waits, and not the fullest."""
    directory = Path(settings.path)
    if not directory.is_dir():  # it could not be made, which was told
        return
    held_bytes = sum(each.stat().st_size for each in directory.rglob("*.seg"))
    room_bytes = held_bytes + shutil.disk_usage(directory).free
    if room_bytes < settings.bytes_max:
        doubt = (
            f"is {settings.bytes_max >> 20} MiB, and {room_bytes >> 20} MiB is all that "
            f"{directory} could take: when the disk is full, every lane waits"
        )
        yield Finding(Level.WARNING, "spool.bytes_max", doubt)


def _try_origin(settings: OriginSettings) -> list[Finding]:
    """Open the origin, and ask it for the topics.

    One that does not answer is only a doubt: serve starts without it, and accepts into the
    spool. So is a topic that is missing: its lane waits, or sockets get no pushes.
    """
    try:
        origin = open_origin(settings)
    except ConfigError as error:
        return [Finding(Level.ERROR, error.path, error.complaint)]
    lacks: list[str] = []
    try:
        topics = [*(lane.topic for lane in Lane), REFUSED_TOPIC, DEAD_TOPIC]
        lacks += origin.survey(topics, SURVEY_S) if isinstance(origin, Surveyable) else []
        lacks += _try_pushes(settings)
    except OriginUnavailable as error:
        lacks.append(f"cannot be used now: {error}")
    finally:
        origin.close()
    doubts = [Finding(Level.WARNING, "origin.url", lack) for lack in lacks]
    return doubts or [Finding(Level.OK, "origin.url", "opens")]


def _try_pushes(settings: OriginSettings) -> list[str]:
    """Say what the topic of pushes lacks, which is only read.

    Raises:
        OriginUnavailable: It cannot be asked.
    """
    reader = open_push_reader(settings)
    if reader is None:  # of an origin that is never read, and needs no such topic
        return []
    try:
        found = reader.survey([PUSH_TOPIC], SURVEY_S) if isinstance(reader, Surveyable) else []
    finally:
        reader.close()
    return [f"{lack}: until then sockets get no pushes" for lack in found]
