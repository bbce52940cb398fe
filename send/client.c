/* SPDX-License-Identifier: ISC
 * client: see client.h.
 */
#include "send/client.h"

#include "send/saying.h"

/* RFC 5321 4.5.3.2.  RSET and QUIT have none there. */
static const struct {
	unsigned seconds;
	const char *when;
} phases[] = {
	[CLIENT_AT_GREETING] = { 300, "before its greeting" },
	[CLIENT_AT_EHLO] = { 300, "at EHLO" },
	[CLIENT_AT_HELO] = { 300, "at HELO" },
	[CLIENT_AT_IDLE] = { 300, "between messages" },
	[CLIENT_AT_RSET] = { 300, "at RSET" },
	[CLIENT_AT_MAIL] = { 300, "at MAIL" },
	[CLIENT_AT_RCPT] = { 300, "at RCPT" },
	[CLIENT_AT_DATA] = { 120, "at DATA" },
	[CLIENT_AT_DOT] = { 600,
	    "after the message was sent: a duplicate is possible" },
	[CLIENT_AT_ABORT] = { 120, "at DATA" },
	[CLIENT_AT_QUIT] = { 5, "at QUIT" },
	[CLIENT_AT_END] = { 5, "at the end" },
};

void
client_init(struct client *c, struct str host, struct str ip, struct str helo,
    bool strict7bit)
{
	c->phase = CLIENT_AT_GREETING;
	c->host = host;
	c->ip = ip;
	c->helo = helo;
	c->strict7bit = strict7bit;
	c->extensions = 0;
	c->peer_size = 0;
	c->jobs = 0;
	c->count = c->at = c->accepted = 0;
	c->needs_reset = c->body_cut = c->stale = c->failed = false;
}

unsigned
client_timeout(const struct client *c)
{
	return phases[c->phase].seconds;
}

bool
client_has(const struct client *c, enum client_extension extension)
{
	return (c->extensions & (unsigned)extension) != 0;
}

/* ---- verdicts ---- */

static struct str
said(const struct client *c, char *storage, enum verdict verdict,
    const struct reply *r)
{
	return saying_of(c->host, c->ip, verdict, r, storage);
}

static enum verdict
verdict_of(unsigned code)
{
	if (code / 100 == 2)
		return VERDICT_OK;
	return code / 100 == 5 ? VERDICT_FAIL : VERDICT_DEFER;
}

static void
decide_rest(struct client *c, enum verdict verdict, struct str text)
{
	for (size_t i = 0; i < c->count; i++) {
		struct client_recipient *r = &c->recipients[i];

		if (r->decided)
			continue;
		r->decided = true;
		r->verdict = verdict;
		r->text = text;
	}
}

static bool
all_decided(const struct client *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (!c->recipients[i].decided)
			return false;
	return true;
}

/* Everyone that is undecided gets what the reply says. */
static void
decide_by_reply(struct client *c, const struct reply *r)
{
	enum verdict verdict = verdict_of(r->code);

	if (!all_decided(c))
		decide_rest(c, verdict, said(c, c->group_text, verdict, r));
}

static enum client_action
fail_host(struct client *c, enum verdict verdict, struct str text)
{
	c->failed = true;
	c->failure = verdict;
	c->failure_text = text;
	c->phase = CLIENT_AT_END;
	return CLIENT_CLOSE;
}

static bool
is_before_jobs(enum client_phase phase)
{
	return phase == CLIENT_AT_GREETING || phase == CLIENT_AT_EHLO ||
	       phase == CLIENT_AT_HELO;
}

/* A kept connection that ended while it waited for us is nobody's fault. */
static bool
is_stale(const struct client *c)
{
	return c->jobs > 0 && !c->answered && c->phase != CLIENT_AT_IDLE;
}

