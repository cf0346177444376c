"""Services and EndpointSlices."""

from __future__ import annotations

import ipaddress

from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.statuses import Cause, duplicate, required, unsupported, wrong
from tests.kubernetes.emulator.validation import names
from tests.kubernetes.emulator.validation.metadata import labels
from tests.kubernetes.emulator.validation.probes import port as target_port

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")
ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MAX_ENDPOINTS = 1000


def service(new: Object, old: Object | None) -> list[Cause]:
    spec = new.get("spec", {})
    kind = spec.get("type", "ClusterIP")
    found = [] if kind in TYPES else [unsupported("spec.type", kind, TYPES)]
    headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and kind != "ExternalName" and not headless:
        found.append(required("spec.ports"))
    if kind == "ExternalName" and not spec.get("externalName"):
        found.append(required("spec.externalName"))
    found += labels(spec.get("selector", {}), "spec.selector")
    if spec.get("sessionAffinity", "None") not in ("None", "ClientIP"):
        found.append(unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None")))
    found += _service_ports(spec.get("ports", []))
    before = (old or {}).get("spec", {})
    if old is not None and before.get("clusterIP") and spec.get("clusterIP") != before["clusterIP"]:
        found.append(wrong("spec.clusterIPs[0]", spec.get("clusterIP", ""), "may not change once set"))
    return found


def _service_ports(ports: list[Object]) -> list[Cause]:
    found = []
    seen_names: set[str] = set()
    seen_ports: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        at, name = f"spec.ports[{index}]", port.get("name", "")
        number, protocol = port.get("port", 0), port.get("protocol", "TCP")
        if len(ports) > 1 and not name:
            found.append(required(f"{at}.name"))
        elif name and (problem := names.label_problem(name)):
            found.append(wrong(f"{at}.name", name, problem))
        if name and name in seen_names:
            found.append(duplicate(f"{at}.name", name))
        if not 0 < number < 65536:
            found.append(wrong(f"{at}.port", number, "must be between 1 and 65535, inclusive"))
        if protocol not in PROTOCOLS:
            found.append(unsupported(f"{at}.protocol", protocol, PROTOCOLS))
        if "targetPort" in port:
            found += target_port(port["targetPort"], f"{at}.targetPort")
        if (number, protocol) in seen_ports:
            found.append(duplicate(at, f"{number}/{protocol}"))
        seen_names.add(name)
        seen_ports.add((number, protocol))
    return found


def endpoint_slice(new: Object, old: Object | None) -> list[Cause]:
    kind = new.get("addressType", "")
    found = [] if kind in ADDRESS_TYPES else [unsupported("addressType", kind, ADDRESS_TYPES)]
    if old is not None and kind != old.get("addressType"):
        found.append(wrong("addressType", kind, "field is immutable"))
    endpoints = new.get("endpoints", [])
    if len(endpoints) > MAX_ENDPOINTS:
        found.append(Cause("endpoints", f"Too many: {len(endpoints)}: must have at most {MAX_ENDPOINTS} items"))
    for index, endpoint in enumerate(endpoints):
        at = f"endpoints[{index}].addresses"
        addresses = endpoint.get("addresses", [])
        if not addresses:
            found.append(required(at, "must contain at least 1 address"))
        for number, address in enumerate(addresses):
            found += _address(address, kind, f"{at}[{number}]")
    seen: set[str] = set()
    for index, port in enumerate(new.get("ports", ())):
        name = port.get("name", "")
        if name in seen:
            found.append(duplicate(f"ports[{index}].name", name))
        if name and (problem := names.label_problem(name)):
            found.append(wrong(f"ports[{index}].name", name, problem))
        if port.get("protocol", "TCP") not in PROTOCOLS:
            found.append(unsupported(f"ports[{index}].protocol", port["protocol"], PROTOCOLS))
        seen.add(name)
    return found


def _address(text: str, kind: str, path: str) -> list[Cause]:
    if kind == "FQDN":
        problem = names.subdomain_problem(text)
        return [wrong(path, text, problem)] if problem else []
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return [wrong(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    if f"IPv{address.version}" != kind:
        return [wrong(path, text, f"must be a valid {kind} address")]
    return _special(address, path)


def _special(address: ipaddress.IPv4Address | ipaddress.IPv6Address, path: str) -> list[Cause]:
    text = str(address)
    refused = (
        (address.is_unspecified, f"may not be unspecified ({'0.0.0.0' if address.version == 4 else '::'})"),
        (address.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (address.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (
            address.is_multicast and (not text.startswith("224") or text.startswith("224.0.0.")),
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    )
    return [wrong(path, text, why) for true, why in refused if true]
