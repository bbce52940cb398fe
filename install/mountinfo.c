/* SPDX-License-Identifier: ISC
 * mountinfo: contract in mountinfo.h.
 */
#include "install/mountinfo.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "common/buf.h"
#include "common/io.h"

static void
keep(char *room, size_t size, struct str a, const char *between, struct str b)
{
	struct buf out = { .p = room, .cap = size - 1 };

	buf_put(&out, str_head(a, size / 2 - 1));
	buf_puts(&out, between);
	buf_put(&out, str_head(b, size / 2 - 2));
	room[out.n] = '\0';
}

/* 36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=... */
bool
mountinfo_line(struct str line, struct str device, struct mountinfo *m)
{
	(void)str_word(&line);
	(void)str_word(&line);
	if (!str_eq(str_word(&line), device))
		return false;
	(void)str_word(&line);
	(void)str_word(&line);
	struct str own = str_word(&line);
	while (line.n > 0 && !str_eq(str_word(&line), STR("-")))
		continue;
	struct str type = str_word(&line);
	(void)str_word(&line);
	keep(m->type, sizeof(m->type), type, "", STR(""));
	keep(m->options, sizeof(m->options), own, ",", str_word(&line));
	return type.n > 0;
}

bool
mountinfo_of(const char *path, struct mountinfo *m)
{
	static char text[1024 * 1024];
	char device_text[48];
	struct buf device = BUF_ON(device_text);
	struct str line;
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	buf_put_u64(&device, major(st.st_dev));
	buf_putc(&device, ':');
	buf_put_u64(&device, minor(st.st_dev));
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	int64_t n = fd < 0 ? -1 : io_slurp(fd, text, sizeof(text));
	io_close(&fd);
	struct str rest = { .p = text, .n = n > 0 ? (size_t)n : 0 };
	while (str_line(&rest, &line))
		if (mountinfo_line(line, buf_str(&device), m))
			return true;
	return false;
}

static bool
has(const struct mountinfo *m, struct str wanted)
{
	struct str rest = str_of(m->options);
	struct str one;

	while (rest.n > 0) {
		str_cut(rest, ',', &one, &rest);
		if (str_eq(one, wanted))
			return true;
	}
	return false;
}

enum mountinfo_trust
mountinfo_judge(const struct mountinfo *m, const char **wrong)
{
	static const char *const volatile_types[] = { "tmpfs", "ramfs",
		"rootfs", "squashfs" };
	static const char *const proven[] = { "ext4", "xfs" };

	*wrong = "";
	for (size_t i = 0; i < N_ELEMENTS(volatile_types); i++)
		if (strcmp(m->type, volatile_types[i]) == 0) {
			*wrong = "it is gone after the next boot";
			return MOUNTINFO_BREAKS;
		}
	if (has(m, STR("ro"))) {
		*wrong = "it is mounted read-only";
		return MOUNTINFO_BREAKS;
	}
	if (has(m, STR("nobarrier")) || has(m, STR("barrier=0"))) {
		*wrong = "without barriers a power cut loses what was synced";
		return MOUNTINFO_BREAKS;
	}
	if (has(m, STR("data=writeback"))) {
		*wrong = "with data=writeback a power cut may leave old bytes "
			 "in new files: it is not tested";
		return MOUNTINFO_UNPROVEN;
	}
	for (size_t i = 0; i < N_ELEMENTS(proven); i++)
		if (strcmp(m->type, proven[i]) == 0)
			return MOUNTINFO_PROVEN;
	*wrong = "power cuts are tested on ext4 and XFS only; it must keep "
		 "what it has synced";
	return MOUNTINFO_UNPROVEN;
}
