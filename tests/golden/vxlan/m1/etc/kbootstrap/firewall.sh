#!/bin/sh
# open|close|watch|repair|confirm|rollback: what the cluster needs of this host's firewall. Written by kbootstrap, which told from its table of ports:
## allow tcp 22 from anywhere (SSH of the operator)
## allow tcp 6443 from anywhere (Kubernetes API)
## allow tcp 2379 from 10.77.0.11 (etcd client API)
## allow tcp 2380 from 10.77.0.11 (etcd peers (Raft))
## allow tcp 10250 from 10.77.0.11, 10.244.0.0/16 (kubelet API)
## allow tcp 10256 from 10.77.0.11 (kube-proxy health)
## allow tcp 30000-32767 from anywhere (NodePort services)
## forward tcp 30000-32767 from anywhere (NodePort services)
## allow udp 30000-32767 from anywhere (NodePort services)
## forward udp 30000-32767 from anywhere (NodePort services)
## allow udp 8472 from 10.77.0.11 (pod network overlay)
## forward everything from 10.77.0.11, 10.244.0.0/16 (pods and services)
set -u
export LC_ALL=C
version='# version 0866d88e6c2bb409'
# version 0866d88e6c2bb409
tag=3feedac3 strict='' proxy_table='ip kube-proxy' network_unit='kb-vxlan.service'
self=/etc/kbootstrap/firewall.sh guard=kb-firewall-guard

ufw_active() { command -v ufw >/dev/null && grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; }
firewalld_active() { command -v firewall-cmd >/dev/null && systemctl -q is-active firewalld; }
chains() {
  nft -s list tables 2>/dev/null | while read -r _ family table; do
    case "$family $table" in
    'ip kube-proxy'|*' kbootstrap'|'ip cni_hostport'|*' firewalld') continue ;;
    ip\ *|inet\ *) ;;
    *) continue ;;
    esac
    nft -s list table "$family" "$table" 2>/dev/null
  done | awk '
