TESTS += test_address
test_address_OBJS := tests/unit/test_address.o
FUZZ += fuzz_address
fuzz_address_OBJS := tests/fuzz/fuzz_address.o
