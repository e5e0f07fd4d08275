#!/usr/bin/env bash
# containers.sh --tools=DIR [--runs=N] [--project=DIR] [start] [install] [layer] - containers with and
# without dxfs, with Podman and runc (tests/containers/run.sh), as root. The ways of a section run in
# turn, before all else that the machine does (nice, and cpu.shares of Podman's control group where
# that is cgroup v1); medians in milliseconds, each with the lowest and the highest.
#
#   start    from `podman run` to its end, with one require of express: against the same image with
#            node_modules copied in, and against no modules at all
#   install  the same, where npm ci, pnpm or bun installs first in the container: with a cold cache
#            (once) and with a full one in a volume
#   layer    podman build of a layer with node_modules, by dx export and by npm ci, from a full store
#            and a full cache: time, and the layer's size
#
# --tools: a folder whose node_modules/.bin has bun and pnpm. Needs a registry that answers, and 6 GB
# of disk in $TMPDIR.
set -eu -o pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
[ -n "${PODMAN:-}" ] || exec "$top/tests/containers/run.sh" --run "$0" "$@"
tools='' runs=7 project=$top/tests/projects/cra sections=()
for arg; do
	case $arg in
	--tools=*) tools=$(realpath "${arg#*=}") ;;
	--runs=*) runs=${arg#*=} ;;
	--project=*) project=$(realpath "${arg#*=}") ;;
	*) sections+=("$arg") ;;
	esac
done
[ ${#sections[@]} -gt 0 ] || sections=(start install layer)

work=$CONTAINERS/bench bin=$(realpath "${DXFS_BIN:-$top/build/fs}")
npm=$(dirname "$(dirname "$(readlink -f "$(type -P npm)")")")
export DX_STORE=$work/store XDG_STATE_HOME=$work/state
mkdir -p "$work"/{app,times,caches/npm,caches/pnpm,caches/bun}
cp "$project"/package*.json "$work/app"
cd "$work/app"
registry=$(npm config get registry)
require=(node -e 'require("express")')

# milliseconds NAME COMMAND...: one line more in times/NAME.
milliseconds() {
	local name=$1 start end
	shift
	start=$(date +%s%N)
	"$@" </dev/null >"$work/said" 2>&1 || { echo "$name: $(tail -5 "$work/said")" >&2; exit 1; }
	end=$(date +%s%N)
	echo $(((end - start) / 1000000)) >>"$work/times/$name"
}

report() {
	local name
	for name; do
		sort -n "$work/times/$name" | awk -v name="$name" '{ t[NR] = $1 } END {
			printf "%-28s %6d ms  (%d to %d, %d runs)\n", name, t[int((NR + 1) / 2)], t[1], t[NR], NR }'
	done
}

run_in() { podman run --rm -w /app "$@"; }
store=(-v "$DX_STORE:/host:ro" -e DX_STORE_BEHIND=/host)

"$bin/dx" fetch | tail -1
"$bin/dxfs" mount --offline ./node_modules
modules=$PWD/node_modules
find node_modules -type f -exec cat {} + >/dev/null

# build NAME CONTEXT OPTIONS... <Dockerfile
build() {
	local name=$1 context=$2
	shift 2
	podman build -q --network host --no-cache "$@" -t "localhost/$name" -f - "$context"
}

copied_in() {
	printf 'FROM dxfs-test\nWORKDIR /app\nCOPY node_modules /app/node_modules\n' | build copied "$work/copy"
}

section_start() {
	mkdir "$work/copy"
	"$bin/dx" export "$work/copy/node_modules" >/dev/null
	milliseconds image-copied-in copied_in
	rm -r "$work/copy"
	for _ in $(seq "$runs"); do
		milliseconds nothing run_in dxfs-test node -e 0
		milliseconds copied-in run_in localhost/copied "${require[@]}"
		milliseconds shared-ro run_in -v "$modules:/app/node_modules:ro" dxfs-test "${require[@]}"
		milliseconds shared-overlay run_in -v "$modules:/app/node_modules:O" dxfs-test "${require[@]}"
		milliseconds inside run_in --device /dev/fuse --cap-add SYS_ADMIN "${store[@]}" -v "$PWD/package.json:/app/package.json:ro" \
			-v "$PWD/package-lock.json:/app/package-lock.json:ro" dxfs-test sh -c "dxfs mount --offline --prefetch=none ./node_modules && ${require[*]@Q}"
	done
	report nothing copied-in shared-ro shared-overlay inside image-copied-in
}

# installed NAME: with the tool's own lock, in a container; its cache is in a volume.
installed() {
	local command
	case $1 in
	npm) command='node /npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund --cache=/cache' ;;
	pnpm) command='/tools/node_modules/.bin/pnpm install --frozen-lockfile --ignore-scripts --store-dir=/cache --config.node-linker=hoisted' ;;
	bun) command='/tools/node_modules/.bin/bun install --frozen-lockfile --ignore-scripts --cache-dir=/cache' ;;
	esac
	run_in --network host -v "$tools:/tools:ro" -v "$npm:/npm:ro" -v "$work/caches/$1:/cache" -v /etc/ssl/certs:/etc/ssl/certs:ro \
		-v /usr/share/ca-certificates:/usr/share/ca-certificates:ro -v "$work/locks/$1:/lock:ro" -e npm_config_registry="$registry" \
		-e BUN_CONFIG_REGISTRY="$registry" -e NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
		-e SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt -e HOME=/root -e CI=true \
		dxfs-test sh -c "cp /lock/* . && $command && ${require[*]@Q}"
}

