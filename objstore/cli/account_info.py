"""objstore-account-info FILE: what one account database says, and where it belongs."""

from __future__ import annotations

import sys

from objstore.cli.database_info import info_main

main = info_main("account")

if __name__ == "__main__":
    sys.exit(main())
