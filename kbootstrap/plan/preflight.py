"""All preflight checks, in the order in which they are told. Apart from their folder, since the health gates beside them are wanted alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from kbootstrap.catalog.checks import BY_ID
from kbootstrap.plan.checks import (
    address,
    apparmor,
    architecture,
    cgroup,
    cgroup_controllers,
    clock,
    cluster_marker,
    cni_files,
    commands,
    cpu,
    disk_inodes,
    disk_space,
    disk_sync,
    dns,
    encryption_key,
    etcd_data,
    firewall,
    firewall_managers,
    foreign_rules,
    hostname,
    hosts_file,
    ipvs_rules,
    kernel,
    kernel_modules,
    limits,
    mac,
    machine_id,
    memory,
    mount_options,
    mtu,
    network_overlap,
    offline,
    os,
    other_installer,
    other_runtime,
    package_lock,
    port,
    product_uuid,
    root,
    selinux,
    ssh,
    ssh_host_key,
    swap,
    sysctl,
    systemd,
    time_sync,
    unique_address,
    unit_drop_ins,
)
from kbootstrap.plan.checks.finding import Context, Finding

Check = Callable[[Context], Iterator[Finding]]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "ssh": ssh.check,
        "root": root.check,
        "cluster-marker": cluster_marker.check,
        "systemd": systemd.check,
        "os": os.check,
        "kernel": kernel.check,
        "architecture": architecture.check,
        "cpu": cpu.check,
        "memory": memory.check,
        "limits": limits.check,
        "disk-space": disk_space.check,
        "disk-inodes": disk_inodes.check,
        "mount-options": mount_options.check,
        "disk-sync": disk_sync.check,
        "swap": swap.check,
        "cgroup": cgroup.check,
        "cgroup-controllers": cgroup_controllers.check,
        "kernel-modules": kernel_modules.check,
        "sysctl": sysctl.check,
        "selinux": selinux.check,
        "apparmor": apparmor.check,
        "clock": clock.check,
        "time-sync": time_sync.check,
        "hostname": hostname.check,
        "hosts-file": hosts_file.check,
        "dns": dns.check,
        "machine-id": machine_id.check,
        "product-uuid": product_uuid.check,
        "mac": mac.check,
        "ssh-host-key": ssh_host_key.check,
        "address": address.check,
        "unique-address": unique_address.check,
        "network-overlap": network_overlap.check,
        "mtu": mtu.check,
        "port": port.check,
        "other-installer": other_installer.check,
        "other-runtime": other_runtime.check,
        "unit-drop-ins": unit_drop_ins.check,
        "etcd-data": etcd_data.check,
        "encryption-key": encryption_key.check,
        "cni-files": cni_files.check,
        "foreign-rules": foreign_rules.check,
        "ipvs-rules": ipvs_rules.check,
        "firewall-managers": firewall_managers.check,
        "firewall": firewall.check,
        "commands": commands.check,
        "offline": offline.check,
        "package-lock": package_lock.check,
    }
)


def preflight(context: Context, only: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding of every check (of those in *only*, if any) on every host, at once, with its reason; what the inventory waives is marked."""
    chosen = {name: check for name, check in CHECKS.items() if not only or name in only}
    waive = context.spec.preflight.waive
    return tuple(
        replace(finding, why=BY_ID[name].reason, waived=waive.get(name, "") if BY_ID[name].waivable else "")
        for name, check in chosen.items()
        for finding in check(context)
    )
