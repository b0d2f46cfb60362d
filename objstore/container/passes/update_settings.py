"""[container-updater]: Swift's option names, and its defaults but where a doc says why not."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import decimal, number, setting
from objstore.daemon.settings import DaemonSettings, Rate


@dataclass(frozen=True)
class ContainerUpdaterSettings(DaemonSettings):
    """Tells accounts the counts of containers that the container server could not report by itself."""

    concurrency: int = setting("4", number(1, 1024), "Containers reported at once.")
    node_timeout: float = setting("3", decimal(0.001), "Seconds to wait for an account server.")
    conn_timeout: float = setting("0.5", decimal(0.001), "Seconds to connect to an account server.")
    containers_per_second: float = setting(
        "0", decimal(0), "Containers reported a second, at most; 0: no limit (Swift: 50, unchanged ones included)."
    )
    account_suppression_time: float = setting(
        "60", decimal(0), "Seconds for which an account that could not be told is left alone."
    )
    tell_again_after: float = setting(
        "60",
        decimal(0),
        "Seconds after a change when an account that has heard it hears it again, then at twice that age, and so on; "
        "0: never.",
    )
    slowdown: float = setting("0", decimal(0), "Accepted for Swift's sake: see containers_per_second.", advanced=True)

    @property
    def rate(self) -> Rate:
        return Rate(self.containers_per_second, "asked")
