#!/usr/bin/env bash
# What goes wrong over HTTP/2: nginx with TLS before the test registry. One answer in twenty is an
# error, cut, wrong, or never ends; connections are told to go away after 25 requests (GOAWAY); and
# nginx's workers are killed, with all streams that they carry. Skipped where there is no nginx.
#   NGINX          where it is               (nginx in PATH, else /usr/sbin/nginx)
#   FAULTS_SEED    the plan                  (any)
#   FAULTS_OF      see lib_many.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_many.sh"
nginx=${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}
[ -x "$nginx" ] || skip "nginx is not installed"
command -v openssl >/dev/null || skip "openssl is not installed"
seed=${FAULTS_SEED:-$((16#$(head -c3 /dev/urandom | od -An -tx1 | tr -d ' ')))}
echo "FAULTS_SEED=$seed"
many 300
N=$T/nginx
mkdir "$N"
port=$(fixed_port) other=$(fixed_port)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
	-addext subjectAltName=IP:127.0.0.1 -keyout "$N/key.pem" -out "$N/cert.pem" 2>/dev/null
cat >"$N/nginx.conf" <<-EOF
	daemon off;
	worker_processes 2;
	$([ "$(id -u)" != 0 ] || echo 'user root;')
	pid $N/pid;
	error_log $N/error.txt;
	events { worker_connections 1024; }
	http {
		client_body_temp_path $N/body; proxy_temp_path $N/proxy; fastcgi_temp_path $N/fastcgi;
		uwsgi_temp_path $N/uwsgi; scgi_temp_path $N/scgi;
		log_format short '\$connection \$server_protocol \$status';
		access_log $N/access.txt short;
		http2_max_concurrent_streams 16;
		ssl_certificate $N/cert.pem;
		ssl_certificate_key $N/key.pem;
		proxy_buffering off;
		proxy_next_upstream off;
		proxy_read_timeout 600s;
		server {
			listen 127.0.0.1:$port ssl http2;
			keepalive_requests 25;
			location / { proxy_pass $REG; }
		}
		server {
			listen 127.0.0.1:$other ssl http2;
			keepalive_requests 10000;
			location / { proxy_pass $REG; }
		}
	}
EOF
env -u NGINX "$nginx" -e "$N/error.txt" -p "$N" -c "$N/nginx.conf" 2>"$N/out" &
front=$!
end() {
	local rc=$?
	set +e
	kill $front
	wait $front
	(exit $rc)
	finish
}
trap end EXIT
answers() { curl -sfk -o /dev/null "https://127.0.0.1:$port/-/log"; }
until_true 20 answers
echo "cafile=$N/cert.pem" >>.npmrc
lead_to "https://127.0.0.1:$port"

# What never ends is given up soon; but an answer that a busy machine delays costs a try, too.
export npm_config_fetch_timeout=5000 npm_config_fetch_retries=8
fault "kind=chaos&percent=5&seed=$seed"
forget_requests
: >"$N/access.txt"
dx fetch --json >"$T/json" || fail "with faults: $(cat "$T/json")"
count=$(field packages)
same "with faults: fetched" "$count" "$(field fetched)"
whole "with faults" "$count"
[ "$(node -p "$(field seconds) < 300")" = true ] || fail "it took $(field seconds) s"
[ "$(requests)" -gt "$count" ] || fail "nothing went wrong: $(requests) requests"
same "not over HTTP/2" 0 "$(grep -vc 'HTTP/2' "$N/access.txt")"
connections=$(cut -d' ' -f1 "$N/access.txt" | sort -u | wc -l)
[ "$connections" -ge $((count / 25)) ] || fail "no connection was told to go away: $connections of them"
echo "$count packages in $(field seconds) s, $(requests) requests over $connections connections"
no_faults

# A connection that was told to go away, and has a stream that is not answered, holds up no other.
export npm_config_maxsockets=1 npm_config_fetch_timeout=600000
unset npm_config_fetch_retries
rm -rf "$T/store"
fault 'kind=hang&count=1&skip=10'
"$DXFS_BIN/dx" fetch --json >"$T/json" 2>/dev/null &
beside=$!
all_but_one() { [ "$(blobs)" = $((count - 1)) ]; }
until_true 60 all_but_one
no_faults
wait $beside || fail "beside a connection that goes away: $(cat "$T/json")"
same "beside a connection that goes away: fetched" "$count" "$(field fetched)"

# Both workers, three times, while streams are open: two connections have sixteen each, and when none of
# them is answered any more nothing else goes on.
lead_to "https://127.0.0.1:$other"
rm -rf "$T/store"
forget_requests
some=$((count / 5)) # are answered each time before that
begin_fetch "kind=hang&count=32&skip=$some" "kind=hang&count=32&skip=$((some * 2 + 32))" "kind=hang&count=32&skip=$((some * 3 + 64))"
for round in 1 2 3; do # those that killed workers had are in flight for the registry, too
	held() { [ "$(requests)" -ge $((round * some)) ] && [ "$(curl -sf "$REG/-/inflight" | wc -l)" -ge $((round * 32)) ]; }
	until_true 60 held
	[ "$(blobs)" -lt "$count" ] || fail "it was over before a worker was killed"
	pkill -9 -P $front
done
no_faults
end_fetch "killed workers"
echo "$count packages in $(field seconds) s with workers killed"
