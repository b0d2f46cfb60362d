"""Commands of objstore-ring-builder about devices: add, search, list_parts, set_weight, set_region, set_zone, set_info,
remove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from objstore.cli.ring_builder_parser import DEVICE_OPTIONS
from objstore.cli.ring_builder_session import EXIT_OK, CommandError, Session, table
from objstore.cli.ring_builder_views import device_dicts, device_table, device_text
from objstore.ring.builder import RingBuilder
from objstore.ring.device_search import DeviceSearch, found, parsed_search
from objstore.ring.model import Device
from objstore.ring.new_device import NewDevice, normal_host, parsed_device, parsed_info

Value = TypeVar("Value")

_REQUIRED = ("zone", "ip", "port", "device", "weight")


def add(session: Session) -> int:
    new_devices = _new_devices(session)
    builder = session.files.load()
    for new in new_devices:
        if new.region is None:
            session.warn(f"warning: no region given for {new.ip}:{new.port}/{new.device}: using region 1")
        device = builder.add_device(new)
        session.say(f"Device {device_text(device)} with weight {device.weight:g} got id {device.id}")
    session.files.save(builder)
    return EXIT_OK


def _new_devices(session: Session) -> list[NewDevice]:
    options = _device_options(session)
    if not options:
        return [_parsed(partial(parsed_device, device, weight)) for device, weight in _pairs(session, float, "weight")]
    if session.arguments.pairs:
        raise CommandError("describe devices by text or by options, not both")
    missing = [f"--{name}" for name in _REQUIRED if name not in options]
    if missing:
        raise CommandError(f"missing {', '.join(missing)}")
    return [NewDevice(**options)]


def search(session: Session) -> int:
    builder = session.files.load()
    devices = _found(session, builder, _searches(session, session.arguments.searches))
    if session.arguments.json:
        session.say_json({"devices": device_dicts(builder, devices)})
    else:
        session.say(device_table(builder, devices))
    return EXIT_OK


def list_parts(session: Session) -> int:
    builder = session.files.load()
    if builder.rows is None:
        raise CommandError("the ring has no assignments yet: rebalance it first")
    wanted = {device.id for device in _found(session, builder, _searches(session, session.arguments.searches))}
    matches: dict[int, int] = {}
    for row in builder.rows:
        for partition, device in enumerate(row):
            if device in wanted:
                matches[partition] = matches.get(partition, 0) + 1
    # Those with most of their replicas on these devices first: they are in danger when the devices go.
    ordered = sorted(matches.items(), key=lambda item: (-item[1], item[0]))
    if session.arguments.json:
        session.say_json({"partitions": [{"partition": number, "matches": count} for number, count in ordered]})
    else:
        session.say(table(("partition", "matches"), [(str(number), str(count)) for number, count in ordered]))
    return EXIT_OK


def set_weight(session: Session) -> int:
    return _change(session, float, "weight")


def set_region(session: Session) -> int:
    return _change(session, int, "region")


def set_zone(session: Session) -> int:
    return _change(session, int, "zone")


def _change(session: Session, kind: Callable[[str], Any], field: str) -> int:
    """pairs of <search> <value>; or search options, and the value as the only argument (or as the option itself)."""
    builder = session.files.load()
    options = _device_options(session)
    pairs: list[tuple[list[DeviceSearch], Any]]
    if options:
        if session.arguments.pairs:
            value = _converted(kind, field, _only(session.arguments.pairs, field))
        elif field in options:
            value = options.pop(field)
        else:
            raise CommandError(f"which {field}? Give it after the search")
        pairs = [([_search_of(options)], value)]
    else:
        pairs = [([_parsed_search(text)], value) for text, value in _pairs(session, kind, field)]
    for searches, value in pairs:
        devices = _found(session, builder, searches)
        _confirm(session, devices, f"set the {field} of")
        for device in devices:
            changed = builder.change_device(device.id, **{field: value})
            session.say(f"{device_text(device)} {field} set to {getattr(changed, field):g}")
    session.files.save(builder)
    return EXIT_OK


def set_info(session: Session) -> int:
    builder = session.files.load()
    arguments = session.arguments
    changes = {
        name: value
        for _, name, _ in DEVICE_OPTIONS
        if (value := getattr(arguments, f"change_{name}", None)) is not None
    }
    pairs: list[tuple[list[DeviceSearch], dict[str, Any]]]
    if changes:
        pairs = [(_searches(session, arguments.pairs), changes)]
    else:
        if _device_options(session):
            raise CommandError("what shall change? Give --change-ip, --change-port, …")
        pairs = [([_parsed_search(text)], info) for text, info in _pairs(session, parsed_info, "info")]
    for searches, info in pairs:
        devices = _found(session, builder, searches)
        _confirm(session, devices, "change the info of")
        for device in devices:
            hosts = {name: normal_host(info[name]) for name in ("ip", "replication_ip") if name in info}
            changed = builder.change_device(device.id, **(info | hosts))
            session.say(f"{device_text(device)} is now {device_text(changed)}")
    session.files.save(builder)
    return EXIT_OK


def remove(session: Session) -> int:
    builder = session.files.load()
    devices = _found(session, builder, _searches(session, session.arguments.searches))
    _confirm(session, devices, "remove")
    for device in devices:
        builder.remove_device(device.id)
        session.say(f"{device_text(device)} is marked for removal and will go at the next rebalance")
    session.files.save(builder)
    return EXIT_OK


# Arguments


def _device_options(session: Session) -> dict[str, Any]:
    """--id, --ip … as far as given. Any: int, str or float, by option."""
    return {
        name: value
        for _, name, _ in DEVICE_OPTIONS
        if (value := getattr(session.arguments, f"device_{name}", None)) is not None
    }


def _search_of(options: dict[str, Any]) -> DeviceSearch:
    search = DeviceSearch(**options)
    if search.is_empty():
        raise CommandError("which devices? Give a search or options like --ip")
    return search


def _searches(session: Session, texts: Sequence[str]) -> list[DeviceSearch]:
    searches = [_parsed_search(text) for text in texts]
    options = _device_options(session)
    if options or not searches:
        searches.append(_search_of(options))
    return searches


def _parsed_search(text: str) -> DeviceSearch:
    return _parsed(partial(parsed_search, text))


def _parsed(parse: Callable[[], Value]) -> Value:
    try:
        return parse()
    except ValueError as error:
        raise CommandError(str(error)) from None


def _pairs(session: Session, kind: Callable[[str], Value], field: str) -> list[tuple[str, Value]]:
    words = session.arguments.pairs
    if not words or len(words) % 2:
        raise CommandError(f"expected pairs of a device and its {field}; see --help")
    return [(words[n], _converted(kind, field, words[n + 1])) for n in range(0, len(words), 2)]


def _converted(kind: Callable[[str], Value], field: str, text: str) -> Value:
    try:
        return kind(text)
    except ValueError as error:
        reason = str(error) if kind is parsed_info else "expected a number"
        raise CommandError(f"{field} is {text!r}: {reason}") from None


def _only(words: Sequence[str], field: str) -> str:
    if len(words) != 1:
        raise CommandError(f"with options as the search, give one {field}")
    return words[0]


def _found(session: Session, builder: RingBuilder, searches: Sequence[DeviceSearch]) -> list[Device]:
    devices = list(found(builder.live_devices(), searches))
    if not devices:
        raise CommandError("no device matches")
    return devices


def _confirm(session: Session, devices: Sequence[Device], what: str) -> None:
    """Several matches are changed only when the operator says so."""
    if len(devices) == 1 or session.arguments.yes:
        return
    session.say("More than one device matches:")
    for device in devices:
        session.say(f"    {device_text(device)}")
    if not session.confirm(f"Are you sure you want to {what} these {len(devices)} devices?"):
        raise CommandError("not confirmed: nothing was changed")
