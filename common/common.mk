TESTS += test_text test_wire test_io test_control test_log
test_text_OBJS := tests/unit/test_text.o
test_wire_OBJS := tests/unit/test_wire.o
test_io_OBJS := tests/unit/test_io.o
test_control_OBJS := tests/unit/test_control.o
test_log_OBJS := tests/unit/test_log.o
FUZZ += fuzz_packet
fuzz_packet_OBJS := tests/fuzz/fuzz_packet.o
