"""Is everything there and whole: the database's records, the keyring and the stores compared with each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.principal import Text
from storage import seal
from storage.errors import Corrupt, KeyGone, NotFound
from storage.keyring import Keyring
from storage.sealed import SealedStore, read_key
from storage.store import ObjectStore

# Names of keys that belong to rows and to no object.
FIELDS = "field:"


class Fault(StrEnum):
    """What can be wrong with one object."""

    MISSING = "MISSING"
    KEYLESS = "KEYLESS"
    REMAINS = "REMAINS"
    WRONG_SIZE = "WRONG_SIZE"
    ALTERED = "ALTERED"
    ORPHAN = "ORPHAN"
    LOST_KEY = "LOST_KEY"


FAULT_TEXT: dict[Fault, Text] = {
    Fault.MISSING: Text("库中没有", "recorded, but not in the store"),
    Fault.KEYLESS: Text("密钥环里没有密钥", "no key in the keyring: it cannot be read"),
    Fault.REMAINS: Text("密钥已销毁，密文仍在", "its key was destroyed, but the ciphertext is still there"),
    Fault.WRONG_SIZE: Text("大小不符", "not of the recorded size"),
    Fault.ALTERED: Text("内容被改动", "altered: it does not authenticate, or is not what was recorded"),
    Fault.ORPHAN: Text("没有记录", "in the store without any record"),
    Fault.LOST_KEY: Text("密钥没有对应的对象", "a key without object or record"),
}


@dataclass(frozen=True)
class Expected:
    """An object that has to be in a store: size in bytes and SHA-256 of its plaintext, where they are recorded."""

    place: str
    object_id: str
    version: int
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Records:
    """What the database knows: objects that have to be there, and ids of rows that may have objects (`kind-<id>`)."""

    expected: Sequence[Expected]
    owners: frozenset[str]

    def owns(self, object_id: str) -> bool:
        """Whether a row stands behind an object id."""
        return object_id.rpartition("-")[2] in self.owners


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the object's place and name; `text` says it to people."""

    fault: Fault
    place: str
    name: str

    @property
    def text(self) -> Text:
        """The sentence in both languages."""
        said = FAULT_TEXT[self.fault]
        return Text(f"{self.place}/{self.name}：{said.zh}", f"{self.place}/{self.name}: {said.en}")


@dataclass(frozen=True)
class Listing:
    """What lies in the stores: size in bytes of the ciphertext, by place and key."""

    sizes: Mapping[tuple[str, str], int]

    @property
    def bytes(self) -> int:
        """All of it, for a progress bar."""
        return sum(self.sizes.values())


def listing(stores: Mapping[str, ObjectStore]) -> Listing:
    """Lists the sealed objects of every store; taken before the records, so that what is being stored is no orphan."""
    return Listing({(place, stat.key): stat.size for place, store in stores.items() for stat in store.list()})


def compare(
    found: Listing, records: Records, stores: Mapping[str, ObjectStore], keyring: Keyring
) -> Iterator[Finding]:
    """Yields what is wrong by names, keys and sizes; nothing is read.

    Beside a running portal things come and go between the two looks, so what seems missing or orphaned is looked at again.
    """
    keys = set(keyring.names())
    for one in records.expected:
        fault = _expected(one, found, stores[one.place], keyring, keys)
        if fault is not None:
            yield Finding(fault, one.place, _name(one))
    for place, key in found.sizes:
        named = read_key(key)
        if (named is None or not records.owns(named[0])) and _still(stores[place], key):
            yield Finding(Fault.ORPHAN, place, key)
    held = {named[0] for _, key in found.sizes if (named := read_key(key)) is not None}
    for name in sorted(keys - held):
        if not name.startswith(FIELDS) and not records.owns(name):
            yield Finding(Fault.LOST_KEY, "keyring", name)


def _expected(
    one: Expected, found: Listing, store: ObjectStore, keyring: Keyring, keys: set[str]
) -> Fault | None:
    size = found.sizes.get((one.place, _name(one)))
    if keyring.destroyed(one.object_id):
        return None if size is None or not _still(store, _name(one)) else Fault.REMAINS
    if size is None:
        try:
            size = store.stat(_name(one)).size
        except NotFound:
            return Fault.MISSING
    if one.object_id not in keys and not _has_key(keyring, one.object_id):
        return Fault.KEYLESS
    try:
        plain = seal.plain_size(size)
    except Corrupt:
        return Fault.ALTERED
    return Fault.WRONG_SIZE if one.size not in (None, plain) else None


def read_all(
    found: Listing, records: Records, sealed: Mapping[str, SealedStore], seen: Callable[[int], None]
) -> Iterator[Finding]:
    """Decrypts every object that has a record, and yields those that are not what was stored; only digests are kept.

    `seen` hears of the bytes of ciphertext that are done with.
    """
    recorded = {(one.place, _name(one)): one.sha256 for one in records.expected}
    for (place, key), size in found.sizes.items():
        named = read_key(key)
        if named is not None and _altered(sealed[place], *named, recorded.get((place, key))):
            yield Finding(Fault.ALTERED, place, key)
        seen(size)


def _altered(store: SealedStore, object_id: str, version: int, sha256: str | None) -> bool:
    try:
        return store.digest(object_id, version).sha256 != sha256 and sha256 is not None
    except Corrupt:
        return True
    except (KeyGone, NotFound):
        # Destroyed or deleted meanwhile, or keyless: that was told without reading.
        return False


def _name(one: Expected) -> str:
    return f"{one.object_id}.v{one.version}"


def _still(store: ObjectStore, key: str) -> bool:
    try:
        store.stat(key)
    except NotFound:
        return False
    return True


def _has_key(keyring: Keyring, object_id: str) -> bool:
    try:
        keyring.key(object_id)
    except KeyGone:
        return False
    return True
