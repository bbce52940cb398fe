/* SPDX-License-Identifier: ISC
 * Fuzzes queue/mess and queue/messfile: any bytes as a message's file.  The
 * first byte says how much of it is given right checksums, so that what lies
 * behind them is reached.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "queue/messfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned char key[RECORD_KEY];
static const uint64_t id = 0x000660d2d737ec8c;

static int dirfd = -1;
static char path[] = "/dev/shm/fuzz-mess-XXXXXX";

static void
clean_up(void)
{
	char name[MESS_NAME];

	mess_name(id, name);
	(void)unlinkat(dirfd, name, 0);
	name[7] = '\0';
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ||
	    unlinkat(dirfd, "mess", AT_REMOVEDIR) < 0 || rmdir(path) < 0)
		abort();
}

static int
folder(void)
{
	char name[MESS_NAME];
	if (dirfd >= 0)
		return dirfd;
	if (mkdtemp(path) == NULL)
		abort();
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mess_name(id, name);
	name[7] = '\0';
	if (dirfd < 0 || mkdirat(dirfd, "mess", 0700) < 0 ||
	    mkdirat(dirfd, name, 0700) < 0 || atexit(clean_up) != 0)
		abort();
	return dirfd;
}

/* Writes the input as the body, and as the content of two entries. */
static void
write_sealed(int fd, struct str in, enum mess_entry second)
{
	struct messfile f = { .fd = fd,
		.head = { .id = id, .nonce = 3, .body_n = in.n } };
	char head[MESS_BODY_AT];
	mess_head_seal(key, &f.head, head);
	f.end = mess_entries_at(&f.head);
	if (io_write_all(fd, (struct str){ head, sizeof(head) }) < 0 ||
	    io_write_all(fd, in) < 0 ||
	    messfile_append(&f, key, MESS_ENVELOPE, in) < 0 ||
	    messfile_append(&f, key, second, in) < 0)
		abort();
}

static void
read_all(void)
{
	struct messfile f;
	size_t at = 0;
	enum mess_entry type;
	struct str content, address;
	struct replacement r;
	if (messfile_open(dirfd, key, id, &f) < 0)
		return;
	while (strings_next(&f.envelope.recipients, &address))
		;
	while (messfile_next(&f, key, &at, &type, &content))
		if (type == MESS_REPLACEMENT && replacement_open(content, &r))
			while (strings_next(&r.by, &address))
				;
	(void)messfile_body_ok(&f, key);
	messfile_close(&f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[MESS_NAME];
	if (size < 1)
		return 0;
	struct str in = { (const char *)data + 1, size - 1 };
	mess_name(id, name);
	int fd = openat(
	    folder(), name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	if (data[0] % 3 == 0) {
		if (io_write_all(fd, in) < 0)
			abort();
	} else {
		write_sealed(fd, in,
		    data[0] % 3 == 2  ? MESS_REPLACEMENT
		    : data[0] >= 0xc0 ? MESS_HOLD
				      : MESS_STATE);
	}
	close(fd);
	read_all();
	return 0;
}
