"""An event, its principal and its payload's bytes in; a :class:`Footprint` out: keyed hashes.

Theory of operation
-------------------
A footprint replaces an event by what recall compares: an id, up to two business keys, a session
and up to two digests, 64 bits each. They count as exact. For honest senders that is arithmetic:
a million entries meet a new key by chance once in 10^13. For dishonest ones it is the secret:
who does not have it cannot look for two payloads with one hash, nor for keys that crowd one
corner of recall's table.

Each kind of hash starts from its own state, which has taken in the secret and the kind's tag
before the first event comes; so an id never equals a key, and a short text costs one
compression. The secret simply stands before the text: BLAKE2 lets nobody lengthen a text whose
beginning they do not know, and its keyed mode, which proves no more, costs 0.2 µs more each.
Texts are joined by ASCII's "unit separator" (0x1F), a control character, which no schema lets
into a string: no two lists of parts give the same text.

Source: RFC 7693; Aumasson et al., BLAKE2 (2013), §2.2 and §5.1; design.md §3a rules 2 and 13.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from edge.core.event import KEY_ATTRIBUTES, BusinessKey, Event, Spec
from edge.core.principal import Kind, Principal
from edge.core.record import Footprint

SECRET_BYTES_MIN: Final = 16  # 128 bits: not to be guessed
SECRET_BYTES_MAX: Final = 64  # with a tag and a usual id still one block of 128

SESSIONS_KEPT: Final = 4096  # 0.7 MiB; more players than that rarely share a second

_PLAYER: Final = Kind.PLAYER
_DATA: Final = b',"data":'  # before it stand plain strings only, in which quotes are escaped
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER: Final = msgspec.json.Encoder()
# A word of recall's table, and of a record on disk. Asking for a digest of 8 bytes in the first
# place costs 0.1 µs more.
_first_word: Final = Struct("<Q").unpack_from


class _Key(NamedTuple):
    """A business key as it is read from events of one type.

    Attributes:
        template: Takes the owner and the fields' values, as ``%`` does; the fields' names in
            it keep two keys of a type from ever meeting.
        read: Gives the values, a tuple.
        ignored: Members of ``data`` that the digest compared under it leaves out.
    """

    template: str
    read: Callable[[Any], tuple[object, ...]]
    ignored: tuple[str, ...]


class Footprints:
    """Takes footprints under one secret.

    Args:
        secret: Random, 16 to 64 bytes, kept with the spool: under another one nothing that is
            on disk would be known again.
    """

    def __init__(self, secret: bytes) -> None:
        assert SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX
        self._id = blake2b(secret + b"i")
        self._key = blake2b(secret + b"k")
        self._digest = blake2b(secret + b"d")
        self._session = blake2b(secret + b"s")
        self._keys: dict[str, list[_Key]] = {}  # by type: as many as the catalogue has
        # Hashing one anew costs 0.5 µs; who plays sends more than one event.
        self._session_hash = lru_cache(SESSIONS_KEPT)(self._hash_session)

    def of(self, event: Event, principal: Principal) -> Footprint:
        """Take the footprint of one authorised event.

        Args:
            event: As decoded.
            principal: Gives ids their scope, and a client's events brand and jurisdiction.
        """
        spec, wire = event.spec, event.wire
        if principal.kind is _PLAYER:
            brand, jurisdiction = principal.brand, principal.jurisdiction
            identity = f"c\x1f{wire.subject}\x1f{wire.id}"
            owner = wire.subject
        else:
            brand, jurisdiction = wire.brand or "", wire.jurisdiction or ""
            identity = f"s\x1f{principal.client_id}\x1f{wire.id}"
            owner = brand
        about = f"{spec.type}\x1f{wire.subject}\x1f{brand}\x1f{jurisdiction}\x1f".encode()
        _, _, data = event.json.partition(_DATA)
        key = key2 = digest2 = 0
        if spec.keys:
            keys = self._keys.get(spec.type) or self._read_keys(spec)
            key = _hash(self._key, _key_text(keys[0], owner, event))
            if len(keys) > 1:
                key2 = _hash(self._key, _key_text(keys[1], owner, event))
                digest2 = _hash(self._digest, about + _without(data, keys[1].ignored))
        return Footprint(
            event.time_ms,
            _hash(self._id, identity.encode()),
            _hash(self._digest, about + data),
            key,
            key2,
            digest2,
            self._session_hash(wire.session or "") if wire.seq else 0,
            wire.seq or 0,
        )

    def session(self, session: str) -> int:
        """Return the name under which recall knows a session.

        Args:
            session: UUID text, as in the event or the token's ``sid``.
        """
        return self._session_hash(session)

    def _hash_session(self, session: str) -> int:
        return _hash(self._session, session.encode())

    def _read_keys(self, spec: Spec) -> list[_Key]:
        keys = [_key(spec, key) for key in spec.keys]
        return self._keys.setdefault(spec.type, keys)


def _key(spec: Spec, key: BusinessKey) -> _Key:
    names = "".join(f"\x1f{field}\x1f%s" for field in key.fields)
    paths = [name if name in KEY_ATTRIBUTES else f"data.{name}" for name in key.fields]
    read = attrgetter(*paths) if len(paths) > 1 else _one(paths[0])
    return _Key(f"{spec.type}\x1f%s{names}", read, key.ignoring)


def _one(path: str) -> Callable[[Any], tuple[object, ...]]:
    """One getter alone would give its value, and no tuple."""
    get = attrgetter(path)
    return lambda wire: (get(wire),)


def _key_text(key: _Key, owner: str, event: Event) -> bytes:
    return (key.template % (owner, *key.read(event.wire))).encode()


def _hash(state: blake2b, text: bytes) -> int:
    """Return the hash of *text*; 0 is taken, it stands for "none"."""
    hasher = state.copy()
    hasher.update(text)
    (word,) = _first_word(hasher.digest())
    return word or 1


def _without(data: bytes, ignored: tuple[str, ...]) -> bytes:
    """Leave members out of a payload's JSON; the others keep their order and their bytes.

    Args:
        data: With the brace that closes the event, as the digest takes it.
        ignored: The members' names.
    """
    if not ignored:
        return data
    members = _MEMBERS.decode(data[:-1])
    return _ENCODER.encode({name: members[name] for name in members if name not in ignored})
