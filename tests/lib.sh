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
	suite_rc=$?
	suite_ok=$(grep -c '^ok ' "$tap_log")
	suite_bad=$(grep -c '^not ok ' "$tap_log")
	if [ "$suite_rc" -ne 0 ] && [ "$suite_bad" -eq 0 ]; then
		suite_bad=1
	elif [ "$suite_ok" -eq 0 ] && [ "$suite_bad" -eq 0 ]; then
		echo "the suite ran no test" >>"$tap_log"
		suite_bad=1
	fi
	passed=$((passed + suite_ok))
	failed=$((failed + suite_bad))
	printf '%-28s %5d passed %3d failed  %4d s\n' "$suite_name" "$suite_ok" "$suite_bad" \
		$(($(date +%s) - suite_start))
	if [ "$suite_bad" -ne 0 ]; then
		grep -v '^ok ' "$tap_log" | tail -60 | sed 's/^/    /'
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
