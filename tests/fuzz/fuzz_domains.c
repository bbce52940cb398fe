/* SPDX-License-Identifier: ISC
 * Fuzz: control/locals, virtualdomains and rcpthosts, then look-ups in them.
 * The input is cut at NULs: the three files, then domains to find.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/domains.h"
#include "common/io.h"
#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int dirfd = -1;
static char path[] = "/tmp/fuzz_domains.XXXXXX";

static void
clean(void)
{
	static const char *const made[] = { "locals", "virtualdomains",
		"rcpthosts" };
	for (size_t i = 0; i < N_ELEMENTS(made); i++)
		(void)unlinkat(dirfd, made[i], 0);
	(void)rmdir(path);
}

static int
scratch(void)
{
	if (dirfd >= 0)
		return dirfd;
	log_init("fuzz");
	if (!mkdtemp(path))
		abort();
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || atexit(clean) != 0)
		abort();
	return dirfd;
}

static void
put(const char *name, struct str text)
{
	int fd = openat(
	    scratch(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || io_write_all(fd, text) < 0 || close(fd) < 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "locals", "virtualdomains",
		"rcpthosts" };
	struct str rest = { .p = (const char *)data, .n = n }, part, prepend;
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		str_cut(rest, '\0', &part, &rest);
		put(names[i], part);
	}
	struct domains *d = domains_load(scratch());
	while (d && str_cut(rest, '\0', &part, &rest)) {
		enum domain_kind k = domains_find(d, part, &prepend);
		if (k != DOMAIN_VIRTUAL && prepend.n)
			abort();
	}
	domains_free(d);
	return 0;
}
