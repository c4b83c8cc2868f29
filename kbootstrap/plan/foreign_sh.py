"""What other installers left on a host, as sh texts: ``LOOK`` tells every single thing, the others remove things that were told.

Each line of the answer is ``installer<TAB>kind<TAB>thing``. ``@name@`` is filled in by ``plan/foreign.py``, from the catalog alone; what a host
has told comes as ``"$@"``.
"""

from __future__ import annotations

from typing import Final

# Of a directory that a package brought, or on which something is mounted, the content is told: it stays itself.
LOOK: Final = r"""
export LC_ALL=C
told() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }
package() {
  if command -v dpkg-query >/dev/null; then
    { dpkg-query -S -- "$1" || dpkg-query -S -- "${1#/usr}"; } 2>/dev/null | head -n 1 | sed 's/[:,].*//'
  elif command -v rpm >/dev/null; then rpm -qf --qf '%{NAME}\n' -- "$1" 2>/dev/null | grep -v ' ' | head -n 1; fi
}
mounted() { awk -v p="$1" '$5 == p { found = 1 } END { exit !found }' /proc/self/mountinfo; }
dirs= any= listed=
path() { # installer, what is there
  { [ -e "$2" ] || [ -L "$2" ]; } || return 0
  if [ -d "$2" ] && [ ! -L "$2" ]; then
    case " $dirs " in *" $2 "*) return 0 ;; esac
    dirs="$dirs $2"
    if [ -n "$(package "$2")" ] || mounted "$2"; then
      find "$2" -mindepth 1 -maxdepth 1 | sort | while IFS= read -r f; do file "$1" "$f"; done
      return 0
    fi
  fi
  file "$1" "$2"
}
file() { by=$(package "$2"); if [ -n "$by" ]; then told "$1" package "$by ($2)"; else told "$1" file "$2"; fi; }
unit() {
  case "$(systemctl show -p ActiveState -p UnitFileState -- "$2" 2>/dev/null)" in
    *=active*|*=activating*|*=reloading*|*=failed*|*UnitFileState=enabled*) told "$1" unit "$2" ;;
  esac
}
@installers@
rules='@chains@' tables='@tables@'
[ -z "$any" ] || rules="$rules|@cni_chain@" tables="$tables|@cni_table@"
[ -n "$listed" ] || {
[ -z "$any" ] || {
  for f in @shared@; do path '@any@' "$f"; done
  for n in @namespaces@/@prefix@*; do [ ! -e "$n" ] || told '@any@' namespace "$n"; done
}
for l in @links@; do for d in /sys/class/net/$l; do [ ! -e "$d" ] || told '@any@' interface "${d##*/}"; done; done
@rules@
}
awk -v list="$dirs" 'BEGIN { n = split(list, d, " ") } { for (i = 1; i <= n; i++) if (index($5, d[i] "/") == 1) { print $5; break } }' \
  /proc/self/mountinfo | tac | while IFS= read -r m; do told '@any@' mount "$m"; done
@processes@
living | while IFS= read -r p; do [ ! -e "/proc/$p" ] || told '@any@' process "$p $(cat "/proc/$p/comm" 2>/dev/null)"; done
"""

INSTALLER: Final = r"""
found=
for f in @signs@; do { [ ! -e "$f" ] && [ ! -L "$f" ]; } || found=1; done
for u in @own@; do ! systemctl -q is-active "$u" 2>/dev/null || found=1; done
[ -z "$found" ] || {
  any=1
  for u in @units@; do unit '@name@' "$u"; done
  for f in @signs@ @files@; do path '@name@' "$f"; done
}
"""

LISTED: Final = r"""
for f in @signs@; do [ ! -e "$f" ] || { listed=1; told '@name@' listed "$f"; }; done
"""

COMMANDS: Final = r"""
for c in @commands@; do [ "$(readlink "@bin@/$c" 2>/dev/null)" != k3s ] || told k3s file "@bin@/$c"; done
"""

