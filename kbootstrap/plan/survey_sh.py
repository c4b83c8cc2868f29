"""What the preflight asks a host, as sh text. ``QUICK`` is asked at every read: shell builtins and a few small programs. ``THOROUGH``, which
lists sockets, asks the resolver and tries the disk, only where nothing of ours is installed, or on demand.

Each line of the answer is ``key=value``, or as ``ip`` and ``systemctl`` say it. Nothing stays on the host: the file of the disk's test goes again.
``@name@`` is filled in by ``plan/survey.py``. ``SOCKETS`` is asked of a running cluster, too.
"""

from __future__ import annotations

from typing import Final

QUICK: Final = r"""
one() { [ ! -r "$2" ] || { v=; read -r v 2>/dev/null <"$2" || :; echo "$1$v"; }; }
one container= /run/systemd/container
one uuid= /sys/class/dmi/id/product_uuid
one selinux= /sys/fs/selinux/enforce
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then one controllers= /sys/fs/cgroup/cgroup.controllers
else v=; while read -r n k c e; do [ "$e" != 1 ] || v="$v $n"; done </proc/cgroups; echo "controllers=$v"; fi
if [ -d /sys/kernel/security/apparmor ]; then
  one apparmor= /sys/module/apparmor/parameters/enabled
  command -v apparmor_parser >/dev/null || echo missing=apparmor_parser
fi
for f in @sysctls@; do w=rw; [ -w "$f" ] || w=ro; one "sysctl=$w $f " "$f"; done
for d in /sys/class/net/*; do
  case "$d" in */veth*|*/cali*|*/lxc*|*/lo) continue ;; esac
  mac=; [ -r "$d/mtu" ] && read -r mtu 2>/dev/null <"$d/mtu" && { read -r mac 2>/dev/null <"$d/address" || :; } && echo "link=${d##*/} $mtu $mac"
done
for f in /etc/ssh/ssh_host_*_key.pub; do [ ! -r "$f" ] || { read -r t k v <"$f" || :; echo "key=$t $k"; }; done
for m in @modules@; do
  if [ -d "/sys/module/$m" ]; then v=present
  elif [ "$m" = br_netfilter ] && [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then v=present
  elif [ "$m" = nf_conntrack ] && [ -e /proc/sys/net/netfilter/nf_conntrack_max ]; then v=present
  elif [ "$m" = ip_vs ] && [ -e /proc/net/ip_vs ]; then v=present
  elif [ "$m" = overlay ] && grep -qw overlay /proc/filesystems; then v=present
  elif modprobe -nq "$m" 2>/dev/null; then v=loadable
  else v=absent; fi
  echo "module=$m $v"
done
for c in @commands@; do command -v "$c" >/dev/null || echo "missing=$c"; done
for f in @remains@; do [ ! -e "$f" ] || echo "found=$f"; done
[ -L /lib ] && lib= || lib=/lib/systemd/system
for d in @folders@ $lib; do
  for u in @ours@; do [ ! -d "$d/$u.d" ] || for f in "$d/$u.d"/*.conf; do [ ! -e "$f" ] || echo "dropin=$f"; done; done
done
for f in @cni@/*; do case "$f" in *.conf|*.conflist|*.json) echo "cni=${f##*/}" ;; esac; done
[ ! -r /proc/net/ip_vs ] || { read -r v; read -r v; read -r v; v=; ! read -r v || echo "ipvs=$v"; } </proc/net/ip_vs
set --
for p in @written@; do
  q=$p; while [ ! -e "$q" ]; do q=${q%/*}; [ -n "$q" ] || q=/; done
  echo "place=$p $q"; set -- "$@" "$q"
done
stat -f -c 'room=%n %S %a %c %d' -- "$@"
read -r me </proc/sys/kernel/hostname
set --
for f in /etc/hosts /etc/resolv.conf /etc/fstab; do [ ! -r "$f" ] || set -- "$@" "$f"; done
awk -v me="$me" -v paths=@ancestors@ -v limits=@limits@ '
BEGIN {
  n = split(paths, list, " "); for (i = 1; i <= n; i++) ours[list[i]] = 1
  n = split(limits, list, " "); for (i = 1; i <= n; i++) if ((getline line < list[i]) > 0) print "limit=" list[i], line
}
FILENAME == "/proc/self/mounts" { if ($2 in ours) print "mount=" $2, $4; next }
/^[ \t]*#/ { next }
FILENAME == "/etc/resolv.conf" { if ($1 == "nameserver") print "nameserver=" $2; next }
FILENAME == "/etc/fstab" { if ($3 == "swap") print "fstab=" $1; next }
{ for (i = 2; i <= NF && $i !~ /^#/; i++) if (tolower($i) == tolower(me)) print "own=" $1 }
' /proc/self/mounts "$@"
[ ! -r @encryption@ ] || sed -n 's/^ *secret: *//p' @encryption@ | while read -r v; do
  v=$(printf %s "$v" | base64 -d 2>/dev/null | sha256sum); echo "sealkey=${v%% *}"
done
echo resolver=read
ip -4 -o -batch - <<'KB_IP' || :
address show
route show table main
KB_IP
t=@thorough@; [ "$t" != new ] || [ ! -s @ledger@ ] || t=
"""

