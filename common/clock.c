/* SPDX-License-Identifier: ISC
 * clock: contract in clock.h.  Dates are computed here, not by libc, so that no
 * time zone file is ever looked for.
 */
#include "common/clock.h"

#include <time.h>

struct date {
	unsigned year, month, day, hour, minute, second, weekday;
};

static int64_t
microseconds(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
clock_now_us(void)
{
	return microseconds(CLOCK_REALTIME);
}

int64_t
clock_now(void)
{
	return clock_now_us() / 1000000;
}

int64_t
clock_mono_us(void)
{
	return microseconds(CLOCK_MONOTONIC);
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

/* Gregorian date of a day number since 1970-01-01, by counting years of 400,
 * 100, 4 and 1 from 1 March of the year 0, so that a leap day comes last. */
static struct date
date_of(int64_t seconds)
{
	if (seconds < 0)
		seconds = 0;
	unsigned of_day = (unsigned)(seconds % 86400);
	uint64_t days = (uint64_t)(seconds / 86400);
	uint64_t z = days + 719468;
	uint64_t era = z / 146097;
	uint64_t day_of_era = z % 146097;
	uint64_t year_of_era = (day_of_era - day_of_era / 1460 +
				   day_of_era / 36524 - day_of_era / 146096) /
			       365;
	uint64_t day_of_year =
	    day_of_era -
	    (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t month_from_march = (5 * day_of_year + 2) / 153;
	uint64_t month =
	    month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	return (struct date){
		.year = (unsigned)(year_of_era + era * 400 + (month <= 2)),
		.month = (unsigned)month,
		.day = (unsigned)(day_of_year -
				  (153 * month_from_march + 2) / 5 + 1),
		.hour = of_day / 3600,
		.minute = of_day / 60 % 60,
		.second = of_day % 60,
		.weekday = (unsigned)((days + 4) % 7),
	};
}

static void
put_time(struct buf *b, const struct date *d)
{
	buf_put_padded(b, d->hour, 2);
	buf_putc(b, ':');
	buf_put_padded(b, d->minute, 2);
	buf_putc(b, ':');
	buf_put_padded(b, d->second, 2);
}

void
clock_put_rfc5322(struct buf *b, int64_t seconds)
{
	static const char weekdays[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct date d = date_of(seconds);
	buf_put(
	    b, (struct str){ .p = weekdays + (size_t)d.weekday * 3, .n = 3 });
	buf_put(b, STR(", "));
	buf_put_u64(b, d.day);
	buf_putc(b, ' ');
	buf_put(
	    b, (struct str){ .p = months + ((size_t)d.month - 1) * 3, .n = 3 });
	buf_putc(b, ' ');
	buf_put_padded(b, d.year, 4);
	buf_putc(b, ' ');
	put_time(b, &d);
	buf_put(b, STR(" +0000"));
}

void
clock_put_iso(struct buf *b, int64_t us)
{
	struct date d = date_of(us / 1000000);
	buf_put_padded(b, d.year, 4);
	buf_putc(b, '-');
	buf_put_padded(b, d.month, 2);
	buf_putc(b, '-');
	buf_put_padded(b, d.day, 2);
	buf_putc(b, 'T');
	put_time(b, &d);
	buf_putc(b, '.');
	buf_put_padded(b, (uint64_t)(us % 1000000), 6);
	buf_putc(b, 'Z');
}
