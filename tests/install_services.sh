#!/usr/bin/env bash
# What the tests need beyond Python: binaries of PostgreSQL, PgBouncer, Redis, nginx, OpenLDAP and Samba, Chromium,
# fonts. By apt where that may be done, else the packages are named.
set -euo pipefail
PATH="$PATH:/usr/sbin" # where servers are, which a user's PATH often lacks
missing=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || command -v initdb > /dev/null || missing+=(postgresql)
command -v redis-server > /dev/null || missing+=(redis-server)
# the shell alone costs the tests a good third less CPU than the whole browser; not every distribution has it
command -v chromium-headless-shell > /dev/null || ! command -v apt-get > /dev/null || missing+=(chromium-headless-shell)
command -v chromium > /dev/null || command -v chromium-browser > /dev/null || missing+=(chromium fonts-noto-core fonts-noto-color-emoji)
command -v pgbouncer > /dev/null || missing+=(pgbouncer)
command -v nginx > /dev/null || missing+=(nginx-light)
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' > /dev/null || missing+=(libfaketime)
command -v slapd > /dev/null && command -v ldapmodify > /dev/null || missing+=(slapd ldap-utils)
# samba-ad-provision holds data only; samba-tool says too late that it misses them
command -v samba > /dev/null && command -v samba-tool > /dev/null && [ -d /usr/share/samba/setup ] ||
  missing+=(samba samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind python3-samba ldb-tools attr)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
  echo "The tests need these packages, please install them: ${missing[*]}" >&2
  exit 1
fi
# the tests start their own servers: none of the packages shall start one
if [ ! -e /usr/sbin/policy-rc.d ]; then
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
