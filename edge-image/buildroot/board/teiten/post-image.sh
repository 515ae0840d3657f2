#!/usr/bin/env bash
# Makes the card's image of what Buildroot has built, teiten.img. What a slot is made of stays beside it, for bundles:
# boot.vfat, root.squashfs, release.
set -euo pipefail
shared=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
cd "$BINARIES_DIR"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"/root/{settings,boot}
# The ROM of the Pi 3 and Zero 2 reads bootcode.bin from the first partition only.
cp rpi-firmware/bootcode.bin "$shared"/card/{autoboot,config}.txt "$scratch/root/settings/"
cp "$shared/agent/teiten.toml.example" "$scratch/root/settings/teiten.toml"
cp -r Image ./*.dtb rpi-firmware/* "$scratch/root/boot/"
rm "$scratch/root/boot/bootcode.bin"
cp rootfs.squashfs root.squashfs
cp "$TARGET_DIR/etc/teiten-release" release
genimage --rootpath "$scratch/root" --tmppath "$scratch/tmp" --inputpath . --outputpath . --config "$shared/card/genimage.cfg"
mv card.img teiten.img
