"""The text of the host's script; ``@NAME@`` are its blanks. Each function does nothing where its work is done already."""

from __future__ import annotations

from typing import Final

BODY: Final = r"""#!/bin/sh
# open|close|watch|repair|confirm|rollback: what the cluster needs of this host's firewall. Written by kbootstrap, which told from its table of ports:
@ALLOWED@set -u
export LC_ALL=C
version='# version @VERSION@'
@VERSION_LINE@
tag=@TAG@ strict='@STRICT@' proxy_table='@PROXY@' network_unit='@NETWORK@'
self=@SELF@ guard=@GUARD@
@FUNCTIONS@
nft_rules() { case "$1" in
@NFT@
esac; }
iptables_rules() { case "$1" in
@IPTABLES@
esac; }
policy() { case "$1" in
@POLICY@
esac; }
ufw_block() { cat <<'RULES'
# kbootstrap @TAG@: begin
@UFW_BLOCK@
# kbootstrap: end
RULES
}

# One transaction for each chain: ours is filled anew, and the jump to it goes to the head.
open_nft() { # family table chain hook
  {
    printf 'add chain %s %s kbootstrap-%s\nflush chain %s %s kbootstrap-%s\n' "$1" "$2" "$4" "$1" "$2" "$4"
    nft_rules "$4" | sed "s/^/add rule $1 $2 kbootstrap-$4 /"
    jumps "$1" "$2" "$3"
    printf 'insert rule %s %s %s jump kbootstrap-%s comment "kbootstrap %s"\n' "$1" "$2" "$3" "$4" "$tag"
  } | nft -f -
}
jumps() {
  nft -a list chain "$1" "$2" "$3" | sed -n "s/.*comment \"kbootstrap [0-9a-f]*\" # handle \([0-9]*\)\$/delete rule $1 $2 $3 handle \1/p"
}
close_nft() {
  {
    jumps "$1" "$2" "$3"
    ! nft list chain "$1" "$2" "kbootstrap-$4" >/dev/null 2>&1 || printf 'delete chain %s %s kbootstrap-%s\n' "$1" "$2" "$4"
  } | nft -f -
}
# iptables prints native chains with a warning or not at all, so its tables get ours in its own words.
# What is there is read first: iptables-legacy-restore holds the lock that iptables-legacy waits for.
iptables_jumps() { "$1" -w -S "$2" | sed -n 's/^-A \(.*--comment "kbootstrap .*\)/-D \1/p'; }
open_iptables() { # tool chain hook
  old=$(iptables_jumps "$1" "$2")
  {
    printf '*filter\n:kbootstrap-%s - [0:0]\n' "$3"
    iptables_rules "$3" | sed "s/^/-A kbootstrap-$3 /"
    [ -z "$old" ] || printf '%s\n' "$old"
    printf -- '-I %s 1 -m comment --comment "kbootstrap %s" -j kbootstrap-%s\nCOMMIT\n' "$2" "$tag" "$3"
  } | "$1-restore" -w --noflush
}
close_iptables() {
  old=$(iptables_jumps "$1" "$2")
  {
    printf '*filter\n:kbootstrap-%s - [0:0]\n' "$3"
    [ -z "$old" ] || printf '%s\n' "$old"
    printf -- '-X kbootstrap-%s\nCOMMIT\n' "$3"
  } | "$1-restore" -w --noflush
}
open_chains() {
  chains | while read -r _ tool family table chain hook found rules filters; do
    if [ "$tool" = nft ]; then want=$(nft_rules "$hook" | wc -l); else want=$(iptables_rules "$hook" | wc -l); fi
    [ "$filters" = 1 ] || continue
    [ "$found" != "$tag" ] || [ "$rules" != "$want" ] || continue
    if [ "$tool" = nft ]; then open_nft "$family" "$table" "$chain" "$hook"; else open_iptables "$tool" "$chain" "$hook"; fi ||
      { echo "$family $table $chain ($tool) takes no rules of ours" >&2; return 1; }
  done
}
close_chains() {
  chains | while read -r _ tool family table chain hook found rules _; do
    [ "$found" != - ] || [ "$rules" != 0 ] || continue
    if [ "$tool" = nft ]; then close_nft "$family" "$table" "$chain" "$hook"; else close_iptables "$tool" "$chain" "$hook"; fi || return 1
  done
}

# ufw reads its own files again at every reload and boot; before.rules is the one that can tell a NodePort by the port that was asked for.
ufw_without() { sed '/^# kbootstrap [0-9a-f]*: begin$/,/^# kbootstrap: end$/d' @UFW@; }
ufw_put() { # text from standard input
  cp -a @UFW@ @UFW@.kb-new && cat >@UFW@.kb-new && sync @UFW@.kb-new && mv -f @UFW@.kb-new @UFW@ && { ! ufw_active || ufw reload >/dev/null; }
}
open_ufw() {
  ufw_active && [ "$(tag_in @UFW@)" != "$tag" ] || return 0
  ufw_block >"$self.ufw"
  ufw_without | awk -v block="$self.ufw" '
    /^\*/ { table = $0 }
    /^COMMIT/ && table ~ /^\*filter/ && !done { while ((getline line < block) > 0) print line; done = 1 }
    { print }' >"$self.rules" && ufw_put <"$self.rules"
  rc=$?; rm -f "$self.ufw" "$self.rules"; return $rc
}
close_ufw() {
  [ -n "$(tag_in @UFW@)" ] || return 0
  ufw_without >"$self.rules" && ufw_put <"$self.rules"
  rc=$?; rm -f "$self.rules"; return $rc
}

# firewalld: policies of our own, which only a reload reads; the zones stay as they are. What others set for this boot only would go with a reload
# (but interfaces, which it keeps).
zones() { firewall-cmd "$@" --list-all-zones | sed '/^  interfaces:/d; s/ (.*)$//'; }
unsaved() { [ "$(zones)" != "$(zones --permanent)" ]; }
open_firewalld() {
  firewalld_active && [ "$(tag_in @POLICIES@/kbootstrap-*.xml)" != "$tag" ] || return 0
  ! unsaved || {
    echo 'firewalld has zone settings for this boot only, which a reload would lose; keep them: firewall-cmd --runtime-to-permanent'
    echo 'or drop them: firewall-cmd --reload'
    return 1
  }
  for h in input forward; do
    policy "$h" >"$self.policy" && install -D -m 0644 "$self.policy" "@POLICIES@/kbootstrap-$h.xml" || return 1
  done
  rm -f "$self.policy"
  firewall-cmd --quiet --reload
}
close_firewalld() {
  ls @POLICIES@/kbootstrap-*.xml >/dev/null 2>&1 || return 0
  rm -f @POLICIES@/kbootstrap-*.xml
  firewalld_active || return 0
  if unsaved; then echo 'stays what firewalld lets in for the cluster, until its next reload: settings of this boot would go with it'
  else firewall-cmd --quiet --reload; fi
}

open_strict() {
  [ -n "$strict" ] || { close_strict; return; }
  [ "$(strict_tag)" != "$tag" ] || return 0
  {
    printf 'table inet kbootstrap\ndelete table inet kbootstrap\ntable inet kbootstrap {\n'
    printf 'chain input {\ntype filter hook input priority filter; policy drop;\n'
    printf 'meta l4proto { icmp, ipv6-icmp } accept comment "kbootstrap %s"\n' "$tag"
    nft_rules input
    printf '}\nchain forward {\ntype filter hook forward priority filter; policy drop;\n'
    nft_rules forward
    printf '}\n}\n'
  } | nft -f -
}
close_strict() { ! nft list tables | grep -qx 'table inet kbootstrap' || nft delete table inet kbootstrap; }

# What else goes when somebody flushes all rules: kube-proxy looks only hourly, the pods' own table nobody looks at. A proxy that has just started
# is about to make its table.
mend_cluster() {
  have=$(nft list tables 2>/dev/null)
  if [ -n "$proxy_table" ] && ! printf '%s\n' "$have" | grep -qx "table $proxy_table" && systemctl -q is-active kube-proxy.service; then
    read -r now _ </proc/uptime
    since=$(systemctl show -p ActiveEnterTimestampMonotonic --value kube-proxy.service)
    if [ $(( ${now%.*} - since / 1000000 )) -gt 10 ]; then echo 'kube-proxy has lost its rules'; systemctl restart kube-proxy.service; fi
  fi
  if [ -n "$network_unit" ] && ! printf '%s\n' "$have" | grep -qx 'table ip kbootstrap' && systemctl -q is-active "$network_unit"; then
    echo 'the pod network has lost its rules'; sh @NETWORK_SCRIPT@ masquerade
  fi
}
repair() { open_chains; open_strict; mend_cluster; }
# Reloads come in one transaction, which is mended at once, or in several, which are mended when nothing more comes. What nft does not tell of
# (legacy iptables, a proxy that lost its rules as it started) is seen by the clock.
watch() {
  [ ! -e "$self.unconfirmed" ] || systemctl -q is-active "$guard.timer" || sh "$self" rollback
  [ -e "$self" ] && command -v nft >/dev/null || exec sleep infinity
  trap : TERM
  { echo now; while sleep 15; do echo again; done & nft monitor destroy; kill $!; } | while IFS= read -r _; do
    sh "$self" repair # as it lies there now: a later run may have brought other rules
    timeout 0.3 cat >/dev/null
    sh "$self" repair
  done &
  wait
  n=0
  while others && [ $((n += 1)) -le 40 ]; do sleep 0.05; done
}
# Whether anybody else of this session lives. The service's first process goes last: where the end of a control group is not told (cgroup v1 in a
# container), systemd would wait for it in vain, and call the stop a failure.
others() {
  for stat in /proc/[0-9]*/stat; do
    [ "$stat" != "/proc/$$/stat" ] && IFS= read -r line <"$stat" || continue
    set -- ${line##*) }
    if [ "$4" = $$ ] && [ "$1" != Z ]; then return 0; fi
  done 2>/dev/null
  return 1
}

open_all() { open_ufw && open_firewalld && open_chains && open_strict; }
close_all() { close_strict; close_chains && close_firewalld && close_ufw; }
# The rules of before: those of the script of before, or none.
rollback() {
  if [ -e "$self.before" ]; then mv -f "$self.before" "$self"; else rm -f "$self"; fi
  close_all
  [ ! -e "$self" ] || sh "$self" open_locked
  rm -f "$self.unconfirmed"
}
# One at a time; whoever waited may find that other rules are wanted by now, and leaves it to them.
alone() { mkdir -p @RUN@; exec 9>@RUN@/firewall.lock; flock 9; }

case "${1:-}" in
open) alone; open_all ;;
open_locked) open_all ;;
close) alone; close_all ;;
watch) watch ;;
repair) alone; ! grep -qsx "$version" "$self" || repair ;;
rollback) alone; [ ! -e "$self.unconfirmed" ] || rollback ;;
confirm)
  alone
  [ -e "$self.unconfirmed" ] || { echo 'it was taken back already'; exit 1; }
  systemctl stop "$guard.timer"; rm -f "$self.unconfirmed" "$self.before"
  ;;
*) echo "usage: $0 open|close|watch|repair|confirm|rollback" >&2; exit 2 ;;
esac
"""