section_install() {
	local tool
	for tool in npm pnpm bun; do
		mkdir -p "$work/locks/$tool"
		cp package*.json "$work/locks/$tool"
	done
	(cd "$work/locks/pnpm" && "$tools/node_modules/.bin/pnpm" import && rm package-lock.json) >/dev/null 2>&1
	(cd "$work/locks/bun" && HOME=$work BUN_CONFIG_REGISTRY=$registry "$tools/node_modules/.bin/bun" install --ignore-scripts --lockfile-only &&
		rm package-lock.json) >/dev/null 2>&1
	for tool in npm pnpm bun; do milliseconds "$tool-cold" installed $tool; done
	for _ in $(seq $((runs < 3 ? runs : 3))); do
		for tool in npm pnpm bun; do milliseconds "$tool-full-cache" installed $tool; done
	done
	report npm-cold pnpm-cold bun-cold npm-full-cache pnpm-full-cache bun-full-cache
}

layer_size() { # of an image, above the one it is from
	local size base
	size=$(podman image inspect --format '{{.Size}}' "localhost/$1")
	base=$(podman image inspect --format '{{.Size}}' localhost/dxfs-test)
	echo "$1: $(((size - base) / 1000000)) MB"
}

layer_dx() {
	build layer-dx . -v "$DX_STORE:/host:ro" <<-END
		FROM dxfs-test
		WORKDIR /app
		COPY package.json package-lock.json ./
		RUN DX_STORE_BEHIND=/host HOME=/tmp/home dx export ./node_modules && rm -rf /tmp/home
	END
}

layer_npm() {
	build layer-npm . -v "$work/caches/npm:/cache" -v "$npm:/npm:ro" -v /etc/ssl/certs:/etc/ssl/certs:ro -v /usr/share/ca-certificates:/usr/share/ca-certificates:ro <<-END
		FROM dxfs-test
		WORKDIR /app
		COPY package.json package-lock.json ./
		RUN HOME=/tmp/home npm_config_registry=$registry NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \\
			node /npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund --cache=/cache && rm -rf /tmp/home
	END
}

section_layer() {
	[ -n "$(ls -A "$work/caches/npm")" ] || layer_npm >/dev/null 2>&1 || true # fills it
	for _ in $(seq $((runs < 3 ? runs : 3))); do
		milliseconds build-dx layer_dx
		milliseconds build-npm layer_npm
	done
	report build-dx build-npm
	layer_size layer-dx
	layer_size layer-npm
}

finish() {
	cd /
	"$bin/dxfs" unmount "$modules" >/dev/null 2>&1 || true
}
trap finish EXIT
renice -n -19 $$ >/dev/null
! [ -w /sys/fs/cgroup/cpu/libpod_parent/cpu.shares ] || echo 262144 >/sys/fs/cgroup/cpu/libpod_parent/cpu.shares
echo "load $(cut -d' ' -f1-3 /proc/loadavg)"
for section in "${sections[@]}"; do "section_$section"; done
echo "load $(cut -d' ' -f1-3 /proc/loadavg)"
