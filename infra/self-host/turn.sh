#!/bin/sh
# Starts coturn with turnserver.conf and TURN_SECRET of its environment. The secret goes by a file that nobody else can read, because arguments
# are visible to every user of the machine. What is given besides is handed on.
set -eu
umask 077
folder=${RUNTIME_DIRECTORY:-/tmp}
config=$folder/turnserver.conf
rm -f "$config"
cat "$(dirname "$0")/turnserver.conf" >"$config"
printf 'static-auth-secret=%s\n' "${TURN_SECRET:?set it in edge.env}" >>"$config"
exec env -i PATH="$PATH" turnserver -c "$config" --userdb="$folder/turn.db" --pidfile= "$@"
