#!/bin/sh
# Starts workerd on the folder of the edge's state: edge.sh STATE. What is given besides is handed on.
#
# workerd makes a file for every object it wakes, whether that stores anything or not: one for each relay channel, and one for each name of a network
# that a stranger invents. Nothing is stored in a file of a single page whose log is empty (a table has a page of its own), so these go, while nothing runs
# that has them open. In all others lie secret, totals, bans and listings.
set -eu
dist=$(cd "$(dirname "$0")/.." && pwd)
state=$1
shift
find "$state" -name '*.sqlite' -size 4096c -exec sh -c '
  for file; do
    [ -s "$file-wal" ] || printf "%s\0" "$file" "$file-wal" "$file-shm"
  done' sh {} + | xargs -0 rm -f
exec workerd serve "$dist/self-host/workerd.capnp" edge --directory-path=web="$dist/web" --directory-path=state="$state" "$@"