function verdict(line) { return line ~ /(^|[ \t:])(drop|reject|DROP|REJECT)([ \t,"]|$)/ }
function bad(table, chain,    key, i, line, parts, n, k) {
  key = table " " chain
  if (seen[key]++ || chain ~ /^(KUBE-|ufw-|kbootstrap)/) return 0
  for (i = 1; i <= count[key]; i++) if (line_bad(table, rule[key, i])) return 1
  return 0
}
function line_bad(table, line,    rest, name) {
  if (verdict(line)) return 1
  rest = line
  while (match(rest, /(jump|goto) [^ ,]+/)) {
    name = substr(rest, RSTART + 5, RLENGTH - 5)
    rest = substr(rest, RSTART + RLENGTH)
    if (bad(table, name)) return 1
  }
  return 0
}
/^table / { table = $2 " " $3; chain = ""; next }
/^\tchain / { chain = $2; next }
/^\t[^\t]/ { chain = ""; next }
chain == "" { next }
/^\t\ttype / {
  if ($0 ~ /^\t\ttype filter hook (input|forward) /) { base[++bases] = table " " chain; hook[bases] = $4; if (/policy drop/) drops[bases] = 1 }
  next
}
/^\t\t/ { key = table " " chain; rule[key, ++count[key]] = $0 }
END {
  for (b = 1; b <= bases; b++) {
    key = base[b]; split(key, word, " "); table = word[1] " " word[2]; tag = "-"; filters = drops[b] + 0; before = 0; ufw = 0
    if (word[3] ~ /^kbootstrap/) continue
    for (i = 1; i <= count[key]; i++) {
      line = rule[key, i]
      if (line ~ /jump kbootstrap-/) {
        if (before) tag = "late"
        else tag = match(line, /comment "kbootstrap [0-9a-f]+"/) ? substr(line, RSTART + 20, RLENGTH - 21) : "?"
        continue
      }
      if (line ~ /jump ufw-before-/) ufw = 1
      split("", seen)
      if (line_bad(table, line)) { filters = 1; before = 1 }
    }
    if (ufw) filters = 0
    print "chain", "nft", key, hook[b], tag, count[table " kbootstrap-" hook[b]] + 0, filters
  }
}
' | while read -r _ tool family table chain hook tag rest; do
    if [ "$family $table" = 'ip filter' ] && listed=$(iptables-nft -w -S "$chain" 2>/dev/null); then
      tool=iptables-nft
      [ "$tag" != '?' ] || tag=$(printf '%s\n' "$listed" | sed -n 's/.* --comment "kbootstrap \([0-9a-f]*\)".*/\1/p')
    fi
    echo "chain $tool $family $table $chain $hook ${tag:--} $rest"
  done
  grep -qsx filter /proc/net/ip_tables_names && command -v iptables-legacy >/dev/null || return 0
  for c in INPUT.input FORWARD.forward; do
    iptables-legacy -w -S | awk -v chain=${c%.*} -v hook=${c#*.} '
      $1 == "-A" && $2 == chain && !head { head = 1; tag = "-"; if (match($0, /kbootstrap [0-9a-f]+/)) tag = substr($0, RSTART + 11, RLENGTH - 11) }
      $1 == "-A" && $2 == "kbootstrap-" hook { n++ }
      $1 == "-A" && $2 == chain && $4 ~ /^ufw-before/ { ufw = 1 }
      $1 == "-P" && $2 == chain && $3 == "DROP" || / -j (DROP|REJECT)/ && $2 !~ /^(KUBE|ufw)-/ { filters = 1 }
      END { print "chain iptables-legacy ip filter", chain, hook, (tag ? tag : "-"), n + 0, (ufw ? 0 : filters + 0) }'
  done
}
ssh_port() {
  p=$$
  while [ "${p:-0}" -gt 1 ]; do
    c=$(tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
    [ -z "$c" ] || { echo "ssh ${c##* }"; return; }
    p=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$p/status" 2>/dev/null)
  done
}
tag_in() { sed -n 's/.*kbootstrap \([0-9a-f][0-9a-f]*\).*/\1/p' "$@" 2>/dev/null | sort -u | tr '\n' ' ' | sed 's/ *$//'; }
strict_tag() { nft list chain inet kbootstrap input 2>/dev/null | tag_in; }

nft_rules() { case "$1" in
  input) cat <<'RULES'
iifname "lo" accept
ct state established,related accept
tcp dport 22 accept
tcp dport 6443 accept
ip saddr { 10.77.0.11 } tcp dport 2379 accept
ip saddr { 10.77.0.11 } tcp dport 2380 accept
ip saddr { 10.77.0.11, 10.244.0.0/16 } tcp dport 10250 accept
ip saddr { 10.77.0.11 } tcp dport 10256 accept
tcp dport 30000-32767 accept
udp dport 30000-32767 accept
ip saddr { 10.77.0.11 } udp dport 8472 accept
RULES
  ;;
  forward) cat <<'RULES'
ct state established,related accept
meta l4proto tcp ct status dnat ct original proto-dst 30000-32767 accept
meta l4proto udp ct status dnat ct original proto-dst 30000-32767 accept
ip saddr { 10.77.0.11, 10.244.0.0/16 } ip daddr 10.244.0.0/16 accept
ip saddr 10.244.0.0/16 accept
RULES
  ;;
esac; }
iptables_rules() { case "$1" in
  input) cat <<'RULES'
-i lo -j ACCEPT
-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-p tcp --dport 22 -j ACCEPT
-p tcp --dport 6443 -j ACCEPT
-s 10.77.0.11/32 -p tcp --dport 2379 -j ACCEPT
-s 10.77.0.11/32 -p tcp --dport 2380 -j ACCEPT
-s 10.77.0.11/32 -p tcp --dport 10250 -j ACCEPT
-s 10.244.0.0/16 -p tcp --dport 10250 -j ACCEPT
-s 10.77.0.11/32 -p tcp --dport 10256 -j ACCEPT
-p tcp --dport 30000:32767 -j ACCEPT
-p udp --dport 30000:32767 -j ACCEPT
-s 10.77.0.11/32 -p udp --dport 8472 -j ACCEPT
RULES
  ;;
  forward) cat <<'RULES'
-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-p tcp -m conntrack --ctstate DNAT --ctorigdstport 30000:32767 -j ACCEPT
-p udp -m conntrack --ctstate DNAT --ctorigdstport 30000:32767 -j ACCEPT
-s 10.77.0.11/32 -d 10.244.0.0/16 -j ACCEPT
-s 10.244.0.0/16 -d 10.244.0.0/16 -j ACCEPT
-s 10.244.0.0/16 -j ACCEPT
RULES
  ;;
esac; }
policy() { case "$1" in
  input) cat <<'RULES'
<?xml version="1.0" encoding="utf-8"?>
<policy priority="-100" target="CONTINUE">
  <short>kbootstrap-input</short>
  <description>kbootstrap 3feedac3</description>
  <ingress-zone name="ANY"/>
  <egress-zone name="HOST"/>
  <rule><port port="22" protocol="tcp"/><accept/></rule>
  <rule><port port="6443" protocol="tcp"/><accept/></rule>
  <rule family="ipv4"><source address="10.77.0.11/32"/><port port="2379" protocol="tcp"/><accept/></rule>
  <rule family="ipv4"><source address="10.77.0.11/32"/><port port="2380" protocol="tcp"/><accept/></rule>
  <rule family="ipv4"><source address="10.77.0.11/32"/><port port="10250" protocol="tcp"/><accept/></rule>
  <rule family="ipv4"><source address="10.244.0.0/16"/><port port="10250" protocol="tcp"/><accept/></rule>
  <rule family="ipv4"><source address="10.77.0.11/32"/><port port="10256" protocol="tcp"/><accept/></rule>
  <rule><port port="30000-32767" protocol="tcp"/><accept/></rule>
  <rule><port port="30000-32767" protocol="udp"/><accept/></rule>
  <rule family="ipv4"><source address="10.77.0.11/32"/><port port="8472" protocol="udp"/><accept/></rule>
