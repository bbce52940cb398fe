# check-faults: every call of every role that touches disk, memory or processes
# fails once in each way; as root.  check-crash runs it, too.
check-faults: all
	POSTERN_FAULTS=full POSTERN_BUILD=$(abspath $(B)) /usr/bin/python3 \
		-m pytest -v -p no:cacheprovider --tb=short \
		tests/crash/test_faults.py
check-crash: check-faults
.PHONY: check-faults
