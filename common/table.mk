TESTS += test_table test_domains
test_table_OBJS := tests/unit/test_table.o
test_domains_OBJS := tests/unit/test_domains.o
FUZZ += fuzz_domains
fuzz_domains_OBJS := tests/fuzz/fuzz_domains.o tests/fuzz/scratch.o
