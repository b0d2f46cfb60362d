"""objstore-form-signature: the signature of a form by which browsers upload, and the form (B5.11, A5.3).

Made here; nothing is asked of the cluster. The key is one of the account's or the container's for links.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
import time
from urllib.parse import urlsplit

from objstore.cli.expiry import expiry
from objstore.cli.terminal import OK, USAGE, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.core.names import quoted, wsgi_of
from objstore.core.signatures import DIGEST_BYTES, Signature
from objstore.middleware.formpost_form import SIGNED, signed_message

_EXAMPLE = """\
example:
  objstore-form-signature /v1/AUTH_photos/inbox/ https://example.org/thanks 104857600 10 3600 KEY
  objstore-form-signature /v1/AUTH_photos/inbox/ '' 104857600 10 7d KEY --html
  OBJSTORE_KEY=... objstore-form-signature /v1/AUTH_photos/inbox/ '' 104857600 10 1h -

PATH is /v1/ACCOUNT/CONTAINER/PREFIX as text, not quoted; REDIRECT '' for none. The key is that of X-Account-Meta-
Temp-Url-Key, or of the container's; - for the variable OBJSTORE_KEY, because others can see what processes are given.
Exit codes: 0 done; 2 something cannot be signed.
"""
_DIGITS_AT_MOST = 18


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-form-signature", "Sign a form by which browsers upload files.", _EXAMPLE)
    parser.add_argument("path", type=_path, metavar="PATH")
    parser.add_argument("redirect", type=_redirect, metavar="REDIRECT", help="where the browser goes then")
    parser.add_argument("max_file_size", type=_number, metavar="MAX_FILE_SIZE", help="bytes")
    parser.add_argument("max_file_count", type=_number, metavar="MAX_FILE_COUNT")
    parser.add_argument("life", metavar="WHEN", help="seconds from now; or 12h, 7d, a date in UTC")
    parser.add_argument("key", metavar="KEY")
    parser.add_argument("--digest", choices=sorted(DIGEST_BYTES), default="sha256", help="(%(default)s)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--html", action="store_true", help="print the whole form")
    shown.add_argument("--json", action="store_true", help="print its fields as one JSON object")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    key = terminal.environ.get("OBJSTORE_KEY", "") if arguments.key == "-" else arguments.key
    if not key:
        raise CommandError("the key is empty; give KEY, or - and OBJSTORE_KEY in the environment", code=USAGE)
    fields = {
        "redirect": arguments.redirect,
        "max_file_size": str(arguments.max_file_size),
        "max_file_count": str(arguments.max_file_count),
        "expires": str(_expires(arguments.life)),
    }
    message = signed_message(wsgi_of(arguments.path), fields)
    fields["signature"] = Signature.of(message, key.encode("utf-8", "surrogateescape"), arguments.digest).text
    if arguments.json:
        terminal.say(json.dumps({"action": quoted(arguments.path), **fields}))
    elif arguments.html:
        terminal.say(_form(quoted(arguments.path), fields))
    else:
        terminal.say(f"  Expires: {fields['expires']}")
        terminal.say(f"Signature: {fields['signature']}")
    return OK


def _form(action: str, fields: dict[str, str]) -> str:
    """Fields stand before the files: what comes behind one is not read."""
    lines = [f'<form action="{html.escape(action)}" method="POST" enctype="multipart/form-data">']
    for name in (*SIGNED, "signature"):
        lines.append(f'  <input type="hidden" name="{name}" value="{html.escape(fields[name])}">')
    lines += ['  <input type="file" name="file1" multiple>', '  <input type="submit">', "</form>"]
    return "\n".join(lines)


def _expires(text: str) -> int:
    """A type for argparse. Bare digits mean seconds from now here, as they do for Swift's command."""
    now_s = time.time()
    try:
        return expiry(f"{int(text)}s" if text.isascii() and text.isdigit() and len(text) <= 7 else text, now_s)
    except ValueError as error:
        raise CommandError(f"WHEN {error}", code=USAGE) from None


def _path(text: str) -> str:
    parts = text.split("/", 4)
    if len(parts) < 4 or parts[0] or parts[1] not in ("v1", "v1.0") or not parts[2] or not parts[3]:
        raise argparse.ArgumentTypeError(f"{text!r}: expected /v1/ACCOUNT/CONTAINER[/PREFIX]")
    return text


def _redirect(text: str) -> str:
    try:
        parts = urlsplit(text)
        if not text or (parts.scheme in ("http", "https") and parts.hostname):
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r}: expected a URL that begins with http:// or https://, or ''")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_AT_MOST):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number")
    return int(text)


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
