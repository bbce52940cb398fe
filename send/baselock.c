/* SPDX-License-Identifier: ISC
 * baselock: contract in baselock.h.  Part of postern-local, as the user.
 */
#include "send/baselock.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include "common/clock.h"
#include "common/log.h"

enum { PAUSE_MS = 20 };

int
baselock_take(int fd, int wait_ms)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	int64_t until = clock_mono_ms() + wait_ms;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			LOG(WARN, "no-lock", F_ERRNO(errno));
			return 0;
		}
		if (clock_mono_ms() > until)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}
