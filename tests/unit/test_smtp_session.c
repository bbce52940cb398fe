/* SPDX-License-Identifier: ISC
 * Unit test of smtpd/session: every command after every rejection.  The answer
 * to a command may depend on nothing but the phase that the rejection left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "smtpd/reply.h"
#include "smtpd/session.h"

static const struct session_config config = {
	.me = { "me.example", 10 },
	.greeting = { "me.example", 10 },
	.databytes = 1000,
};

/* What happens to a session; a step is one of these. */
enum step_kind { LINE, ANSWER, END, BAD_LINE };

struct step {
	enum step_kind kind;
	const char *text; /* the line, or the text of the verdict */
	char verdict;
	enum data_problem problem;
};

#define DO(line)                                                               \
	{                                                                      \
		.kind = LINE, .text = (line)                                   \
	}
#define SAYS(v, t)                                                             \
	{                                                                      \
		.kind = ANSWER, .verdict = (v), .text = (t)                    \
	}
#define ENDS(p, v, t)                                                          \
	{                                                                      \
		.kind = END, .problem = (p), .verdict = (v), .text = (t)       \
	}

enum { MAX_STEPS = 5 };

static enum session_action
take(struct session *s, const struct step *step, struct buf *reply)
{
	switch (step->kind) {
	case LINE:
		return session_command(s, str_of(step->text), reply);
	case ANSWER:
		return session_answer(
		    s, step->verdict, str_of(step->text), reply);
	case END:
		return session_data_end(
		    s, step->problem, step->verdict, str_of(step->text), reply);
	case BAD_LINE:
		return session_bad_line(s, LINE_TOO_LONG, reply);
	}
	return SESSION_CLOSE;
}

/* Ways into each phase. */
static const struct {
	enum session_phase phase;
	struct step steps[MAX_STEPS];
} ways[] = {
	{ PHASE_NEW, { { .kind = LINE } } },
	{ PHASE_IDLE, { DO("EHLO x") } },
	{ PHASE_MAIL, { DO("EHLO x"), DO("MAIL FROM:<a@b>") } },
	{ PHASE_RCPT, { DO("EHLO x"), DO("MAIL FROM:<a@b>"),
			  DO("RCPT TO:<c@d>"), SAYS('K', "") } },
};

/* Rejections: where they are possible, their code, and where they lead. */
static const struct {
	int from;
	struct step steps[MAX_STEPS];
	const char *code;
	bool ends; /* the transaction is over */
} rejections[] = {
	{ 15, { DO("BREW") }, "500 5.5.1", false },
	{ 15, { DO("EXPN x") }, "502 5.5.1", false },
	{ 15, { DO("\x01") }, "500 5.5.2", false },
	{ 15, { { .kind = BAD_LINE } }, "500 5.5.6", false },
	{ 15, { DO("HELO") }, "501 5.5.4", false },
	{ 15, { DO("EHLO a b") }, "501 5.5.4", false },
	{ 15, { DO("RSET x") }, "501 5.5.4", false },
	{ 15, { DO("QUIT x") }, "501 5.5.4", false },
	{ 15, { DO("VRFY") }, "501 5.5.4", false },
	{ PHASE_NEW, { DO("MAIL FROM:<a@b>") }, "503 5.5.1", false },
	{ PHASE_NEW | PHASE_IDLE, { DO("RCPT TO:<a@b>") }, "503 5.5.1", false },
	{ PHASE_NEW | PHASE_IDLE | PHASE_MAIL, { DO("DATA") }, "503 5.5.1",
	    false },
	{ PHASE_MAIL | PHASE_RCPT, { DO("MAIL FROM:<e@f>") }, "503 5.5.1",
	    false },
	{ PHASE_IDLE, { DO("MAIL FROM:<a>") }, "501 5.1.7", false },
	{ PHASE_IDLE, { DO("MAIL FROM:a@b") }, "501 5.5.4", false },
	{ PHASE_IDLE, { DO("MAIL FROM:<a@b> SIZE=1001") }, "552 5.3.4", false },
	{ PHASE_IDLE, { DO("MAIL FROM:<a@b> X=Y") }, "555 5.5.4", false },
	{ PHASE_MAIL | PHASE_RCPT, { DO("RCPT TO:<a>") }, "501 5.1.3", false },
	{ PHASE_MAIL | PHASE_RCPT, { DO("RCPT TO:<a@b> X") }, "555 5.5.4",
	    false },
	{ PHASE_MAIL | PHASE_RCPT, { DO("RCPT TO:<x@d>"), SAYS('D', "") },
	    "550 5.1.1", false },
	{ PHASE_MAIL | PHASE_RCPT, { DO("RCPT TO:<x@d>"), SAYS('N', "") },
	    "550 5.7.1", false },
	{ PHASE_MAIL | PHASE_RCPT, { DO("RCPT TO:<x@d>"), SAYS('Z', "") },
	    "451 4.3.0", false },
	{ PHASE_MAIL | PHASE_RCPT, { DO("RCPT TO:<x@d>"), SAYS('\0', "") },
	    "451 4.3.0", false },
	{ PHASE_MAIL, { DO("RCPT TO:<x@d>"), SAYS('D', ""), DO("DATA") },
	    "554 5.5.1", false },
	{ PHASE_RCPT, { DO("DATA x") }, "501 5.5.4", false },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_BARE, 'K', "") }, "554 5.6.0",
	    true },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_NUL, 'K', "") }, "554 5.6.0",
	    true },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_TOO_LARGE, 'K', "") },
	    "552 5.3.4", true },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_LOOP, 'K', "") }, "554 5.4.6",
	    true },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_GOOD, 'Z', "4.3.1 full") },
	    "452 4.3.1", true },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_GOOD, 'Z', "4.3.2 no") },
	    "451 4.3.2", true },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_GOOD, 'D', "5.7.1 no") },
	    "550 5.7.1", true },
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_GOOD, 'D', "") }, "554 5.3.0",
	    true },
	/* no rejection, but an outcome all the same */
	{ PHASE_RCPT, { DO("DATA"), ENDS(DATA_GOOD, 'K', "0") }, "250 2.0.0",
	    true },
};

