# Run these as `./just NAME`, which brings its own copy of just where there is none.

set shell := ["bash", "-euo", "pipefail", "-c"]
# Recipes hand "$@" on, never {{ ARGS }}: names and passwords have blanks and `$`.
set positional-arguments

export CARGO_TERM_PROGRESS_WHEN := "never"
# Recipes, scripts and tests start what is built here, wherever else your cargo would put it.
export CARGO_TARGET_DIR := justfile_directory() / "target"

# What processes do in real time: one test after another. What went wrong stands last, without a backtrace behind it.
realtime := "RUST_LIB_BACKTRACE=0 cargo test --workspace"
one_by_one := "-- --test-threads=1 --nocapture"

# What there is.
default:
    @"{{ just_executable() }}" --list --unsorted

# Everything on this machine: cameras, broker, bridge, S3 store, functions, viewer. Options: ./just demo --help
demo *ARGS: _build-tools viewer
    #!/usr/bin/env bash
    set -euo pipefail
    args=("$@")
    case " ${args[*]-} " in
      *" --help "* | *" -h "* | *" --footage"*) ;;
      *) # Real footage beside the synthetic cameras, where it can be had.
        if scripts/need ffmpeg && footage=$(scripts/footage); then
          args+=(--footage "$footage")
        else
          echo "Going on with synthetic cameras alone." >&2
        fi ;;
    esac
    echo "Building (some minutes the first time)" >&2
    cargo build --quiet --workspace --bin teiten-dev
    exec target/debug/teiten-dev "${args[@]}"

# Units, properties, real Mosquitto, ffmpeg and Chromium, faults, end to end, test-infra: what CI runs. The other test-… below take more.
test: _test-tools viewer
    cd viewer && npm test --silent
    cd tests/browser && npm test --silent
    # All tests, and the programs that the end-to-end tests start. The image is built with few threads, and fetches packages.
    scripts/side-by-side './just image-debian' 'cargo build --workspace --all-targets'
    # Most of these wait for something: more of them at once than there are processors.
    scripts/cargo-tool nextest run --workspace --exclude teiten-tests --lib --bins --tests --test-threads=$((5 * $(nproc)))
    # Emulated cameras take their time: the parts of a cluster are tested beside them.
    scripts/side-by-side './just _test-cameras' './just _test-cluster'
    # Alone, since it is measured in real time.
    {{ realtime }} --test footage_end_to_end --test watching {{ one_by_one }}

# Cameras as they are flashed, booted in an emulator.
_test-cameras:
    {{ realtime }} --test camera_guest --test camera_card --test camera_update {{ one_by_one }}

# And players, which ask for footage that is there: nothing of them is measured in real time.
_test-cluster: test-infra
    {{ realtime }} --test bridges --test faults --test observed --test players --test storage {{ one_by_one }}

# The cluster's part: manifests against schemas and rules, scripts, deploy and its parts without Kubernetes, a bridge that is away.
test-infra: _programs
    scripts/manifest-tools python3 infra/tests/manifests.py
    scripts/manifest-tools python3 infra/tests/observability.py
    python3 infra/tests/scripts.py
    python3 infra/tests/storage_setup.py
    # Most of it is waiting. Each has an address or ports of its own.
    scripts/side-by-side 'python3 infra/tests/outage.py' 'python3 infra/tests/lambda_functions.py' 'python3 infra/tests/broker.py' 'scripts/manifest-tools python3 infra/tests/cluster.py WithCamera' 'scripts/manifest-tools python3 infra/tests/cluster.py AtATerminal' 'scripts/manifest-tools python3 infra/tests/cluster.py WithoutCamera'

# An image is built, looked at and run as a container without rights: a release build, so not in `test`.
test-images: _build-tools
    @scripts/need buildah runc python3
    python3 infra/tests/images.py

# The images' encode for amd64 and arm64 (in qemu) make the same segments: a release build for both, so not in `test`.
test-architectures: _programs
    scripts/images --only encode
    python3 infra/tests/architectures.py

# `deploy` and `undeploy` on Kubernetes' own API server, with the `kube-apiserver` and `etcd` that are in PATH.
test-kubernetes: _programs
    scripts/manifest-tools python3 infra/tests/kubernetes.py

# The manifests, and functions' answers, by Knative's own code: fetches and builds it, with the `go` (1.25 or newer) that is in PATH.
test-knative:
    @scripts/need python3 pip
    @command -v go >/dev/null || { echo "put Go (go) into PATH: 1.25 or newer" >&2; exit 1; }
    scripts/manifest-tools python3 infra/tests/knative.py
    # Vet would look at all of Kubernetes' client, too.
    cd infra/tests/knative && go test -vet=off -count=1 .

