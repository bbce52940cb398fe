/* SPDX-License-Identifier: ISC
 * progress: contract in progress.h.
 */
#include "install/progress.h"

#include <stdio.h>
#include <unistd.h>
#include "common/clock.h"

enum { WAIT_MS = 1000, EVERY_MS = 100, CELLS = 40 };

static const char *word = "";
static bool on, drawn;
static int64_t began, last;

void
progress_wipe(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
}

void
progress_begin(const char *what, bool quiet)
{
	progress_wipe();
	word = what;
	on = !quiet && isatty(STDERR_FILENO) == 1;
	began = last = clock_mono_ms();
}

void
progress_at(uint64_t at, uint64_t end)
{
	char bar[CELLS + 1];
	int64_t now = on ? clock_mono_ms() : 0;

	if (!on || now - began < WAIT_MS || now - last < EVERY_MS || end == 0)
		return;
	if (at > end)
		at = end;
	uint64_t full = at * CELLS / end;
	for (uint64_t i = 0; i < CELLS; i++)
		bar[i] = i < full ? '#' : '.';
	bar[CELLS] = '\0';
	fprintf(stderr, "\r%s [%s] %3ju %%", word, bar,
	    (uintmax_t)(at * 100 / end));
	fflush(stderr);
	last = now;
	drawn = true;
}

void
progress_end(void)
{
	progress_wipe();
	on = false;
}
