#!/usr/bin/env bash
# All set-up, then the main job on this machine: demo.sh [--json]
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Setting up (first time: some minutes) ..." >&2
scripts/setup.sh 2>"$log" || { cat "$log" >&2; exit 1; }
rm -f "$log"
exec node bin/nodeplane.js demo "$@"
