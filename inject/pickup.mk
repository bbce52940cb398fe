PROGS += postern-pickup
postern-pickup_OBJS := $(addprefix inject/,pickup.o boxfiles.o dropfile.o \
	dropname.o)
