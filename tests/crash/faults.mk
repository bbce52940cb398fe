# check-faults: every call of every role that touches disk, memory or processes
# fails in each way; full disks; damaged spools.  As root.  check-crash runs it.
check-faults: all
	POSTERN_FAULTS=full POSTERN_DAMAGE=100 POSTERN_BUILD=$(abspath $(B)) /usr/bin/python3 \
		-m pytest -v -p no:cacheprovider --tb=short \
		tests/crash/test_faults.py tests/crash/test_full_disk.py \
		tests/crash/test_damage.py tests/crash/test_copy.py
check-crash: check-faults
.PHONY: check-faults
