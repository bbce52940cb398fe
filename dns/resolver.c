/* SPDX-License-Identifier: ISC
 * resolver: see resolver.h.
 */
#include "dns/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* libunbound logs to a FILE */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unbound.h>
#include <unbound-event.h>
#include "common/clock.h"
#include "common/control.h"
#include "common/die.h"
#include "common/io.h"
#include "common/ip.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/packet.h"
#include "dns/events.h"

static const char anchor_path[] = "/usr/share/dns/root.key";

enum {
	DNS_PORT = 53,
	PORTS_MAX = 1024,
	RESOLV_CONF_MAX = 64 * 1024,
	TEST_AGAIN_MS =
	    5 * 60 * 1000,	  /* while the upstream does not validate */
	TEST_LEAST_MS = 60 * 1000 /* between tests that bogus answers ask for */
};

enum { UNBOUND_INSECURE = 0, UNBOUND_BOGUS = 1, UNBOUND_SECURE = 2 };

struct question {
	resolver_done *done;
	void *arg;
	enum answer_type type;
	bool checked; /* asked of the context that validates */
};

struct servers {
	size_t count;
	char text[LIMIT_RESOLVERS][64]; /* IP@port */
};

static struct ub_ctx *plain, *checking;
static bool checks;	/* the self-test was passed */
static bool testing;	/* the self-test runs */
static int64_t test_at; /* -1: there is no anchor, hence no test */
static int64_t tested_at = -TEST_LEAST_MS;
static struct question test;

/* ---- which servers ---- */

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53", "IP@53". */
static bool
server_parse(struct str s, struct buf *out)
{
	struct str host = s, port = STR("");
	uint64_t number = DNS_PORT;
	struct ip ip;

	if (s.n > 0 && s.p[0] == '[') {
		if (!str_cut(str_skip(s, 1), ']', &host, &port))
			return false;
		if (port.n > 0 && port.p[0] != ':' && port.p[0] != '@')
			return false;
		port = str_skip(port, 1);
	} else if (!str_cut(s, '@', &host, &port) && !ip_parse(s, &ip)) {
		str_rcut(s, ':', &host, &port);
	}
	if (!ip_parse(host, &ip) ||
	    (port.n > 0 &&
		(!str_u64(port, UINT16_MAX, &number) || number == 0)))
		return false;
	ip_put(out, &ip);
	buf_putc(out, '@');
	buf_put_u64(out, number);
	return !out->full;
}

static const char *
add_server(void *arg, struct str line, unsigned number)
{
	struct servers *servers = arg;

	(void)number;
	if (servers->count == LIMIT_RESOLVERS)
		return "more than 16 resolvers";
	struct buf text = BUF_ON(servers->text[servers->count]);
	if (!server_parse(str_trim(line), &text) || buf_cstr(&text) == NULL)
		return "not an address (write IP, IP@port or [IPv6]:port)";
	servers->count++;
	return NULL;
}

/* resolv.conf(5): "nameserver ADDRESS"; what else stands there is libc's.  An
 * address with a scope is left out. */
static void
read_resolv_conf(struct servers *servers)
{
	static char text[RESOLV_CONF_MAX];
	struct str rest, line, word;
	int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	int64_t n = fd < 0 ? -1 : io_slurp(fd, text, sizeof(text));

	if (n < 0)
		LOG(WARN, "resolv-conf", F_ERRNO(errno));
	io_close(&fd);
	rest = (struct str){ text, n < 0 ? 0 : (size_t)n };
	for (int64_t i = 0; i < n; i++)
		if (text[i] == '\t')
			text[i] = ' ';
	while (str_line(&rest, &line)) {
		if (!str_cut(str_trim(line), ' ', &word, &line) ||
		    !str_eq(word, STR("nameserver")))
			continue;
		if (add_server(servers, str_trim(line), 0) != NULL)
			LOG(WARN, "resolv-conf-line", F_STR("text", line));
	}
}

bool
resolver_may_begin(int control_dirfd)
{
	struct servers servers = { .count = 0 };

	return control_list(control_dirfd, "resolvers", add_server, &servers) ==
	       0;
}

static void
find_servers(int control_dirfd, struct servers *servers)
{
	if (control_list(control_dirfd, "resolvers", add_server, servers) < 0)
		die_do(EXITCODE_PERMANENT, "control/resolvers is wrong", 0,
		    "postern check says which, and how to write them");
	if (servers->count == 0)
		read_resolv_conf(servers);
	if (servers->count == 0) {
		LOG(WARN, "no-resolvers",
		    F_TEXT("using", "127.0.0.1, as resolv.conf(5) says"));
		(void)add_server(servers, STR("127.0.0.1"), 0);
	}
}

