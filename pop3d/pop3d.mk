# POP3: before login (popup) and after (pop3d)
PROGS += postern-pop3d postern-popup
postern-pop3d_OBJS := pop3d/pop3d.o pop3d/session.o pop3d/conn.o \
	pop3d/command.o pop3d/maildrop.o pop3d/maildir.o pop3d/name.o \
	pop3d/wire.o pop3d/capa.o
postern-pop3d_STATIC := yes
postern-popup_STATIC := yes
postern-popup_PLACES := common/session.ld
postern-popup_OBJS := pop3d/popup.o pop3d/login.o pop3d/conn.o \
	pop3d/command.o pop3d/capa.o

TESTS += test_pop3_command test_pop3_wire test_pop3_name
test_pop3_command_OBJS := tests/unit/test_pop3_command.o pop3d/command.o
test_pop3_wire_OBJS := tests/unit/test_pop3_wire.o pop3d/wire.o
test_pop3_name_OBJS := tests/unit/test_pop3_name.o pop3d/name.o

FUZZ += fuzz_pop3_command fuzz_pop3_transform
fuzz_pop3_command_OBJS := tests/fuzz/fuzz_pop3_command.o pop3d/command.o
fuzz_pop3_transform_OBJS := tests/fuzz/fuzz_pop3_transform.o pop3d/wire.o