/* The commands that are tried then: the action and code in each phase. */
static const struct {
	const char *line;
	struct {
		enum session_action action;
		const char *code;
	} in[4]; /* NEW, IDLE, MAIL, RCPT */
} commands[] = {
	{ "HELO y",
	    { { SESSION_GO_ON, "250 me" }, { SESSION_GO_ON, "250 me" },
		{ SESSION_FORGET, "250 me" }, { SESSION_FORGET, "250 me" } } },
	{ "EHLO y",
	    { { SESSION_GO_ON, "250-me" }, { SESSION_GO_ON, "250-me" },
		{ SESSION_FORGET, "250-me" }, { SESSION_FORGET, "250-me" } } },
	{ "MAIL FROM:<g@h>",
	    { { SESSION_GO_ON, "503 5.5.1" }, { SESSION_SENDER, "250 2.1.0" },
		{ SESSION_GO_ON, "503 5.5.1" },
		{ SESSION_GO_ON, "503 5.5.1" } } },
	{ "RCPT TO:<g@h>",
	    { { SESSION_GO_ON, "503 5.5.1" }, { SESSION_GO_ON, "503 5.5.1" },
		{ SESSION_ASK, "" }, { SESSION_ASK, "" } } },
	{ "RCPT TO:<postmaster>",
	    { { SESSION_GO_ON, "503 5.5.1" }, { SESSION_GO_ON, "503 5.5.1" },
		{ SESSION_RECIPIENT, "250 2.1.5" },
		{ SESSION_RECIPIENT, "250 2.1.5" } } },
	{ "DATA",
	    { { SESSION_GO_ON, "503 5.5.1" }, { SESSION_GO_ON, "503 5.5.1" },
		{ SESSION_GO_ON, "5" /* 503, or 554 after a refusal */ },
		{ SESSION_DATA, "354 " } } },
	{ "RSET",
	    { { SESSION_GO_ON, "250 2.0.0" }, { SESSION_GO_ON, "250 2.0.0" },
		{ SESSION_FORGET, "250 2.0.0" },
		{ SESSION_FORGET, "250 2.0.0" } } },
	{ "NOOP",
	    { { SESSION_GO_ON, "250 2.0.0" }, { SESSION_GO_ON, "250 2.0.0" },
		{ SESSION_GO_ON, "250 2.0.0" },
		{ SESSION_GO_ON, "250 2.0.0" } } },
	{ "VRFY x",
	    { { SESSION_GO_ON, "252 2.0.0" }, { SESSION_GO_ON, "252 2.0.0" },
		{ SESSION_GO_ON, "252 2.0.0" },
		{ SESSION_GO_ON, "252 2.0.0" } } },
	{ "HELP",
	    { { SESSION_GO_ON, "214 2.0.0" }, { SESSION_GO_ON, "214 2.0.0" },
		{ SESSION_GO_ON, "214 2.0.0" },
		{ SESSION_GO_ON, "214 2.0.0" } } },
	{ "QUIT",
	    { { SESSION_QUIT, "221 2.0.0" }, { SESSION_QUIT, "221 2.0.0" },
		{ SESSION_QUIT, "221 2.0.0" },
		{ SESSION_QUIT, "221 2.0.0" } } },
};

static char storage[REPLY_MAX];

/* Takes the steps; the reply of the last is left in `reply`. */
static void
walk(struct session *s, const struct step *steps, struct buf *reply)
{
	for (size_t i = 0; i < MAX_STEPS; i++) {
		if (steps[i].kind == LINE && steps[i].text == NULL)
			break;
		buf_reset(reply);
		(void)take(s, &steps[i], reply);
		assert_false(reply->full);
	}
}

