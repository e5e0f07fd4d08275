#!/usr/bin/env bash
# What dxfs-containers(7) tells people to type, typed.
. "$(dirname "$0")/lib.sh"
filled nested
echo 'console.log("served", require("leaf/package.json").version)' >server.js
version=$(node -p 'require("./package-lock.json").packages["node_modules/leaf"].version')
export npm_config_offline=true PATH=$DXFS_BIN:$PATH

# serves NAME: the recipe, and its server's answer.
serves() {
	recipe "$1" >"$T/script"
	timeout 300 bash -e "$T/script" </dev/null >"$T/said" 2>&1 || fail "$1: $(cat "$T/script" "$T/said")"
	same "$1" "served $version" "$(tail -1 "$T/said")"
}

serves shared
serves overlay
serves volume
podman volume rm own-modules >/dev/null
unmount_it
serves inside
! user_namespaces || serves userns
serves fallback

recipe rslave >"$T/script"
bash -e "$T/script" </dev/null >"$T/said" 2>&1 &
late=$!
started() { podman ps --format '{{.Command}}' | sees until; }
until_true 20 started
mount_it --read-only
wait $late || fail "rslave: $(cat "$T/said")"
same rslave "served $version" "$(tail -1 "$T/said")"

# A pod, as Podman plays it.
recipe kube | sed "s|/srv/project|$PWD|; s|dxfs-test|localhost/dxfs-test|" >"$T/pod.yaml"
podman play kube --network none "$T/pod.yaml" >"$T/said" 2>&1 || fail "kube: $(cat "$T/said")"
timeout $PATIENCE podman wait app-app >/dev/null || true
same kube "served $version" "$(podman logs app-app 2>&1 | tail -1)"
podman play kube --down "$T/pod.yaml" >/dev/null

# The jobs of CI services, in a container as their runners start one.
unmount_it
cat >"$T/npm" <<'END'
#!/bin/sh
exec node server.js
END
chmod 755 "$T/npm"
for job in github gitlab; do
	recipe $job | sed -nE 's/^ *- (run: )?//p' | grep -v 'dx fetch' >"$T/job"
	[ "$(wc -l <"$T/job")" -ge 2 ] || fail "no job $job"
	for options in '' '--device /dev/fuse --cap-add SYS_ADMIN'; do
		# shellcheck disable=SC2086
		run_in $options -v "$T/store:/host-store:ro" -e DX_STORE_BEHIND=/host-store -e npm_config_offline=true -v "$T/npm:/usr/bin/npm:ro" \
			-v "$T/job:/job:ro" -v "$PWD:/app:O" -w /app dxfs-test sh -e /job </dev/null >"$T/said" 2>&1 || fail "$job: $(cat "$T/said")"
		same "$job $options" "served $version" "$(tail -1 "$T/said")"
	done
done
