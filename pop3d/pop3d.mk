# POP3: before login (popup) and after (pop3d)
PROGS += postern-pop3d postern-popup
postern-pop3d_OBJS := pop3d/pop3d.o pop3d/session.o pop3d/conn.o \
	pop3d/command.o pop3d/maildrop.o pop3d/maildir.o pop3d/name.o \
	pop3d/wire.o pop3d/capa.o
postern-popup_OBJS := pop3d/popup.o pop3d/login.o pop3d/conn.o \
	pop3d/command.o pop3d/capa.o