static void
check_pair(size_t way, size_t rejection, size_t command)
{
	struct session s;
	struct buf reply = BUF_ON(storage);
	enum session_phase phase = ways[way].phase;

	session_begin(&s, &config, false);
	walk(&s, ways[way].steps, &reply);
	assert_int_equal(s.phase, phase);
	walk(&s, rejections[rejection].steps, &reply);
	if (!str_starts(buf_str(&reply), str_of(rejections[rejection].code)))
		fail_msg("way %zu rejection %zu: %.*s", way, rejection,
		    (int)buf_str(&reply).n, buf_str(&reply).p);
	if (rejections[rejection].ends)
		phase = PHASE_IDLE;
	assert_int_equal(s.phase, phase);
	assert_int_equal(s.transaction.recipients, phase == PHASE_RCPT ? 1 : 0);
	if (phase == PHASE_IDLE)
		assert_false(s.transaction.refused);

	size_t column = phase == PHASE_NEW    ? 0
			: phase == PHASE_IDLE ? 1
			: phase == PHASE_MAIL ? 2
					      : 3;
	buf_reset(&reply);
	enum session_action action =
	    session_command(&s, str_of(commands[command].line), &reply);

	assert_int_equal(action, commands[command].in[column].action);
	if (!str_starts(
		buf_str(&reply), str_of(commands[command].in[column].code)))
		fail_msg("way %zu rejection %zu, then %s: %.*s", way, rejection,
		    commands[command].line, (int)buf_str(&reply).n,
		    buf_str(&reply).p);
}

static void
every_command_after_every_rejection(void **state)
{
	size_t pairs = 0;

	(void)state;
	for (size_t w = 0; w < N_ELEMENTS(ways); w++)
		for (size_t r = 0; r < N_ELEMENTS(rejections); r++) {
			if ((rejections[r].from & (int)ways[w].phase) == 0)
				continue;
			for (size_t c = 0; c < N_ELEMENTS(commands); c++) {
				check_pair(w, r, c);
				pairs++;
			}
		}
	assert_true(pairs > 600);
}

/* RFC 2034: each reply but those to HELO, EHLO, the greeting and 354. */
static void
enhanced_codes(void **state)
{
	(void)state;
	for (size_t c = 0; c < N_ELEMENTS(commands); c++)
		for (size_t i = 0; i < 4; i++) {
			const char *code = commands[c].in[i].code;
			bool without = code[0] == '\0' || code[1] == '\0' ||
				       strncmp(code, "354", 3) == 0 ||
				       strstr(code, "me") != NULL;

			assert_true(without || code[4] == code[0]);
		}
}

static void
errors_are_counted(void **state)
{
	struct session s;
	struct buf reply = BUF_ON(storage);

	(void)state;
	session_begin(&s, &config, false);
	for (int i = 0; i < SESSION_MAX_ERRORS; i++) {
		buf_reset(&reply);
		assert_int_equal(
		    session_command(&s, STR("BREW"), &reply), SESSION_GO_ON);
	}
	buf_reset(&reply);
	assert_int_equal(
	    session_command(&s, STR("BREW"), &reply), SESSION_CLOSE);
	assert_true(str_starts(buf_str(&reply), STR("421 4.7.0 ")));
}

static void
relay_right(void **state)
{
	struct session s;
	struct buf reply = BUF_ON(storage);

	(void)state;
	session_begin(&s, &config, true);
	walk(&s, ways[2].steps, &reply);
	buf_reset(&reply);
	assert_int_equal(
	    session_command(&s, STR("RCPT TO:<X@Far.Example>"), &reply),
	    SESSION_ASK);
	assert_true(str_eq(buf_str(&s.address), STR("X@far.example")));
	assert_int_equal(
	    session_answer(&s, 'N', STR(""), &reply), SESSION_RECIPIENT);
}

static void
limit_of_recipients(void **state)
{
	struct session s;
	struct buf reply = BUF_ON(storage);

	(void)state;
	session_begin(&s, &config, false);
	walk(&s, ways[2].steps, &reply);
	for (int i = 0; i < LIMIT_RECIPIENTS; i++) {
		buf_reset(&reply);
		assert_int_equal(
		    session_command(&s, STR("RCPT TO:<c@d>"), &reply),
		    SESSION_ASK);
		assert_int_equal(session_answer(&s, 'K', STR(""), &reply),
		    SESSION_RECIPIENT);
	}
	buf_reset(&reply);
	assert_int_equal(
	    session_command(&s, STR("RCPT TO:<c@d>"), &reply), SESSION_GO_ON);
	assert_true(str_starts(buf_str(&reply), STR("452 4.5.3 ")));
}

static void
bare_lf_closes(void **state)
{
	struct session s;
	struct buf reply = BUF_ON(storage);

	(void)state;
	session_begin(&s, &config, false);
	assert_int_equal(
	    session_bad_line(&s, LINE_BARE_LF, &reply), SESSION_CLOSE);
	assert_true(str_starts(buf_str(&reply), STR("500 5.5.2 ")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_after_every_rejection),
		cmocka_unit_test(enhanced_codes),
		cmocka_unit_test(errors_are_counted),
		cmocka_unit_test(relay_right),
		cmocka_unit_test(limit_of_recipients),
		cmocka_unit_test(bare_lf_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
