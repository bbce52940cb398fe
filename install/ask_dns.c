/* SPDX-License-Identifier: ISC
 * ask_dns: asks the DNS as the suite does: through a postern-dnsd of its own,
 * with the suite's resolvers, that reads the strangers' messages in its own
 * sandbox as posternn (INTERNALS.md "Ask: dnsd").  Contract in doctor.h.
 */
#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/packet.h"
#include "dns/answer.h"
#include "dns/byhand.h"
#include "install/doctor.h"

enum {
	READY_MS = 10 * 1000,
	ANSWER_MS = 5 * 1000,
	ALL_MS = 60 * 1000 /* for all questions together */
};

static int dnsd_fd = -1;
static uint32_t last_key;
static int64_t until_ms;
static char security = 'u';
static char storage[PACKET_MAX];

/* ---- questions ---- */

static bool
question_send(struct str name, enum answer_type type)
{
	char text[512];
	struct buf b = BUF_ON(text);

	packet_begin(&b, 'Q');
	packet_u32(&b, ++last_key);
	packet_u32(&b, (uint32_t)type);
	packet_str(&b, name);
	return !b.full && packet_send(dnsd_fd, buf_str(&b), NULL, 0) == 0;
}

/* The answer to the last question; those to older ones are passed over.  The
 * number of records, which follow in p; -1. */
static int
answer_take(struct packet *p, int64_t end_ms)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;

	for (;;) {
		int64_t left = end_ms - clock_mono_ms();
		if (left <= 0 || io_wait(dnsd_fd, false, (int)left) != 1 ||
		    packet_recv(dnsd_fd, storage, sizeof(storage), 0, &bytes,
			fds, &nfds) != 1)
			return -1;
		packet_close_fds(fds, nfds);
		*p = packet_open(bytes);
		if (packet_get_u32(p) != last_key)
			continue;
		uint8_t status = packet_get_u8(p);
		uint8_t vouched = packet_get_u8(p);
		(void)packet_get_u32(p); /* ttl */
		uint32_t count = packet_get_u32(p);
		if (p->bad || p->type != 'A' || count > ANSWER_RECORDS)
			return -1;
		security = vouched == 0 ? 'i' : vouched == 1 ? 's' : 'u';
		if (status == ANSWER_NO_NAME || status == ANSWER_NO_RECORD)
			return 0;
		return status == ANSWER_OK ? (int)count : -1;
	}
}

static int
ask(struct str name, enum answer_type type, struct packet *p)
{
	int64_t end_ms = clock_mono_ms() + ANSWER_MS;

	if (dnsd_fd < 0 || !question_send(name, type))
		return -1;
	return answer_take(p, end_ms < until_ms ? end_ms : until_ms);
}

bool
ask_dns_init(const char **why)
{
	struct packet p;

	dnsd_fd = byhand_start(false);
	*why = strerror(errno);
	if (dnsd_fd < 0)
		return false;
	*why = "postern-dnsd does not start: is there a user posternn "
	       "(install/users), and is control/resolvers right (postern "
	       "check)?";
	/* it answers that itself */
	if (!question_send(STR("localhost"), ANSWER_A) ||
	    answer_take(&p, clock_mono_ms() + READY_MS) < 0)
		return false;
	until_ms = clock_mono_ms() + ALL_MS;
	return true;
}

char
ask_dns_security(void)
{
	return security;
}

/* ---- by type ---- */

static int
addresses_take(struct packet *p, int count, struct ip *list, size_t max)
{
	int n = 0;

	for (int i = 0; i < count && (size_t)n < max; i++) {
		struct str s = packet_get_str(p, sizeof(list->b));
		if (s.n != 4 && s.n != sizeof(list->b))
			return -1;
		memset(list[n].b, 0, sizeof(list->b));
		list[n].b[10] = list[n].b[11] = s.n == 4 ? 0xff : 0;
		memcpy(list[n].b + (sizeof(list->b) - s.n), s.p, s.n);
		n++;
	}
	return n;
}

int
ask_dns_addresses(struct str name, struct ip *list, size_t max)
{
	struct packet p;
	int n = ask(name, ANSWER_A, &p);
	int four = n < 0 ? -1 : addresses_take(&p, n, list, max);

	if (four < 0)
		return -1;
	n = ask(name, ANSWER_AAAA, &p);
	int six =
	    n < 0 ? -1 : addresses_take(&p, n, list + four, max - (size_t)four);
	return six < 0 ? -1 : four + six;
}

static int
names_take(struct packet *p, int count, bool mx, char (*names)[DOCTOR_NAME],
    size_t max)
{
	int n = 0;

	for (int i = 0; i < count && (size_t)n < max; i++) {
		if (mx)
			(void)packet_get_u32(p);
		struct buf b = { .p = names[n], .cap = DOCTOR_NAME };
		buf_put(&b, packet_get_str(p, DOCTOR_NAME - 1));
		if (p->bad || buf_cstr(&b) == NULL)
			return -1;
		n++;
	}
	return n;
}

int
ask_dns_mx(struct str domain, char (*names)[DOCTOR_NAME], size_t max)
{
	struct packet p;
	int n = ask(domain, ANSWER_MX, &p);

	return n < 0 ? -1 : names_take(&p, n, true, names, max);
}

void
ask_dns_reverse(struct buf *out, const struct ip *ip)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = sizeof(ip->b); i-- > (ip_is_v4(ip) ? 12u : 0u);) {
		if (ip_is_v4(ip)) {
			buf_put_u64(out, ip->b[i]);
		} else {
			buf_putc(out, hex[ip->b[i] & 15]);
			buf_putc(out, '.');
			buf_putc(out, hex[ip->b[i] >> 4]);
		}
		buf_putc(out, '.');
	}
	buf_puts(out, ip_is_v4(ip) ? "in-addr.arpa" : "ip6.arpa");
}

int
ask_dns_ptr(const struct ip *ip, char (*names)[DOCTOR_NAME], size_t max)
{
	char text[96];
	struct buf name = BUF_ON(text);
	struct packet p;

	ask_dns_reverse(&name, ip);
	int n = ask(buf_str(&name), ANSWER_PTR, &p);
	return n < 0 ? -1 : names_take(&p, n, false, names, max);
}

int
ask_dns_txt(struct str name, struct dns_text *texts, size_t max)
{
	struct packet p;
	int count = ask(name, ANSWER_TXT, &p);
	int n = 0;

	if (count < 0)
		return -1;
	for (int i = 0; i < count && (size_t)n < max; i++) {
		struct buf b = { .p = texts[n].p, .cap = sizeof(texts[n].p) };
		buf_put(&b, packet_get_str(&p, PACKET_MAX));
		if (p.bad || b.full)
			return -1;
		texts[n++].n = b.n;
	}
	return n;
}
