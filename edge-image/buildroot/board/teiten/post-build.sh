#!/usr/bin/env bash
# What the image calls itself, for telemetry and for bundles made of it.
set -euo pipefail
board=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
"$board/../../../release" >"$TARGET_DIR/etc/teiten-release"
