"""An event, its principal and its payload's bytes in; a :class:`Footprint` out: keyed hashes.

Theory of operation
-------------------
A footprint replaces an event by what recall compares: an id, up to two business keys, a session
and up to two digests, 64 bits each. They count as exact. For honest senders that is arithmetic:
a million entries meet a new key by chance once in 10^13. For dishonest ones it is the secret:
who does not have it cannot look for two payloads with one hash, nor for keys that crowd one
corner of recall's table.

Each kind of hash starts from its own state, which has consumed the secret and the kind's tag
before the first event comes; so an id never equals a key, and a short text costs one
compression. Texts are joined by ASCII's "unit separator" (0x1F), a control character, which no
schema lets into a string: no two lists of parts give the same text.

Source: RFC 7693 (BLAKE2b, keyed); design.md §3a rules 2 and 13.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from edge.core.event import KEY_ATTRIBUTES, BusinessKey, Event
from edge.core.principal import Kind, Principal
from edge.core.record import Footprint

SECRET_BYTES_MIN: Final = 16  # 128 bits: not to be guessed
SECRET_BYTES_MAX: Final = blake2b.MAX_KEY_SIZE

_HASH_BYTES: Final = 8  # a word of recall's table, and of a record on disk
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER: Final = msgspec.json.Encoder()


class Footprints:
    """Takes footprints under one secret.

    Args:
        secret: Random, 16 to 64 bytes, kept with the spool: under another one nothing that is
            on disk would be known again.
    """

    def __init__(self, secret: bytes) -> None:
        assert SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX
        self._id = _tagged(secret, b"i")
        self._key = _tagged(secret, b"k")
        self._digest = _tagged(secret, b"d")
        self._session = _tagged(secret, b"s")
        # The events of a batch share one session: 0.5 µs less for each but the first.
        self._last_session = ""
        self._last_session_hash = 0

    def of(self, event: Event, principal: Principal, data: bytes) -> Footprint:
        """Take the footprint of one authorised event.

        Args:
            event: As decoded.
            principal: Gives ids their scope, and a client's events brand and jurisdiction.
            data: The payload re-encoded, JSON.
        """
        spec, wire = event.spec, event.wire
        if principal.kind is Kind.PLAYER:
            brand, jurisdiction = principal.brand, principal.jurisdiction
            identity = f"c\x1f{wire.subject}\x1f{wire.id}"
            owner = wire.subject
        else:
            brand, jurisdiction = wire.brand or "", wire.jurisdiction or ""
            identity = f"s\x1f{principal.client_id}\x1f{wire.id}"
            owner = brand
        about = f"{spec.type}\x1f{wire.subject}\x1f{brand}\x1f{jurisdiction}\x1f".encode()
        key = key2 = digest2 = 0
        if spec.keys:
            key = _hash(self._key, _key_text(event, owner, spec.keys[0]))
            if len(spec.keys) > 1:
                key2 = _hash(self._key, _key_text(event, owner, spec.keys[1]))
                digest2 = _hash(self._digest, about + _without(data, spec.keys[1].ignoring))
        return Footprint(
            event.time_ms,
            _hash(self._id, identity.encode()),
            _hash(self._digest, about + data),
            key,
            key2,
            digest2,
            self.session(wire.session or "") if wire.seq else 0,
            wire.seq or 0,
        )

    def session(self, session: str) -> int:
        """Return the name under which recall knows a session.

        Args:
            session: UUID text, as in the event or the token's ``sid``.
        """
        if session != self._last_session:
            self._last_session_hash = _hash(self._session, session.encode())
            self._last_session = session
        return self._last_session_hash


def _tagged(secret: bytes, tag: bytes) -> blake2b:
    """Begin a kind of hash; the tag's byte makes the state digest the secret's block now."""
    return blake2b(tag, digest_size=_HASH_BYTES, key=secret)


def _hash(state: blake2b, text: bytes) -> int:
    """Return the hash of *text*; 0 is taken, it stands for "none"."""
    hasher = state.copy()
    hasher.update(text)
    return int.from_bytes(hasher.digest(), "little") or 1


def _key_text(event: Event, owner: str, key: BusinessKey) -> bytes:
    """Join a business key's parts, with the fields' names: two keys of a type never meet."""
    text = f"{event.spec.type}\x1f{owner}"
    for field in key.fields:
        holder = event.wire if field in KEY_ATTRIBUTES else event.wire.data
        text += f"\x1f{field}\x1f{getattr(holder, field)}"
    return text.encode()


def _without(data: bytes, ignored: tuple[str, ...]) -> bytes:
    """Leave members out of a payload's JSON; the others keep their order and their bytes."""
    if not ignored:
        return data
    members = _MEMBERS.decode(data)
    return _ENCODER.encode({name: members[name] for name in members if name not in ignored})
