"""Commands of objstore-ring-builder that only look: show, validate, dispersion, version (and the device table)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from objstore.cli.ring_builder_session import EXIT_ERROR, EXIT_OK, EXIT_WARNING, CommandError, Session, table
from objstore.ring.builder import RingBuilder
from objstore.ring.device_fields import fields_of
from objstore.ring.dispersion import TierDispersion, device_balance, dispersion_percent, tier_dispersions
from objstore.ring.model import Device

_TIER_PREFIXES = ("r", "z", "-", "/")


def show(session: Session) -> int:
    builder = session.files.load()
    summary = _summary(session, builder)
    devices = list(builder.live_devices())
    if session.arguments.json:
        session.say_json(summary | {"devices": device_dicts(builder, devices)})
        return EXIT_OK
    session.say(f"{session.files.builder}, build version {builder.version}, id {builder.id or '(not assigned)'}")
    session.say(
        f"{summary['partitions']} partitions, {builder.replicas:.6f} replicas, {summary['regions']} regions, "
        f"{summary['zones']} zones, {len(devices)} devices, {summary['balance']:.2f} balance, "
        f"{summary['dispersion']:.2f} dispersion"
    )
    session.say(
        f"The minimum number of hours before a partition can be reassigned is {builder.min_part_hours} "
        f"({clock_text(summary['seconds_until_moves'])} remaining)"
    )
    session.say(f"The overload factor is {100 * builder.overload:.2f}% ({builder.overload:.6f})")
    session.say(f"Ring file {session.files.ring} is {summary['ring_file']}")
    session.say(device_table(builder, devices) if devices else "There are no devices in this ring yet.")
    return EXIT_OK


def _summary(session: Session, builder: RingBuilder) -> dict[str, Any]:
    devices = list(builder.live_devices())
    return {
        "version": builder.version,
        "id": builder.id,
        "part_power": builder.part_power,
        "next_part_power": builder.next_part_power,
        "partitions": builder.partition_count,
        "replicas": builder.replicas,
        "regions": len({device.region for device in devices}),
        "zones": len({(device.region, device.zone) for device in devices}),
        "balance": builder.balance(),
        "dispersion": builder.dispersion,
        "overload": builder.overload,
        "min_part_hours": builder.min_part_hours,
        "seconds_until_moves": builder.seconds_until_moves(session.files.now_s()),
        "ring_file": session.files.ring_state(builder),
    }


def device_dicts(builder: RingBuilder, devices: Iterable[Device]) -> list[dict[str, Any]]:
    """Devices with what the ring gives them. Any: values are int, float, str or bool."""
    counts, per_weight = builder.part_counts(), builder.parts_per_weight()
    return [
        fields_of(device)
        | {
            "partitions": counts[device.id],
            "balance": device_balance(counts[device.id], device.weight, per_weight),
            "is_removed": device.id in builder.removed,
        }
        for device in devices
    ]


def device_table(builder: RingBuilder, devices: Iterable[Device]) -> str:
    headings = (
        "id",
        "region",
        "zone",
        "address",
        "replication",
        "name",
        "weight",
        "partitions",
        "balance",
        "flags",
        "meta",
    )
    rows = [
        (
            str(device["id"]),
            str(device["region"]),
            str(device["zone"]),
            address_text(device["ip"], device["port"]),
            address_text(device["replication_ip"], device["replication_port"]),
            device["device"],
            f"{device['weight']:.2f}",
            str(device["partitions"]),
            f"{device['balance']:.2f}",
            "DEL" if device["is_removed"] else "",
            _printable(device["meta"]),
        )
        for device in device_dicts(builder, devices)
    ]
    return table(headings, rows)


def validate(session: Session) -> int:
    """Loading has checked most already; what is left are the rules between table and settings."""
    builder = session.files.load()
    errors, warnings = _findings(builder)
    if session.arguments.json:
        session.say_json({"errors": errors, "warnings": warnings})
    else:
        for text in errors:
            session.say(f"error: {text}")
        for text in warnings:
            session.say(f"warning: {text}")
        if not errors and not warnings:
            session.say(f"{session.files.builder} is valid.")
    return EXIT_ERROR if errors else EXIT_WARNING if warnings else EXIT_OK


def _findings(builder: RingBuilder) -> tuple[list[str], list[str]]:
    if builder.rows is None:
        return [], ["the ring has no assignments yet: rebalance it"]
    errors, warnings = [], []
    if [len(row) for row in builder.rows] != builder.row_lengths():
        warnings.append("the table does not have the number of replicas that is set: rebalance it")
    unassigned = sum(row.count((1 << 8 * row.itemsize) - 1) for row in builder.rows)
    if unassigned:
        errors.append(f"{unassigned} replicas are on no device: rebalance the ring")
    useful = sum(device.weight > 0 for device in builder.live_devices())
    doubled = 0
    for partition in range(builder.partition_count):
        held = [row[partition] for row in builder.rows if partition < len(row)]
        doubled += len(set(held)) < min(len(held), useful)
    if doubled:
        warnings.append(f"{doubled} partitions have two replicas on one device: rebalance the ring")
    if builder.is_changed:
        warnings.append("devices or settings have changed since the last rebalance")
    return errors, warnings


def dispersion(session: Session) -> int:
    arguments = session.arguments
    try:
        pattern = re.compile(arguments.tier or "")
    except re.error as error:
        raise CommandError(f"tier is {arguments.tier!r}, no regular expression: {error}") from None
    builder = session.files.load()
    if builder.rows is None:
        raise CommandError("the ring has no assignments yet: rebalance it first")
    saved_graph = dict(builder.graph)
    builder.recalculate_dispersion()
    if arguments.recalculate and builder.graph != saved_graph:
        session.files.save(builder)
    plan = builder.plan()
    tiers = [tier for tier in tier_dispersions(builder.graph, plan) if pattern.search(tier_text(tier.tier))]
    shown = [tier for tier in tiers if arguments.verbose or arguments.tier or tier.at_risk_percent > 0]
    found = _Dispersion(
        dispersion_percent(builder.graph, plan),
        builder.balance(),
        builder.overload,
        plan.required_overload,
        max(tiers, key=lambda tier: tier.at_risk_percent, default=None),
    )
    if arguments.json:
        session.say_json({**found.to_json(), "tiers": [_tier_dict(tier) for tier in shown]})
    else:
        for line in found.lines():
            session.say(line)
        if shown:
            session.say(_tier_table(shown))
    return EXIT_WARNING if found.percent > 0 else EXIT_OK


@dataclass(frozen=True, slots=True)
class _Dispersion:
    """percent: of the partitions that have too many replicas in one tier. worst: the tier with most of them."""

    percent: float
    balance: float
    overload: float
    required_overload: float
    worst: TierDispersion | None

    def to_json(self) -> dict[str, Any]:
        return {
            "dispersion": self.percent,
            "balance": self.balance,
            "overload": self.overload,
            "required_overload": self.required_overload,
            "worst_tier": None if self.worst is None else tier_text(self.worst.tier),
        }

    def lines(self) -> Iterator[str]:
        yield (
            f"Dispersion is {self.percent:.6f}, balance is {self.balance:.6f}, overload is {100 * self.overload:.2f}%"
        )
        yield f"Required overload is {100 * self.required_overload:.6f}%"
        if self.worst is not None and self.worst.at_risk_percent > 0:
            yield f"Worst tier is {self.worst.at_risk_percent:.6f} ({tier_text(self.worst.tier)})"


def _tier_dict(tier: TierDispersion) -> dict[str, Any]:
    return {
        "tier": tier_text(tier.tier),
        "replicas": tier.part_count,
        "at_risk_percent": tier.at_risk_percent,
        "max": tier.most,
        "partitions_by_replicas": list(tier.histogram),
    }


def _tier_table(tiers: list[TierDispersion]) -> str:
    width = max(len(tier.histogram) for tier in tiers)
    headings = ("tier", "replicas", "%", "max", *map(str, range(width)))
    rows = [
        (
            tier_text(tier.tier),
            str(tier.part_count),
            f"{tier.at_risk_percent:.2f}",
            str(tier.most),
            *map(str, tier.histogram),
            *[""] * (width - len(tier.histogram)),
        )
        for tier in tiers
    ]
    return table(headings, rows)


def version(session: Session) -> int:
    builder = session.files.load()
    if session.arguments.json:
        session.say_json({"version": builder.version, "id": builder.id})
    else:
        session.say(f"{session.files.builder}: build version {builder.version}, id {builder.id or '(not assigned)'}")
    return EXIT_OK


def tier_text(tier: tuple[object, ...]) -> str:
    """("r", "z", "-", "/") before each part: r1z2-10.0.0.1/d7."""
    parts = [f"{prefix}{part}" for prefix, part in zip(_TIER_PREFIXES, tier, strict=False)]
    return "".join(parts)


def address_text(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def device_text(device: Device) -> str:
    """A device in the notation that operators use, with its id in front."""
    text = f"d{device.id}r{device.region}z{device.zone}-{address_text(device.ip, device.port)}"
    text += f"R{address_text(device.replication_ip, device.replication_port)}/{device.device}"
    return f"{text}_{_printable(device.meta)}" if device.meta else text


def clock_text(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _printable(text: str) -> str:
    """Meta is free text: a newline must not forge a line of the table."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
