#!/usr/bin/env bash
# Everything that the build needs, then the build: setup.sh [--test] [--bench]. Installs Debian
# packages when root, prints the one apt line otherwise. Second runs only look.
set -euo pipefail
cd "$(dirname "$0")/.."
exec >&2 # standard output belongs to the command that called us

packages=(make cmake g++ pkg-config clang libxdp-dev libbpf-dev linux-libc-dev iproute2 ethtool)
for option in "$@"; do
  case $option in
    --test) packages+=(libgtest-dev libclang-rt-14-dev clang-format-14 tshark python3-scapy tcpdump iputils-ping dpdk-dev valgrind) ;;
    --bench) packages+=(libbenchmark-dev iperf3 nginx-light apache2-utils nftables iptables conntrack dpdk dpdk-dev libdpdk-dev) ;;
    *) echo "usage: setup.sh [--test] [--bench]"; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *" installed" ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  install="apt-get -o Acquire::Retries=5 install -y --no-install-recommends ${missing[*]}"
  if ((EUID)); then
    echo "These Debian packages are missing. As root: $install"
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o Acquire::Retries=5 update -q
  $install </dev/null
fi

# No dependency needs its install script: npm 12 will not run them. A linked node_modules is its
# owner's to fill.
lock=$(sha256sum <package-lock.json)
stamp=node_modules/.nodeplane-lock
if [[ ! -L node_modules && $(cat $stamp 2>/dev/null) != "$lock" ]]; then
  npm ci --fetch-retries=5 --ignore-scripts --no-audit --no-fund
  echo "$lock" >$stamp
fi
npm run --silent build