# The storage set-up and the whole way of a frame on MinIO, with the `minio` and `mc` that are in PATH: Debian has neither.
test-minio: _programs
    @command -v minio >/dev/null && command -v mc >/dev/null || { echo "put MinIO's server (minio) and client (mc) into PATH" >&2; exit 1; }
    cargo test --workspace --test storage -- --nocapture --ignored minio

# Each window's trace at OpenTelemetry's own collector, up, hanging and gone: with the `otelcol` that is in PATH.
test-collector: _programs
    @command -v otelcol >/dev/null || { echo "put OpenTelemetry's collector (otelcol) into PATH" >&2; exit 1; }
    cargo test --workspace --test observed -- --nocapture --ignored collector

# Updates of cameras that go wrong: power cuts, images without frames. Many starts of an emulated Pi, some minutes.
test-updates: _programs image-debian
    cargo test --workspace --test camera_update_faults -- --nocapture

# Format, lints with warnings denied, dependencies' licences and sources.
check: _build-tools viewer
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cd viewer && npm run --silent check
    scripts/cargo-tool deny check licenses bans sources
    @scripts/need shellcheck pyflakes3
    git grep -lE '^#!.*/(env )?(ba)?sh$' | xargs shellcheck
    { git ls-files '*.py'; git grep -lE '^#!.*python3$'; } | sort -u | xargs pyflakes3
    # The Buildroot tree, where a checkout is at hand: BUILDROOT=/path ./just check
    cd edge-image/buildroot && { [ -z "${BUILDROOT:-}" ] || git ls-files | xargs "$BUILDROOT/utils/check-package" -b; }

# The images of bridge and functions: ./just images [--arch amd64,arm64] [--only NAME,…] [--save FOLDER] [--push]
images *ARGS: _build-tools
    scripts/images "$@"

# Into a Kubernetes cluster: checks, applies, waits, sends a test camera through: ./just deploy [--help]
deploy *ARGS: _build-tools viewer
    scripts/program cluster deploy "$@"

# The cluster's cameras, delays and what is wrong.
status *ARGS: _build-tools
    scripts/program cluster status "$@"

# Out of the cluster; the footage stays unless --footage is given.
undeploy *ARGS: _build-tools
    scripts/program cluster undeploy "$@"

# The camera's agent for aarch64, static: target/agent/teiten-agent
agent: _build-tools
    scripts/agent

# A flashable card of Debian's packages: target/image-debian/teiten-debian.img
image-debian: agent
    edge-image/debian/build

# Measurements, with ratios taken in the same run.
bench: _test-tools viewer agent
    @scripts/need valgrind
    cargo build --release --workspace --bins
    scripts/footage >/dev/null && cargo bench -p teiten-encode
    target/release/delay
    target/release/budget
    python3 infra/tests/footprint.py
    TEITEN_FRAMES=1000 cargo test --release -p teiten-agent --test allocations -- --nocapture

# The object store's conformance suite against any S3 endpoint: ./just conformance http://KEY:SECRET@HOST:PORT/BUCKET
conformance URL: _build-tools
    scripts/program conformance "$1"

# A camera's certificate and ready settings, in cameras/; or its update over the network: ./just camera add|revoke|update NAME [--help]
camera *ARGS: _build-tools
    scripts/program owner camera "$@"

# A link to a camera's footage, live or past, that stops working when it expires: ./just link CAMERA --for 24h [--from TIME --to TIME [--clip]]
link *ARGS: _build-tools
    scripts/link "$@"

# Writes image and a camera's settings onto a card: ./just flash /dev/sdX NAME [--image FILE] [--force] [--yes]
flash *ARGS: _build-tools
    @scripts/need mtools
    scripts/program owner flash "$@"

# An update for cameras, signed with your key: target/image-debian/teiten-debian.raucb; of what is in another FOLDER, teiten.raucb there.
update-bundle FOLDER="":
    @scripts/need rauc squashfs-tools
    {{ if FOLDER == "" { "./just image-debian" } else { "" } }}
    scripts/program owner bundle {{ if FOLDER == "" { "target/image-debian target/image-debian/teiten-debian.raucb" } else { quote(FOLDER) + " " + quote(FOLDER / "teiten.raucb") } }}

# Builds the viewer's page into viewer/dist.
viewer: (_npm-install "viewer")
    @cd viewer && npm run --silent build

_build-tools:
    @scripts/need rust cc cmake nasm

_test-tools: _build-tools (_npm-install "tests/browser")
    @scripts/need ffmpeg mosquitto mosquitto-clients chromium openssl mtools prometheus python3 pip
    @scripts/need qemu-aarch64 cpio setpriv busybox device-tree-compiler rauc squashfs-tools ssh radosgw

# The programs that tests start. (After `cargo build --all-targets`, they are there.)
_programs: _test-tools
    cargo build --workspace --bins

_npm-install FOLDER:
    @scripts/need node
    @cd {{ FOLDER }} && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund; }
