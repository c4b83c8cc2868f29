"""role.yml: the closed vocabulary, and what a mistake in it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.errors import RoleError
from kbootstrap.rolebook import parse
from kbootstrap.rolebook.role import BinaryDef, DirectoryDef, FileDef, Input, On, Rollout, ServiceDef, UserDef

ROLES = sorted(Path(__file__).parents[3].glob("roles/*/role.yml"))

FULL = """\
name: demo
on: master
when: endpoint-gateway
rollout: serial
swap: off
users: [{name: demo, home: /var/lib/demo}]
directories: [{path: /var/lib/demo, mode: 0700, owner: demo}]
sysctl: {net.ipv4.ip_forward: 1}
binaries: [etcdctl, {name: etcd, path: /usr/local/bin/other}]
files: [{path: /etc/demo, template: demo/demo.j2, mode: 0600, secret: true}]
service: {unit: demo.service, template: demo/demo.service.j2, inputs: [binaries, files]}
health: demo-answers
"""


def test_every_key_arrives_typed() -> None:
    role = parse.role(FULL, "role.yml")
    assert (role.name, role.on, role.when, role.rollout, role.swap) == ("demo", On.MASTER, "endpoint-gateway", Rollout.SERIAL, "off")
    assert role.users == (UserDef(name="demo", home="/var/lib/demo"),)
    assert role.directories == (DirectoryDef(path="/var/lib/demo", mode=0o700, owner="demo"),)
    assert role.sysctl == (("net.ipv4.ip_forward", "1"),)
    assert role.binaries == (BinaryDef(name="etcdctl"), BinaryDef(name="etcd", path="/usr/local/bin/other"))
    assert [binary.target for binary in role.binaries] == ["/usr/local/bin/etcdctl", "/usr/local/bin/other"]
    assert role.files == (FileDef(path="/etc/demo", template="demo/demo.j2", mode=0o600, secret=True),)
    assert role.services == (ServiceDef(unit="demo.service", template="demo/demo.service.j2", inputs=(Input.BINARIES, Input.FILES)),)
    assert role.health == "demo-answers"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.yml  empty"),
        ("name: x\non: [", "r.yml:2:6  not YAML"),
        ("- x\n", "r.yml:1:1  expected key: value"),
        ("name: x\n", "r.yml:1:1  on is missing"),
        ("name: x\non: masters\n", "r.yml:2:5  unknown word 'masters'. Did you mean 'master'?"),
        ("name: x\non: all\nbinary: [a]\n", "r.yml:3:1  unknown key 'binary'. Did you mean 'binaries'?"),
        ("name: x\non: all\nzzz: 1\n", "r.yml:3:1  unknown key 'zzz'. Known: binaries, "),
        ("name: x\nname: y\non: all\n", "r.yml:2:1  'name' is given twice"),
        ("name: x\non: all\nwhen: plugin-route\n", "r.yml:3:7  unknown word 'plugin-route'. Did you mean 'plugin-routes'?"),
        ("name: x\non: all\nbinaries: etcd\n", "r.yml:3:11  expected a list"),
        ("name: x\non: all\nfiles: [{path: etc, template: t}]\n", "r.yml:3:16  'etc' is not an absolute path"),
        ("name: x\non: all\nfiles: [{path: /etc/../x, template: t}]\n", "r.yml:3:16  '/etc/../x' is not an absolute path"),
        ("name: x\non: all\nfiles: [{path: /a, template: t, mode: 644}]\n", "r.yml:3:39  '644' is not a file mode. Write four octal digits"),
        ("name: x\non: all\nfiles: [{path: /a, template: t, secret: yes}]\n", "r.yml:3:41  'yes' is neither true nor false"),
        ("name: x\non: all\nservice: {unit: a, template: t, inputs: [cert]}\n", "r.yml:3:42  unknown word 'cert'. Did you mean 'certs'?"),
        ("name: x\non: all\nservice: {unit: a}\n", "r.yml:3:10  template is missing"),
        ("name: x\non: [all]\n", "r.yml:2:5  expected a word"),
    ],
)
def test_a_mistake_has_its_place_and_a_hint(text: str, message: str) -> None:
    with pytest.raises(RoleError) as caught:
        parse.role(text, "r.yml")
    assert str(caught.value).startswith(message)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.parent.name)
def test_our_roles_parse_and_are_named_as_their_folder(path: Path) -> None:
    assert parse.role(path.read_text(), str(path)).name == path.parent.name
