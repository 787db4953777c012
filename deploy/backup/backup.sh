#!/bin/sh
# The backup service of compose.yaml: a backup that is restored on trial, again every $1 hours.
# Where the last round went well there is /tmp/well, which the container's health check looks for.
set -u
every_s=$((${1:?hours between backups} * 3600))
trap 'exit 0' TERM INT
while :; do
  if genai backup --drill; then
    touch /tmp/well
    pause_s=$every_s
  else
    rm -f /tmp/well
    pause_s=900 # the database may be back by then
  fi
  sleep "$pause_s" &
  wait $!
done
