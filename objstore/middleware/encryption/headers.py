"""Names of the headers that encryption owns, and how they appear in an environ and on their way back."""

from __future__ import annotations

from objstore.core.headers import environ_key

BODY_META = "X-Object-Sysmeta-Crypto-Body-Meta"
ETAG = "X-Object-Sysmeta-Crypto-Etag"
ETAG_MAC = "X-Object-Sysmeta-Crypto-Etag-Mac"
OVERRIDE_ETAG = "X-Object-Sysmeta-Container-Update-Override-Etag"
"""The ETag for the container's listing. Others set it, too: what they say is encrypted as it is."""
USER_META = "X-Object-Transient-Sysmeta-Crypto-Meta"
"""Says which key all values of user metadata are under; each of them follows this name and a hyphen."""

SYSMETA_PREFIX = "x-object-sysmeta-crypto-"
TRANSIENT_PREFIX = USER_META.lower()
META_PREFIX = "x-object-meta-"

OVERRIDE_ETAG_KEY = environ_key(OVERRIDE_ETAG)
USER_META_KEY = environ_key(USER_META)
META_KEY = environ_key(META_PREFIX)
OWN_KEYS = (environ_key(SYSMETA_PREFIX), USER_META_KEY)
"""Whatever begins so in a request is not a client's to say."""
