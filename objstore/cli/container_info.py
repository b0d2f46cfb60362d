"""objstore-container-info FILE: what one container database says, and where it belongs."""

from __future__ import annotations

import sys

from objstore.cli.database_info import info_main

main = info_main("container")

if __name__ == "__main__":
    sys.exit(main())