/* ---- libunbound ---- */

/* What libunbound has to say comes through a FILE; each write is one line of
 * our log. */
static ssize_t
log_line(void *cookie, const char *p, size_t n)
{
	(void)cookie;
	LOG(WARN, "libunbound", F_STR("text", str_trim((struct str){ p, n })));
	return (ssize_t)n;
}

static FILE *
log_stream(void)
{
	FILE *f = fopencookie(
	    NULL, "w", (cookie_io_functions_t){ .write = log_line });

	if (f == NULL || setvbuf(f, NULL, _IOLBF, 1024) != 0)
		die(EXITCODE_TEMPORARY, "fopencookie", errno);
	return f;
}

static void
set_option(struct ub_ctx *ctx, const char *name, const char *value)
{
	int e = ub_ctx_set_option(ctx, name, value);

	if (e != 0) {
		LOG(ERROR, "libunbound", F_TEXT("option", name),
		    F_TEXT("error", ub_strerror(e)));
		die(EXITCODE_TEMPORARY, "libunbound refuses an option", 0);
	}
}

/* How many questions are with the resolvers at a time, a port and so a
 * descriptor each; others wait.  libunbound's own 16 are soon held by domains
 * whose servers do not answer. */
static const char *
questions_out(void)
{
	static char text[16];
	struct buf b = BUF_ON(text);
	struct rlimit files;
	uint64_t most = PORTS_MAX;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		die(EXITCODE_TEMPORARY, "getrlimit", errno);
	if (files.rlim_cur / 4 < most) /* two contexts, TCP, and the rest */
		most = files.rlim_cur / 4;
	buf_put_u64(&b, most);
	return buf_cstr(&b);
}

/* Names that the root does not delegate and that sites serve themselves (RFC
 * 6761, 6762, 8375): the site's resolver is asked, and needs no signature. */
static const char *const private_zones[] = { "test.", "home.arpa.", "internal.",
	"local.", "lan.", "home.", "corp.", "private." };

static void
add_anchor(struct ub_ctx *ctx, const char *path)
{
	int e = ub_ctx_add_ta_file(ctx, path);

	if (e == 0) {
		test_at = 0;
		return;
	}
	LOG(WARN, "dnssec", F_TEXT("state", "unknown"), F_TEXT("file", path),
	    F_TEXT("why", ub_strerror(e)));
}

static struct ub_ctx *
make_context(
    const struct servers *servers, const char *modules, const char *anchor)
{
	struct ub_ctx *ctx = ub_ctx_create_ub_event(events_base());

	if (ctx == NULL)
		die(EXITCODE_TEMPORARY, "libunbound", errno);
	(void)ub_ctx_debugout(ctx, log_stream());
	set_option(ctx, "module-config:", modules);
	set_option(ctx, "do-not-query-localhost:", "no");
	set_option(ctx, "edns-buffer-size:", "1232");
	set_option(ctx, "outgoing-range:", questions_out());
	set_option(ctx, "msg-cache-size:", "4m");
	set_option(ctx, "rrset-cache-size:", "8m");
	set_option(ctx, "cache-max-ttl:", "86400");
	set_option(ctx, "cache-max-negative-ttl:", "900");
	set_option(ctx, "unblock-lan-zones:", "yes");
	for (size_t i = 0; i < N_ELEMENTS(private_zones); i++)
		set_option(ctx, "domain-insecure:", private_zones[i]);
	for (size_t i = 0; i < servers->count; i++) {
		int e = ub_ctx_set_fwd(ctx, servers->text[i]);

		if (e != 0)
			die(EXITCODE_TEMPORARY, ub_strerror(e), 0);
	}
	if (anchor != NULL)
		add_anchor(ctx, anchor);
	/* the first of these makes libunbound take no more options */
	for (size_t i = 0; i < N_ELEMENTS(private_zones); i++) {
		int e = ub_ctx_zone_add(ctx, private_zones[i], "transparent");

		if (e != 0)
			die(EXITCODE_TEMPORARY, ub_strerror(e), 0);
	}
	return ctx;
}

/* libunbound sets up its worker with the first question; one that it answers
 * by itself does that here, outside the sandbox. */
static void
nothing(void *arg, int rcode, void *message, int n, int security, char *why,
    int limited)
{
	(void)arg;
	(void)rcode;
	(void)message;
	(void)n;
	(void)security;
	(void)why;
	(void)limited;
}

