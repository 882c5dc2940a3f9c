#!/bin/sh
# Starts a service, unless one of its secrets is still the one that everybody can read in the examples beside this file.
set -eu
left=$(env | sed -n 's/^\([A-Z_]*\)=.*change-me.*/\1/p' | sort | paste -sd ' ' -)
if [ -n "$left" ]; then
    echo "Still the example's secret: $left. Put one of your own in its place, such as \`openssl rand -hex 24\` prints." >&2
    exit 78
fi
exec "$@"
