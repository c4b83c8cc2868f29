#!/bin/sh
# start|stop|masquerade: routes to the pods of the other hosts; ours are told from others by their protocol number.
set -eu

stop() {
  ip -4 route flush proto 201
}

start() {
  stop
  # Services are addresses of no interface: a host without a default route must still have a way there, or its own daemons cannot call them.
  ip -4 route replace 10.96.0.0/16 dev lo src 10.77.0.11 proto 201
  ip -4 route replace 10.244.1.0/24 via 10.77.0.12 proto 201 # m2
  ip -4 route replace 10.244.2.0/24 via 10.77.0.13 proto 201 # m3
  ip -4 route replace 10.244.3.0/24 via 10.77.0.21 proto 201 # w1
  ip -4 route replace 10.244.4.0/24 via 10.77.0.22 proto 201 # w2
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
    ip saddr 10.244.0.0/16 ip daddr != { 10.244.0.0/16, 10.77.0.11, 10.77.0.12, 10.77.0.13, 10.77.0.21, 10.77.0.22 } masquerade
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
