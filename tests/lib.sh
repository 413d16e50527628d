# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Running TAP-printing suites and counting what they say.  Sourced.

passed=0
failed=0
tap_log=$(mktemp)
trap 'rm -f "$tap_log"' EXIT

# suite NAME COMMAND...: runs it, shows what failed, counts.  A suite that ends with an error
# but reports no failed test is itself one failure: it crashed or could not start.
suite() {
	suite_name=$1
	shift
	suite_start=$(date +%s)
	"$@" >"$tap_log" 2>&1
	report "$suite_name" $? $(($(date +%s) - suite_start)) "$tap_log"
}

# beside NAME COMMAND...: starts a suite that mostly waits, to run beside the next ones, one at
# a time; collect waits for its end and counts it.
beside() {
	beside_name=$1
	shift
	beside_log=$(mktemp)
	{
		suite_start=$(date +%s)
		"$@" >"$beside_log" 2>&1
		echo "$? $(($(date +%s) - suite_start))" >"$beside_log.end"
	} &
	beside_pid=$!
}

collect() {
	wait "$beside_pid"
	read -r suite_rc suite_seconds <"$beside_log.end"
	report "$beside_name" "$suite_rc" "$suite_seconds" "$beside_log"
	rm -f "$beside_log" "$beside_log.end"
}

report() {	# NAME STATUS SECONDS LOG
	suite_ok=$(grep -c '^ok ' "$4")
	suite_bad=$(grep -c '^not ok ' "$4")
	if [ "$2" -ne 0 ] && [ "$suite_bad" -eq 0 ]; then
		suite_bad=1
	elif [ "$suite_ok" -eq 0 ] && [ "$suite_bad" -eq 0 ]; then
		echo "the suite ran no test" >>"$4"
		suite_bad=1
	fi
	passed=$((passed + suite_ok))
	failed=$((failed + suite_bad))
	printf '%-28s %5d passed %3d failed  %4d s\n' "$1" "$suite_ok" "$suite_bad" "$3"
	if [ "$suite_bad" -ne 0 ]; then
		# Each that failed with what was said before it: a long suite's end tells nothing of it.
		grep '^not ok ' "$4" | sed 's/^/    /'
		grep -v '^ok ' "$4" | grep -B 15 -A 4 '^not ok ' | head -100 | sed 's/^/    | /'
		echo "    and at the end:"
		grep -v '^ok ' "$4" | tail -20 | sed 's/^/    | /'
	fi
}

# Prints the closing line; the exit status says whether all is well.
summary() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# ok / not ok lines for shell tests: check "name" COMMAND...
check_n=0
check_bad=0
check() {
	check_name=$1
	shift
	check_n=$((check_n + 1))
	if "$@"; then
		echo "ok $check_n - $check_name"
	else
		echo "not ok $check_n - $check_name"
		check_bad=$((check_bad + 1))
	fi
}
