/* SPDX-License-Identifier: ISC
 * Fuzz harness of smtpd/session: lines of commands, and the answers of userd
 * and queued that are drawn from the input.  Every reply is whole and fits, and
 * no recipient outlives its transaction.
 */
#include <stdlib.h>
#include "smtpd/reply.h"
#include "smtpd/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_reply(struct str reply)
{
	struct str line;

	while (reply.n > 0) {
		size_t n = str_find(reply, '\n');

		if (n == reply.n || n < 5 || n > 511 || reply.p[n - 1] != '\r')
			abort();
		line = str_head(reply, n - 1);
		reply = str_skip(reply, n + 1);
		for (size_t i = 0; i < line.n; i++)
			if (line.p[i] < ' ' || line.p[i] > '~')
				abort();
		if (line.p[0] < '2' || line.p[0] > '5' ||
		    (line.p[3] == ' ') != (reply.n == 0))
			abort();
	}
}

static void
check_session(const struct session *s)
{
	bool has = s->phase == PHASE_RCPT;

	if (has != (s->transaction.recipients > 0) ||
	    s->transaction.recipients > LIMIT_RECIPIENTS ||
	    s->errors > SESSION_MAX_ERRORS + 1 || s->address.full ||
	    s->helo.full)
		abort();
}

static const char verdicts[] = { 'K', 'D', 'N', 'Z', '\0', 'x' };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct session_config config = {
		.me = { "me.example", 10 },
		.greeting = { "me.example", 10 },
		.databytes = 1000,
	};
	struct str in = { .p = (const char *)data, .n = size };
	struct str line;
	struct session s;
	unsigned turn = 0;

	session_begin(&s, &config, size % 2 == 1);
	while (str_line(&in, &line)) {
		char storage[REPLY_MAX];
		struct buf reply = BUF_ON(storage);
		char v = verdicts[(line.n + turn++) % sizeof(verdicts)];
		enum session_action action = session_command(&s, line, &reply);

		if (action == SESSION_ASK) {
			if (buf_str(&reply).n > 0)
				abort();
			action = session_answer(&s, v, line, &reply);
		}
		check_reply(buf_str(&reply));
		check_session(&s);
		if (action == SESSION_DATA) {
			buf_reset(&reply);
			action = session_data_end(&s,
			    (enum data_problem)(line.n % 5), v,
			    str_head(in, 900), &reply);
			check_reply(buf_str(&reply));
			check_session(&s);
			if (s.phase != PHASE_IDLE || s.transaction.refused)
				abort();
		}
		if (action == SESSION_CLOSE || action == SESSION_QUIT)
			break;
	}
	return 0;
}