enum client_action
client_lost(struct client *c, struct str why)
{
	enum client_phase phase = c->phase;
	struct buf text = BUF_ON(c->group_text);

	c->phase = CLIENT_AT_END;
	if (phase == CLIENT_AT_IDLE || phase == CLIENT_AT_QUIT ||
	    phase == CLIENT_AT_END)
		return CLIENT_CLOSE;
	if (!is_before_jobs(phase) && all_decided(c))
		return CLIENT_CLOSE;
	c->stale = c->jobs > 0 && !c->answered;
	if (c->stale)
		return CLIENT_CLOSE;
	saying_put(&text, STR("4.4.2 "));
	saying_put_host(&text, c->host, c->ip);
	saying_put(&text, STR(" "));
	saying_put(&text, why);
	saying_put(&text, STR(" "));
	saying_put(&text, phase == CLIENT_AT_DOT && c->body_cut
			      ? STR("while the message was being sent")
			      : str_of(phases[phase].when));
	if (is_before_jobs(phase))
		return fail_host(c, VERDICT_DEFER, buf_str(&text));
	decide_rest(c, VERDICT_DEFER, buf_str(&text));
	return CLIENT_CLOSE;
}

void
client_give_up(struct client *c, enum verdict verdict, struct str text)
{
	struct buf kept = BUF_ON(c->group_text);

	saying_put(&kept, text);
	decide_rest(c, verdict, buf_str(&kept));
	if (c->phase != CLIENT_AT_IDLE)
		c->phase = CLIENT_AT_END;
}

void
client_body_failed(struct client *c)
{
	c->body_cut = true;
}

/* ---- commands ---- */

static void
put_path(struct buf *out, const char *verb, struct str address)
{
	buf_puts(out, verb);
	buf_putc(out, '<');
	buf_put(out, address);
	buf_putc(out, '>');
}

static void
put_mail(const struct client *c, struct buf *out)
{
	put_path(out, "MAIL FROM:", c->job.sender);
	if (client_has(c, CLIENT_SIZE)) {
		buf_puts(out, " SIZE=");
		buf_put_u64(out, c->job.wire_size);
	}
	if (c->job.eight_bit && client_has(c, CLIENT_8BITMIME))
		buf_puts(out, " BODY=8BITMIME");
	buf_puts(out, "\r\n");
}

static void
put_rcpt(const struct client *c, struct buf *out, size_t i)
{
	put_path(out, "RCPT TO:", c->recipients[i].address);
	buf_puts(out, "\r\n");
}

static void
put_hello(const struct client *c, struct buf *out, const char *verb)
{
	buf_puts(out, verb);
	buf_put(out, c->helo);
	buf_puts(out, "\r\n");
}

void
client_quit(struct client *c, struct buf *out)
{
	c->phase = CLIENT_AT_QUIT;
	buf_puts(out, "QUIT\r\n");
}

/* ---- the dialogue ---- */

static enum client_action
finish(struct client *c)
{
	c->jobs++;
	c->phase = CLIENT_AT_IDLE;
	if (!c->body_cut)
		return CLIENT_READY;
	c->phase = CLIENT_AT_END;
	return CLIENT_CLOSE;
}

static enum client_action
go(struct client *c, enum client_phase phase, struct buf *out)
{
	c->phase = phase;
	if (c->pipelined)
		return CLIENT_WAIT;
	if (phase == CLIENT_AT_MAIL)
		put_mail(c, out);
	else if (phase == CLIENT_AT_RCPT)
		put_rcpt(c, out, c->at);
	else if (phase == CLIENT_AT_DATA)
		buf_puts(out, "DATA\r\n");
	return CLIENT_WAIT;
}

static bool
refused_unsent(struct client *c)
{
	if (c->job.dirty)
		client_give_up(c, VERDICT_FAIL,
		    STR("5.6.0 the message holds a carriage return within a "
			"line or a NUL byte, which SMTP cannot carry"));
	else if (c->peer_size > 0 && c->job.wire_size > c->peer_size) {
		char bytes[LIMIT_REPORT];
		struct buf text = BUF_ON(bytes);

		saying_put(&text, STR("5.3.4 "));
		saying_put_host(&text, c->host, c->ip);
		saying_put(&text, STR(" takes messages of at most "));
		buf_put_u64(&text, c->peer_size);
		saying_put(&text, STR(" bytes; this one has "));
		buf_put_u64(&text, c->job.wire_size);
		client_give_up(c, VERDICT_FAIL, buf_str(&text));
	} else if (c->job.eight_bit && c->strict7bit &&
		   !client_has(c, CLIENT_8BITMIME))
		client_give_up(c, VERDICT_FAIL,
		    STR("5.6.3 the next host does not take 8-bit mail"));
	return c->job.dirty || all_decided(c);
}

