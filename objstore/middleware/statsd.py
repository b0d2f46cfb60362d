"""From settings to a StatsD sender: for the filters that have something to tell, and for who builds servers."""

from __future__ import annotations

import logging

from objstore.config.statsd import StatsdSettings
from objstore.runtime.metrics import CannotResolve, Statsd

_log = logging.getLogger("objstore.statsd")


def sender_of(settings: StatsdSettings) -> Statsd | None:
    """None where nothing is configured, and where the host's name has no address (said in the log): a server must not
    stay down because of who watches it. Called after the fork."""
    if not settings.log_statsd_host:
        return None
    rate = settings.log_statsd_default_sample_rate * settings.log_statsd_sample_rate_factor
    try:
        return Statsd(settings.log_statsd_host, settings.log_statsd_port, settings.log_statsd_metric_prefix, rate)
    except (CannotResolve, OSError) as error:
        _log.warning("%s: no metrics are sent until the next start", error)
        return None
