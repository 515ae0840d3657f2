#!/usr/bin/env bash
# Makes the card's image of what Buildroot has built: a FAT partition with firmware, kernel and settings, and the root.
set -euo pipefail
board=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
cp "$board/../../../agent/teiten.toml.example" "$BINARIES_DIR/"
cd "$BINARIES_DIR"
files=$(printf '\t\t\t"%s",\n' Image ./*.dtb rpi-firmware/* teiten.toml.example | sed 's|"\./|"|')
# genimage copies its root path as a whole, and none of it is needed.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/root"
awk -v files="$files" '{ print $0 == "@FILES@" ? files : $0 }' "$board/genimage.cfg.in" >genimage.cfg
genimage --rootpath "$scratch/root" --tmppath "$scratch/tmp" --inputpath . --outputpath . --config genimage.cfg
