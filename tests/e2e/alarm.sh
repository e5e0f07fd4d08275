#!/usr/bin/env bash
# A signal that a program handles does not end its wait for a package; Ctrl-C and a time limit do.
. "$(dirname "$0")/lib.sh"
start_registry
project cycles
export npm_config_fetch_retries=5 npm_config_fetch_retry_mintimeout=100 npm_config_fetch_retry_maxtimeout=300
mount_it --prefetch=none
fault "match=leaf-1.1.0&kind=hang"

# A reader that gets SIGALRM while it waits (perl restarts nothing by itself: sysread tells EINTR).
perl -e '
	use POSIX; my $n = 0;
	sigaction(SIGALRM, POSIX::SigAction->new(sub { $n++; syswrite(STDERR, "alarm\n"); }, POSIX::SigSet->new, SA_RESTART)) or die;
	open(my $f, "<", "node_modules/leaf/index.js") or die "open: $!";
	my $got = sysread($f, my $text, 100);
	defined $got or die "read: $!";
	print "$n $text";' >"$T/read" 2>"$T/alarms" &
reader=$!
until_true 20 in_flight leaf-1.1.0
for _ in 1 2 3; do kill -ALRM $reader; done
# It still waits after several looks at what is pending (50 ms each).
timeout 0.5 tail --pid=$reader -f /dev/null && fail "SIGALRM ended a wait: $(cat "$T/alarms")"
no_faults
until_true 40 cat node_modules/leaf/index.js
wait $reader || fail "the reader failed: $(cat "$T/alarms")"
grep -q "leaf@1.1.0" "$T/read" || fail "read: $(cat "$T/read")"