enum client_action
client_start(struct client *c, const struct client_job *job, size_t count,
    struct buf *out)
{
	c->job = *job;
	c->count = count;
	c->at = c->accepted = 0;
	c->mail_taken = c->answered = c->strange = c->stale = false;
	for (size_t i = 0; i < count; i++)
		c->recipients[i].accepted = c->recipients[i].decided = false;
	if (refused_unsent(c))
		return CLIENT_READY;
	c->pipelined = client_has(c, CLIENT_PIPELINING);
	c->phase = c->needs_reset ? CLIENT_AT_RSET : CLIENT_AT_MAIL;
	if (c->needs_reset)
		buf_puts(out, "RSET\r\n");
	if (c->pipelined || !c->needs_reset)
		put_mail(c, out);
	c->needs_reset = false;
	if (!c->pipelined)
		return CLIENT_WAIT;
	for (size_t i = 0; i < count; i++)
		put_rcpt(c, out, i);
	buf_puts(out, "DATA\r\n");
	return CLIENT_WAIT;
}

static enum client_action
at_greeting(struct client *c, const struct reply *r, struct buf *out)
{
	if (r->code == 220) {
		c->phase = CLIENT_AT_EHLO;
		c->ehlo_first = true;
		put_hello(c, out, "EHLO ");
		return CLIENT_WAIT;
	}
	enum verdict v = r->code / 100 == 5 ? VERDICT_FAIL : VERDICT_DEFER;
	return fail_host(c, v, said(c, c->group_text, v, r));
}

static enum client_action
at_hello(struct client *c, const struct reply *r, struct buf *out)
{
	if (r->code == 250) {
		c->phase = CLIENT_AT_IDLE;
		return CLIENT_READY;
	}
	c->extensions = 0;
	c->peer_size = 0;
	if (c->phase == CLIENT_AT_EHLO && r->code / 100 == 5) {
		c->phase = CLIENT_AT_HELO;
		put_hello(c, out, "HELO ");
		return CLIENT_WAIT;
	}
	enum verdict v = r->code / 100 == 5 ? VERDICT_FAIL : VERDICT_DEFER;
	return fail_host(c, v, said(c, c->group_text, v, r));
}

static enum client_action
at_mail(struct client *c, const struct reply *r, struct buf *out)
{
	c->mail_taken = r->code / 100 == 2;
	if (!c->mail_taken) {
		decide_by_reply(c, r);
		if (!c->pipelined)
			return finish(c);
	}
	return go(c, CLIENT_AT_RCPT, out);
}

static void
decide_recipient(struct client *c, size_t i, const struct reply *r)
{
	struct client_recipient *to = &c->recipients[i];

	if (r->code / 100 == 2) {
		/* taken though MAIL was not: no dot may follow */
		c->strange |= to->decided;
		to->accepted = true;
		c->accepted += !to->decided;
		return;
	}
	if (to->decided)
		return;
	to->decided = true;
	to->verdict = r->code == 552 ? VERDICT_DEFER : verdict_of(r->code);
	to->text = said(c, c->texts[i], to->verdict, r);
}

static enum client_action
at_rcpt(struct client *c, const struct reply *r, struct buf *out)
{
	decide_recipient(c, c->at, r);
	if (++c->at < c->count)
		return go(c, CLIENT_AT_RCPT, out);
	if (c->accepted > 0 || c->pipelined)
		return go(c, CLIENT_AT_DATA, out);
	c->needs_reset = true;
	return finish(c);
}

static enum client_action
at_data(struct client *c, const struct reply *r, struct buf *out)
{
	if (r->code == 354 && c->accepted > 0) {
		c->phase = CLIENT_AT_DOT;
		return CLIENT_BODY;
	}
	if (r->code == 354 && c->strange)
		return client_lost(c, STR("took no sender but recipients"));
	if (r->code == 354) {
		c->phase = CLIENT_AT_ABORT;
		buf_puts(out, ".\r\n");
		return CLIENT_WAIT;
	}
	decide_by_reply(c, r);
	c->needs_reset = true;
	return finish(c);
}

