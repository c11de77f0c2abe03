"""Errors of the cellar package `storage`.

StorageError
├── NotFound           no such object, or no such upload
│   └── KeyGone        the key was destroyed or never made: the object cannot be read by anyone
├── Unavailable        the store or the keyring did not answer in time, is full or read-only; a retry may succeed
├── Corrupt            the bytes are not what was written: a tag, a length or a checksum does not fit
├── Conflict           the key exists already, or the parts do not make the object
├── InvalidKey         a key that this program would never have made
└── KeyExposed         a key file can be read by others; nothing is opened with it

Messages name the operation and never a path, a key or an endpoint.
"""


class StorageError(Exception):
    """Base of every error that this package raises on purpose."""


class NotFound(StorageError):
    """There is no object, or no open upload, of that name."""


class KeyGone(NotFound):
    """The key is not in the keyring: destroyed, or never made."""


class Unavailable(StorageError):
    """The backend could not do it now; nothing half-done can be read, and a retry may succeed."""


class Corrupt(StorageError):
    """Stored bytes fail authentication or have an impossible length."""


class Conflict(StorageError):
    """The name is taken, or what was sent does not fit what is there."""


class InvalidKey(StorageError):
    """A name outside the alphabet of server-made keys."""


class KeyExposed(StorageError):
    """A key file is open to group or others, or is not a plain file of its owner."""
