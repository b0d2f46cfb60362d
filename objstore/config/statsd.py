"""log_statsd_…: where counters and timings are sent, if anywhere. Names and defaults are Swift's (features B5.12).

In [DEFAULT] of a server's file, for the server and its daemons; a daemon's section, and that of proxy-logging, may say
otherwise. What is sent is listed in doc/operations/metrics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, Settings, decimal, number, setting, text


def _prefix(value: str) -> str:
    if any(each in ":|@#\n " for each in value):
        raise ValueError("StatsD gives : | @ # and blanks a meaning")
    return value.strip(".")


metric_prefix = Kind(_prefix, "a name for the beginning of every metric")


@dataclass(frozen=True)
class StatsdSettings(Settings):
    log_statsd_host: str = setting("", text, "A StatsD server, by UDP; empty: nothing is sent.", advanced=True)
    log_statsd_port: int = setting("8125", number(1, 65535), "The StatsD server's UDP port.", advanced=True)
    log_statsd_default_sample_rate: float = setting(
        "1.0",
        decimal(0, 1),
        "Share of events that are sent; StatsD is told it, and scales them up again.",
        advanced=True,
    )
    log_statsd_sample_rate_factor: float = setting(
        "1.0", decimal(0, 1), "Factor on the sample rate, for the processes of this file alone.", advanced=True
    )
    log_statsd_metric_prefix: str = setting(
        "", metric_prefix, "Prefix of every metric's name, such as the name of this machine.", advanced=True
    )