</policy>
RULES
  ;;
  forward) cat <<'RULES'
<?xml version="1.0" encoding="utf-8"?>
<policy priority="-100" target="CONTINUE">
  <short>kbootstrap-forward</short>
  <description>kbootstrap 3feedac3</description>
  <ingress-zone name="ANY"/>
  <egress-zone name="ANY"/>
  <rule family="ipv4"><source address="10.77.0.11/32"/><destination address="10.244.0.0/16"/><accept/></rule>
  <rule family="ipv4"><source address="10.244.0.0/16"/><destination address="10.244.0.0/16"/><accept/></rule>
  <rule family="ipv4"><source address="10.244.0.0/16"/><accept/></rule>
</policy>
RULES
  ;;
esac; }
ufw_block() { cat <<'RULES'
# kbootstrap 3feedac3: begin
-A ufw-before-input -p tcp --dport 22 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -p tcp --dport 6443 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -s 10.77.0.11/32 -p tcp --dport 2379 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -s 10.77.0.11/32 -p tcp --dport 2380 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -s 10.77.0.11/32 -p tcp --dport 10250 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -s 10.244.0.0/16 -p tcp --dport 10250 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -s 10.77.0.11/32 -p tcp --dport 10256 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -p tcp --dport 30000:32767 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -p udp --dport 30000:32767 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-input -s 10.77.0.11/32 -p udp --dport 8472 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-forward -p tcp -m conntrack --ctstate DNAT --ctorigdstport 30000:32767 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-forward -p udp -m conntrack --ctstate DNAT --ctorigdstport 30000:32767 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-forward -s 10.77.0.11/32 -d 10.244.0.0/16 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-forward -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment kbootstrap -j ACCEPT
-A ufw-before-forward -s 10.244.0.0/16 -m comment --comment kbootstrap -j ACCEPT
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
ufw_without() { sed '/^# kbootstrap [0-9a-f]*: begin$/,/^# kbootstrap: end$/d' /etc/ufw/before.rules; }
ufw_put() { # text from standard input
  cp -a /etc/ufw/before.rules /etc/ufw/before.rules.kb-new && cat >/etc/ufw/before.rules.kb-new && sync /etc/ufw/before.rules.kb-new && mv -f /etc/ufw/before.rules.kb-new /etc/ufw/before.rules && { ! ufw_active || ufw reload >/dev/null; }
}
open_ufw() {
  ufw_active && [ "$(tag_in /etc/ufw/before.rules)" != "$tag" ] || return 0
  ufw_block >"$self.ufw"
  ufw_without | awk -v block="$self.ufw" '
    /^\*/ { table = $0 }
    /^COMMIT/ && table ~ /^\*filter/ && !done { while ((getline line < block) > 0) print line; done = 1 }
    { print }' >"$self.rules" && ufw_put <"$self.rules"
  rc=$?; rm -f "$self.ufw" "$self.rules"; return $rc
}
close_ufw() {
  [ -n "$(tag_in /etc/ufw/before.rules)" ] || return 0
  ufw_without >"$self.rules" && ufw_put <"$self.rules"
  rc=$?; rm -f "$self.rules"; return $rc
}

# firewalld: policies of our own, which only a reload reads; the zones stay as they are. What others set for this boot only would go with a reload
# (but interfaces, which it keeps).
zones() { firewall-cmd "$@" --list-all-zones | sed '/^  interfaces:/d; s/ (.*)$//'; }
unsaved() { [ "$(zones)" != "$(zones --permanent)" ]; }
open_firewalld() {
  firewalld_active && [ "$(tag_in /etc/firewalld/policies/kbootstrap-*.xml)" != "$tag" ] || return 0
  ! unsaved || {
    echo 'firewalld has zone settings for this boot only, which a reload would lose; keep them: firewall-cmd --runtime-to-permanent'
    echo 'or drop them: firewall-cmd --reload'
    return 1
  }
  for h in input forward; do
    policy "$h" >"$self.policy" && install -D -m 0644 "$self.policy" "/etc/firewalld/policies/kbootstrap-$h.xml" || return 1
  done
  rm -f "$self.policy"
  firewall-cmd --quiet --reload
}
close_firewalld() {
  ls /etc/firewalld/policies/kbootstrap-*.xml >/dev/null 2>&1 || return 0
  rm -f /etc/firewalld/policies/kbootstrap-*.xml
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
    echo 'the pod network has lost its rules'; sh /etc/kubernetes/pod-network.sh masquerade
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
alone() { mkdir -p /run/kbootstrap; exec 9>/run/kbootstrap/firewall.lock; flock 9; }

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
