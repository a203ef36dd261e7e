#!/usr/bin/env bats
# The benchmark is for a quiet machine; here only its arithmetic is tried.
load helpers

@test "the benchmark's ratios, verdicts and tables are right" {
	cd "$BATS_TEST_DIRNAME/../.."
	python3 -B -m unittest tests.bench.test_table
}

@test "the benchmark refuses a workload that it does not know" {
	cd "$BATS_TEST_DIRNAME/../.."
	run python3 -B -m tests.bench --only W99 --dir "$T/bench"
	[ "$status" -eq 2 ]
	[[ $output == *'no workload W99'* ]]
	[ ! -e "$T/bench" ]
}