static void
warm_up(struct ub_ctx *ctx)
{
	int e = ub_resolve_event(
	    ctx, "localhost.", ANSWER_A, 1, NULL, nothing, NULL);

	if (e != 0)
		die(EXITCODE_TEMPORARY, ub_strerror(e), 0);
}

/* ---- questions ---- */

static void run_test(void);

static enum resolver_security
security_of(const struct question *q, int said)
{
	if (!q->checked)
		return RESOLVER_UNKNOWN;
	return said == UNBOUND_SECURE ? RESOLVER_SECURE : RESOLVER_INSECURE;
}

static void
on_answer(void *arg, int rcode, void *message, int n, int security, char *why,
    int limited)
{
	static char record_bytes[PACKET_MAX];
	struct buf records = { .p = record_bytes,
		.cap = sizeof(record_bytes) - 64 };
	struct question *q = arg;
	struct resolver_result result = {
		.answer = { .status = ANSWER_FAILED },
		.security = security_of(q, security),
	};

	(void)limited;
	if (q->checked && security == UNBOUND_BOGUS) {
		result.answer.status = ANSWER_BOGUS;
		if (q == &test) /* on_test warns */
			LOG(INFO, "dnssec-test",
			    F_TEXT("why", why == NULL ? "" : why));
		else
			LOG(WARN, "bogus",
			    F_TEXT("why", why == NULL ? "" : why));
		run_test();
	} else if (rcode == 3) {
		result.answer.status = ANSWER_NO_NAME;
	} else if (rcode == 0 && message != NULL && n > 0) {
		result.answer = answer_parse(
		    (struct str){ message, (size_t)n }, q->type, &records);
	}
	result.records = buf_str(&records);
	q->done(q->arg, &result);
	if (q != &test)
		free(q);
}

static int
ask(struct question *q, struct str name)
{
	char bytes[ANSWER_NAME + 2];
	struct buf text = BUF_ON(bytes);

	buf_put(&text, name);
	const char *cstr = buf_cstr(&text);
	if (cstr == NULL)
		return -1;
	return ub_resolve_event(q->checked ? checking : plain, cstr,
		   (int)q->type, 1, q, on_answer, NULL) == 0
		   ? 0
		   : -1;
}

int
resolver_ask(
    struct str name, enum answer_type type, resolver_done *done, void *arg)
{
	struct question *q = malloc(sizeof(*q));

	if (q == NULL)
		return -1;
	*q = (struct question){
		.done = done, .arg = arg, .type = type, .checked = checks
	};
	if (ask(q, name) == 0)
		return 0;
	free(q);
	return -1;
}

/* ---- the self-test ---- */

/* That a name below the root does not exist is proved by signatures, and no
 * cache knows a random one. */
static void
on_test(void *arg, const struct resolver_result *r)
{
	bool good = r->security == RESOLVER_SECURE &&
		    (r->answer.status == ANSWER_NO_NAME ||
			r->answer.status == ANSWER_NO_RECORD);

	(void)arg;
	if (good && !checks)
		LOG(INFO, "dnssec", F_TEXT("state", "validating"));
	else if (!good && (checks || tested_at < 0))
		LOG(WARN, "dnssec", F_TEXT("state", "unknown"),
		    F_TEXT("why",
			"the resolvers pass no signatures of the root; "
			"answers are used unchecked"));
	checks = good;
	testing = false;
	tested_at = clock_mono_ms();
	test_at = good ? INT64_MAX : tested_at + TEST_AGAIN_MS;
}

static void
run_test(void)
{
	char bytes[64];
	struct buf name = BUF_ON(bytes);
	uint64_t random;

	if (testing || test_at < 0 ||
	    (tested_at >= 0 && clock_mono_ms() < tested_at + TEST_LEAST_MS))
		return;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return;
	buf_puts(&name, "postern-");
	buf_put_hex64(&name, random);
	test = (struct question){
		.done = on_test, .type = ANSWER_A, .checked = true
	};
	testing = true;
	if (ask(&test, buf_str(&name)) < 0)
		on_test(NULL, &(struct resolver_result){ .records = STR("") });
}

int
resolver_tick(void)
{
	if (test_at < 0 || testing || test_at == INT64_MAX)
		return -1;
	if (clock_mono_ms() >= test_at)
		run_test();
	return testing || test_at == INT64_MAX ? -1 : TEST_LEAST_MS;
}

void
resolver_init(int control_dirfd)
{
	static struct servers servers;

	find_servers(control_dirfd, &servers);
	test_at = -1;
	plain = make_context(&servers, "iterator", NULL);
	checking = make_context(&servers, "validator iterator", anchor_path);
	warm_up(plain);
	warm_up(checking);
}