# Chains and tables, once each; of chains of a table as many as begin alike are one line.
RULES: Final = r"""
{ nft list chains 2>/dev/null | awk -v tables="^($tables)\$" '
    /^table/ { t = $2 " " $3; if ($3 ~ tables) print "table " t; next }
    $1 == "chain" { print "chains", t, $2 }'
  for f in iptables ip6tables; do
    ! command -v $f-legacy-save >/dev/null || [ ! -s /proc/net/${f%tables}_tables_names ] || $f-legacy-save 2>/dev/null | awk -v f=$f '
      /^\*/ { t = f "-legacy " substr($1, 2) } /^:/ { print "chains", t, substr($1, 2) }'
  done
} | awk -v chains="^($rules)" '
  $1 == "table" { print; next }
  match($4, chains) { n[$2 " " $3 " " substr($4, 1, RLENGTH)]++ }
  END { for (k in n) print "chains", k, n[k] }' | sort | while IFS= read -r r; do told '@any@' rules "$r"; done
"""

# What runs from the installers' folders; in pods' control groups, and shims of kubelets' containers, unless these may be those of one that stays.
PROCESSES: Final = r"""
living() {
  {
    [ -n "${listed:-}" ] || grep -lE ':/(@groups@)(/|$)' /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3
    for p in /proc/[0-9]*; do
      e=$(readlink "$p/exe" 2>/dev/null) || continue
      case "$e" in
        @programs@) echo "${p##*/}" ;;
        */containerd-shim*) [ -n "${listed:-}" ] || ! tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q -e ' -namespace @pods@ ' || echo "${p##*/}" ;;
      esac
    done
  } | sort -un
}
"""

UNITS: Final = r"""
for u in "$@"; do
  systemctl disable "$u" 2>/dev/null || :
  systemctl stop "$u" || ! systemctl -q is-active "$u"
  systemctl reset-failed "$u" 2>/dev/null || :
done
"""

KILL: Final = r"""
! grep -qE ':/(@groups@)(/|$)' /proc/self/cgroup || { echo 'this session runs in a control group of pods; nothing is killed'; exit 1; }
for i in $(seq 100); do
  left=$(living)
  [ -n "$left" ] || exit 0
  kill -KILL $left 2>/dev/null || :
  sleep 0.1
done
echo 'these do not end:'; ps -o pid,stat,args -p "$(echo $left | tr ' ' ,)"
exit 1
"""

# Whatever lies on top of a mount that was told goes with it.
UNMOUNT: Final = r"""
for m in "$@"; do
  for i in 1 2 3; do
    ! awk -v p="$m" '$5 == p { found = 1 } END { exit !found }' /proc/self/mountinfo || umount -- "$m" 2>/dev/null || umount -l -- "$m" || :
  done
done
"""

NAMESPACES: Final = r"""
for n in "$@"; do umount -- "$n" 2>/dev/null || :; rm -f -- "$n"; done
"""

LINKS: Final = r"""
for l in "$@"; do [ ! -e "/sys/class/net/$l" ] || ip link delete "$l"; done
"""

# One transaction for all of nftables; what others wrote in the same tables stays, in its order.
CLEAR_NFT: Final = r"""
{ nft list tables | sed 's/^table //' | grep -xE '(ip|ip6|inet) (@tables@)' | sed 's/^/delete table /' || :
  nft -a list ruleset 2>/dev/null | awk '
    /^table/ { t = $2 " " $3; other = $3 ~ /^(@tables@)$/; next }
    other { next }
    $1 == "chain" { c = $2; mine = c ~ /^(@chains@)/; if (mine) chains[n++] = t " " c; next }
    !mine { for (i = 1; i < NF; i++) if (($i == "jump" || $i == "goto") && $(i + 1) ~ /^(@chains@)/) print "delete rule", t, c, "handle", $NF }
    END { for (i = 0; i < n; i++) print "flush chain", chains[i]; for (i = 0; i < n; i++) print "delete chain", chains[i] }'
} | nft -f -
"""
CLEAR_LEGACY: Final = r"""
for f in iptables ip6tables; do
  command -v $f-legacy-save >/dev/null && [ -s /proc/net/${f%tables}_tables_names ] || continue
  $f-legacy-save 2>/dev/null | awk '
    /^[*]/ { print; n = 0; next }
    /^:(@chains@)/ { c = substr($1, 2); print ":" c " - [0:0]"; chains[n++] = c; next }
    /^-A (@chains@)/ { next }
    /^-A .* -[jg] (@chains@)/ { sub(/^-A/, "-D"); print; next }
    /^COMMIT/ { for (i = 0; i < n; i++) print "-X " chains[i]; print }
  ' | $f-legacy-restore --noflush
done
"""
