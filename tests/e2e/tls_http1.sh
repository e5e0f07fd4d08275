#!/usr/bin/env bash
# A registry behind TLS is believed to speak HTTP/2 until it has answered. One that does not is asked
# over no more connections than npm would open, and all comes.
. "$(dirname "$0")/lib.sh"
command -v openssl >/dev/null || skip "no openssl"
start_registry
mkdir -p "$T/many"
cd "$T/many"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem \
	-days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>/dev/null
# Passes bytes on, and never offers HTTP/2. Its first line is its port, the other what it had open at
# most; it ends with its standard input.
cat >ends.js <<'EOF'
const { readFileSync } = require('fs'), net = require('net'), tls = require('tls')
let open = 0, most = 0
const s = tls.createServer({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }, c => {
  const to = net.connect(Number(process.argv[2]), '127.0.0.1')
  most = Math.max(most, ++open)
  c.on('close', () => { open--; to.destroy() }).on('error', () => {}).pipe(to)
  to.on('close', () => c.destroy()).on('error', () => {}).pipe(c)
}).listen(0, '127.0.0.1', () => console.log(s.address().port))
process.stdin.on('end', () => { console.log(most); process.exit() }).resume()
EOF
coproc ENDS { exec node ends.js "${REG##*:}"; }
exec 8<&"${ENDS[0]}" # the shell forgets its own when it has ended
read -r port <&8
url=https://127.0.0.1:$port
cat >make.js <<'EOF'
const { readdirSync, readFileSync, writeFileSync } = require('fs'), { createHash } = require('crypto')
const [from, url] = process.argv.slice(2), root = { name: 'many', version: '1.0.0', dependencies: {} }
const packages = { '': root }
for (const file of readdirSync(from).filter(f => /^nests-.*\.tgz$/.test(f))) {
  const version = file.slice(6, -4), name = 'n' + version.replaceAll('.', '-')
  const integrity = 'sha512-' + createHash('sha512').update(readFileSync(`${from}/${file}`)).digest('base64')
  root.dependencies[name] = `npm:nests@${version}`
  packages[`node_modules/${name}`] = { name: 'nests', version, resolved: `${url}/nests/-/${file}`, integrity }
}
writeFileSync('package.json', JSON.stringify(root))
writeFileSync('package-lock.json', JSON.stringify({ name: 'many', version: '1.0.0', lockfileVersion: 3, requires: true, packages }))
console.log(Object.keys(root.dependencies).length)
EOF
count=$(node make.js "$FIXTURES/registry" "$url")
[ "$count" -gt 20 ] || fail "only $count packages"
export npm_config_registry=$url/ npm_config_cafile=$PWD/cert.pem
dx fetch >"$T/out" 2>&1 || fail "$(cat "$T/out")"
grep -q "^$count packages: 0 here already, $count fetched .*, 0 failed$" "$T/out" || fail "$(cat "$T/out")"
# What libcurl had just given a connection is asked for again.
asked=$(requests '^GET .*/-/nests-')
[ "$asked" -le $((count + 15)) ] || fail "$asked requests for $count packages"
to=${ENDS[1]}
exec {to}>&-
read -r most <&8
if [ "$most" -lt 2 ] || [ "$most" -gt 15 ]; then fail "$most connections at once"; fi
stop_registry
