#!/usr/bin/env bash
# dx verify: the registry's signatures over what the lock names.
. "$(dirname "$0")/lib.sh"

# A registry whose every package is signed by "new", with keys.json; one that did so is changed by
# the lines of JavaScript in $1, which sees {name: {side file, manifest}} as `m` and `keys`.
signed() {
	rm -rf "$T/reg" && cp -a "$FIXTURES/registry" "$T/reg" && rm -f "$T/reg/keys.json"
	node - "$T/reg" "$1" <<'JS'
const [dir, change] = process.argv.slice(2)
const fs = require('fs'), path = require('path'), crypto = require('crypto')
const { execFileSync } = require('child_process')
const pair = () => crypto.generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const pairs = { new: pair(), old: pair(), unlisted: pair() }
const listed = (id, expires) => ({ expires, keyid: id, keytype: 'ecdsa-sha2-nistp256', scheme: 'ecdsa-sha2-nistp256',
	key: pairs[id].publicKey.export({ type: 'spki', format: 'der' }).toString('base64') })
let keys = { keys: [listed('old', '2025-01-29T00:00:00.000Z'), listed('new', null)] }
const sign = (id, text) => ({ keyid: id, sig: crypto.sign('sha256', Buffer.from(text), pairs[id].privateKey).toString('base64') })
const m = {}
for (const name of ['cycle-a-1.0.0', 'cycle-b-1.0.0', 'loader-1.0.0', 'needs-leaf1-1.0.0', 'leaf-1.1.0']) {
	const file = execFileSync('find', [dir, '-name', `${name}.tgz`], { encoding: 'utf8' }).trim().split('\n')[0]
	const side = file.replace(/tgz$/, 'json')
	const j = JSON.parse(fs.existsSync(side) ? fs.readFileSync(side) : execFileSync('tar', ['-xOzf', file, 'package/package.json']))
	const integrity = 'sha512-' + crypto.createHash('sha512').update(fs.readFileSync(file)).digest('base64')
	j._time = '2025-06-01T12:00:00.000Z'
	j.dist = { ...j.dist, integrity, signatures: [sign('new', `${j.name}@${j.version}:${integrity}`)] }
	m[j.name] = { side, j, text: `${j.name}@${j.version}:${integrity}` }
}
eval(change)
if (keys) fs.writeFileSync(path.join(dir, 'keys.json'), JSON.stringify(keys))
for (const x of Object.values(m)) fs.writeFileSync(x.side, JSON.stringify(x.j))
JS
	if [ -z "$REG_PID" ]; then
		start_registry --dir "$T/reg"
	else
		curl -sf -o /dev/null -X POST "$REG/-/rescan"
	fi
}

signed ''
project cycles
same "all signed" "5 verified, 0 without signatures, 0 bad" "$(dx verify)"

# with WHAT CHANGE STATUS COUNTS SENTENCE: another registry, whose answer is expected.
with() {
	signed "$2"
	fails "$3" dx verify --json --registry="$REG/"
	same "$1" "$4" "$(node -e 'const r = JSON.parse(require("fs").readFileSync(process.argv[1])); console.log(r.verified, r.no_keys, r.missing, r.bad, r.not_checked, (r.problems[0] || {}).package || "-")' "$T/out")"
	[ -z "$5" ] || grep -qF -- "$5" "$T/out" || fail "$1: '$5' is not in $(cat "$T/out")"
}

with "no keys" 'keys = null' 0 "0 5 0 0 0 -" ''
with "not signed" 'delete m.leaf.j.dist.signatures' 1 "4 0 1 0 0 leaf@1.1.0" 'but not this one'
with "by an unlisted key" 'm.leaf.j.dist.signatures = [sign("unlisted", m.leaf.text)]' 1 "4 0 0 1 0 leaf@1.1.0" 'does not list'
with "of something else" 'm.leaf.j.dist.signatures = [sign("new", m.loader.text)]' 1 "4 0 0 1 0 leaf@1.1.0" 'signature is wrong'
with "one good, one bad" 'm.leaf.j.dist.signatures.push(sign("new", "x"))' 1 "4 0 0 1 0 leaf@1.1.0" 'signature is wrong'
with "after the key expired" 'm.leaf.j.dist.signatures = [sign("old", m.leaf.text)]' 1 "4 0 0 1 0 leaf@1.1.0" 'expired'
with "before the key expired" 'm.leaf.j._time = "2024-01-01T00:00:00.000Z"; m.leaf.j.dist.signatures = [sign("old", m.leaf.text)]' 0 "5 0 0 0 0 -" ''
# shellcheck disable=SC2016 # JavaScript
with "other bytes" 'm.leaf.j.dist.integrity = m.loader.j.dist.integrity; m.leaf.j.dist.shasum = null; m.leaf.j.dist.signatures = [sign("new", `leaf@1.1.0:${m.loader.j.dist.integrity}`)]' 1 "4 0 0 1 0 leaf@1.1.0" 'other bytes'
with "keys that are none" 'keys = { keys: 5 }' 1 "0 0 0 0 5 cycle-a@1.0.0" 'not a list of signing keys'

# Nobody answers: said for each package, and no success.
stop_registry
export npm_config_fetch_retries=0
fails 1 dx verify --registry="$REG/"
grep -q "5 could not be checked" "$T/out" || fail "an unreachable registry: $(cat "$T/out")"
