#!/bin/sh
# start|stop|masquerade: a VXLAN to the other hosts with static entries, so that nothing is flooded and nothing learned.
set -eu
device=kb-vxlan

stop() {
  if ip link show "$device" >/dev/null 2>&1; then
    ip link delete "$device" # its addresses, neighbours and routes go with it
  fi
  ip -4 route flush proto 201
}

start() {
  stop
  below=$(ip -4 -o address show to 10.77.0.11 | { read -r _ name _ && echo "$name"; }) || {
    echo "no interface has the address 10.77.0.11" >&2
    exit 1
  }
  ip link add "$device" address 02:6b:0a:4d:00:0b type vxlan id 1 \
    local 10.77.0.11 dev "$below" dstport 8472 nolearning
  ip -4 address add 10.244.0.0/32 dev "$device"
  ip link set "$device" up
  # Services are addresses of no interface: a host without a default route must still have a way there, or its own daemons cannot call them.
  ip -4 route replace 10.96.0.0/16 dev lo src 10.77.0.11 proto 201
  masquerade
}

masquerade() {
# Replaced as one transaction: the first line makes sure that there is something to delete.
nft -f - <<'RULES'
table ip kbootstrap
delete table ip kbootstrap
table ip kbootstrap {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.244.0.0/16 ip daddr != { 10.244.0.0/16 } masquerade
  }
  chain forward {
    type filter hook forward priority mangle; policy accept;
    ip saddr 10.244.0.0/16 tcp flags syn tcp option maxseg size set rt mtu
  }
}
RULES
}

case "$1" in
start) start ;;
masquerade) masquerade ;; # somebody flushed all rules
stop)
  stop
  nft delete table ip kbootstrap
  ;;
esac