static enum client_action
at_dot(struct client *c, const struct reply *r)
{
	if (c->body_cut && r->code / 100 == 2)
		return client_lost(c, STR("stopped reading"));
	decide_by_reply(c, r);
	c->needs_reset = r->code / 100 != 2;
	return finish(c);
}

void
client_line(struct client *c, const struct reply *r)
{
	struct str keyword, value;

	if (c->phase != CLIENT_AT_EHLO || r->code != 250)
		return;
	if (c->ehlo_first) {
		c->ehlo_first = false;
		return;
	}
	str_cut(str_trim(reply_line(r)), ' ', &keyword, &value);
	if (str_ieq(keyword, STR("PIPELINING")))
		c->extensions |= CLIENT_PIPELINING;
	else if (str_ieq(keyword, STR("8BITMIME")))
		c->extensions |= CLIENT_8BITMIME;
	else if (str_ieq(keyword, STR("SIZE"))) {
		c->extensions |= CLIENT_SIZE;
		c->peer_size = 0;
		(void)str_u64(str_trim(value), UINT64_MAX, &c->peer_size);
	}
}

/* 2xx, 4xx and 5xx answer every command; 3xx answers DATA alone (4.2.1), and
 * DATA knows no 2xx. */
static bool
is_out_of_place(const struct client *c, unsigned code)
{
	if (c->phase == CLIENT_AT_DATA)
		return code / 100 == 2 || (code / 100 == 3 && code != 354);
	if (c->phase == CLIENT_AT_GREETING)
		return code / 100 == 3 || (code / 100 == 2 && code != 220);
	if (c->phase == CLIENT_AT_EHLO || c->phase == CLIENT_AT_HELO)
		return code / 100 == 3 || (code / 100 == 2 && code != 250);
	return code / 100 == 3;
}

/* RFC 5321 3.8: 421 may answer anything, and the connection is over. */
static enum client_action
at_421(struct client *c, const struct reply *r)
{
	if (is_before_jobs(c->phase))
		return fail_host(
		    c, VERDICT_DEFER, said(c, c->group_text, VERDICT_DEFER, r));
	c->stale = is_stale(c);
	if (!c->stale)
		decide_by_reply(c, r);
	c->phase = CLIENT_AT_END;
	return CLIENT_CLOSE;
}

enum client_action
client_reply(struct client *c, const struct reply *r, struct buf *out)
{
	if (c->phase == CLIENT_AT_IDLE)
		return client_lost(c, STR("spoke"));
	if (c->phase != CLIENT_AT_QUIT && r->code == 421)
		return at_421(c, r);
	if (is_out_of_place(c, r->code))
		return client_lost(c, STR("gave a reply out of place"));
	/* an answered RSET says that the connection lives */
	c->answered = !is_before_jobs(c->phase);
	switch (c->phase) {
	case CLIENT_AT_GREETING:
		return at_greeting(c, r, out);
	case CLIENT_AT_EHLO:
	case CLIENT_AT_HELO:
		return at_hello(c, r, out);
	case CLIENT_AT_RSET:
		if (r->code / 100 != 2)
			return client_lost(c, STR("refused RSET"));
		return go(c, CLIENT_AT_MAIL, out);
	case CLIENT_AT_MAIL:
		return at_mail(c, r, out);
	case CLIENT_AT_RCPT:
		return at_rcpt(c, r, out);
	case CLIENT_AT_DATA:
		return at_data(c, r, out);
	case CLIENT_AT_DOT:
		return at_dot(c, r);
	case CLIENT_AT_ABORT:
		c->needs_reset = true;
		return finish(c);
	case CLIENT_AT_QUIT:
	case CLIENT_AT_IDLE:
	case CLIENT_AT_END:
		break;
	}
	c->phase = CLIENT_AT_END;
	return CLIENT_CLOSE;
}