THOROUGH: Final = r"""
if [ -n "$t" ]; then
echo thorough=1
read -r a v </proc/uptime
{ RES_OPTIONS='timeout:1 attempts:1' timeout 3 getent ahostsv4 @registry@ >/dev/null 2>&1; rc=$?; read -r b v </proc/uptime
  echo "lookup=$rc $a $b @registry@"; } &
[ ! -d /run/systemd/system ] || systemctl show -p Id,ActiveState -- @units@
[ ! -r /etc/ufw/ufw.conf ] || while read -r v; do [ "$v" != ENABLED=yes ] || echo ufw=1; done </etc/ufw/ufw.conf
@sockets@set --
for f in @locks@; do [ ! -e "$f" ] || set -- "$@" "$f"; done
[ $# = 0 ] || stat -c '%i %n' -- "$@" | awk '
FILENAME == "-" || FILENAME == "" { file[$1] = $2; next }
$2 != "->" { split($6, at, ":"); if (at[3] in file) { name = "?"; getline name < ("/proc/" $5 "/comm"); print "lock=" file[at[3]], $5, name } }
' - /proc/locks
if [ ! -s @ledger@ ]; then
{ nft list chains 2>/dev/null
  [ ! -s /proc/net/ip_tables_names ] || ! command -v iptables-legacy-save >/dev/null || iptables-legacy-save 2>/dev/null; } | awk '
/^table/ { t = $2 " " $3; if ($3 ~ /^kube-proxy/) print "chain=" t; next }
/^\*/ { t = "legacy " substr($1, 2); next }
/^:/ { $2 = substr($1, 2) }
$2 ~ /^(@chains@)/ { print "chain=" t, $2 }'
@sync@
fi
wait
fi
:
"""

SYNC: Final = r"""
q=@data@; while [ ! -d "$q" ]; do q=${q%/*}; [ -n "$q" ] || q=/; done
( f=$q/.kbootstrap-sync.$$; trap 'rm -f "$f"' EXIT; trap 'exit 1' HUP TERM
  echo "sync=$(timeout 4 dd if=/dev/zero "of=$f" bs=4k count=16 oflag=dsync conv=excl 2>&1 | tail -n 1)" )
"""

SOCKETS: Final = r"""
ss -Hlntup 2>/dev/null | awk '{
  pid = unit = name = "-"
  if (match($0, /pid=[0-9]+/)) {
    pid = substr($0, RSTART + 4, RLENGTH - 4)
    if (match($0, /\(\("[^"]+"/)) name = substr($0, RSTART + 3, RLENGTH - 4)
    f = "/proc/" pid "/cgroup"
    while ((getline line < f) > 0) if (line ~ /\.(service|scope|slice)/ && (unit == "-" || line ~ /name=systemd/)) unit = line
    close(f)
    sub(/^[^\/]*/, "", unit)
  }
  print "socket=" $1, $5, pid, (unit == "" ? "-" : unit), name
}'
"""
