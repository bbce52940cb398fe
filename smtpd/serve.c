/* SPDX-License-Identifier: ISC
 * serve: contract in serve.h.  One static session, no heap.
 */
#include <stdalign.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/packet.h"
#include "smtpd/net.h"
#include "smtpd/received.h"
#include "smtpd/reply.h"
#include "smtpd/serve.h"
#include "smtpd/stream.h"

enum {
	ASK_TIMEOUT_MS = 60 * 1000,
	ASK_MAX = 2048,
	MAX_REFUSALS_LOGGED = 64,
	REPLIES_MAX = 2 * REPLY_MAX, /* to a line: 354 and the verdict */
	/* a client that sends less than so many bytes in so many times the
	 * timeout is not sending mail */
	DATA_PROGRESS = 1024,
	DATA_PATIENCE = 4,
	PAGE = 4096
};

/* What every session touches lies together: a page that a child of the template
 * does not touch costs it nothing. */
static struct {
	alignas(PAGE) struct session session;
	struct serve_client client;
	struct line_reader reader;
	struct data data;
	unsigned refusals;  /* logged */
	const char *reason; /* why the session ended */
	bool linger;	    /* we ended it: the client may still be sending */
	struct net net;	    /* begins with its output */
	alignas(PAGE) struct stream stream;
} server;

/* ---- ends ---- */

static bool
stop(const char *reason, bool linger)
{
	server.reason = reason;
	server.linger = linger;
	return false;
}

static bool
queue_gone(void)
{
	session_end(&server.session, SESSION_NO_SERVICE, &server.net.output);
	return stop("queue-gone", true);
}

/* Waits for the client; false when the session is over. */
static bool
fill(void)
{
	switch (net_fill(&server.net)) {
	case NET_OK:
		return true;
	case NET_TIMEOUT:
		session_end(
		    &server.session, SESSION_TIMEOUT, &server.net.output);
		return stop("timeout", true);
	case NET_END:
		break;
	}
	return stop("client-gone", false);
}

/* ---- userd ---- */

static enum session_action
ask_userd(void)
{
	char storage[ASK_MAX];
	struct buf question = BUF_ON(storage);
	struct packet p = packet_open(STR(""));
	struct str text = STR("");
	struct str answer;

	packet_begin(&question, 'R');
	packet_str(&question, buf_str(&server.session.address));
	if (server.client.ask_fd < 0) {
		/* gone, said so already */
	} else if (packet_ask(server.client.ask_fd, buf_str(&question), NULL, 0,
		       storage, sizeof(storage), ASK_TIMEOUT_MS,
		       &answer) == 1) {
		p = packet_open(answer);
	} else {
		/* a late answer must not pass for that of another question */
		server.client.ask_fd = -1;
		LOG(WARN, "userd-gone", F_STR("sid", server.client.sid));
	}
	if (p.type == 'D' || p.type == 'Z')
		text = packet_get_str(&p, LIMIT_REPLY_TEXT);
	return session_answer(&server.session, packet_end(&p) ? p.type : 0,
	    text, &server.net.output);
}

/* ---- DATA ---- */

static void
put_received(void)
{
	const struct received r = {
		.helo = buf_str(&server.session.helo),
		.peer_ip = server.client.peer_ip,
		.peer_name = server.client.peer_name,
		.me = server.session.config->me,
		.sid = server.client.sid,
		.esmtp = server.session.esmtp,
		.now = clock_now(),
	};

	received_put(&server.stream.body, &r);
}

/* Feeds what has come until the final dot, waiting for more as needed. */
static bool
read_body(void)
{
	struct data *d = &server.data;
	size_t progress = DATA_PROGRESS;
	int64_t latest = 0;
	bool forgotten = false;

	for (;;) {
		size_t used;
		enum data_status status = data_feed(
		    d, net_input(&server.net), &server.stream.body, &used);

		net_take(&server.net, used);
		progress += used;
		if (d->problem != DATA_GOOD && !forgotten) {
			forgotten = true;
			if (stream_forget(&server.stream) < 0)
				return queue_gone();
		}
		if (status == DATA_END)
			return true;
		if (status == DATA_FULL) {
			if (stream_flush(&server.stream) < 0)
				return queue_gone();
			continue;
		}
		if (progress >= DATA_PROGRESS) {
			progress = 0;
			latest = clock_mono_ms() +
				 (int64_t)DATA_PATIENCE * server.net.timeout_ms;
		}
		net_renew(&server.net);
		net_limit(&server.net, latest);
		if (!fill())
			return false;
	}
}

/* Sets *reply_at to where the reply begins in the output. */
static bool
read_message(enum session_action *next, size_t *reply_at)
{
	char verdict = 0;
	struct str text = STR("");

	put_received();
	data_begin(&server.data, server.session.config->databytes);
	if (!read_body())
		return false;
	if (server.data.problem == DATA_GOOD &&
	    stream_commit(&server.stream, &verdict, &text) < 0)
		return queue_gone();
	*reply_at = buf_str(&server.net.output).n;
	*next = session_data_end(&server.session, server.data.problem, verdict,
	    text, &server.net.output);
	return true;
}

/* ---- commands ---- */

/* Does what the session wants; false when the session is over. */
static bool
act(enum session_action action)
{
	const struct str address = buf_str(&server.session.address);

	switch (action) {
	case SESSION_GO_ON:
		return true;
	case SESSION_SENDER:
		return stream_sender(&server.stream, address) == 0 ||
		       queue_gone();
	case SESSION_RECIPIENT:
		return stream_recipient(&server.stream, address) == 0 ||
		       queue_gone();
	case SESSION_FORGET:
		return stream_forget(&server.stream) == 0 || queue_gone();
	case SESSION_CLOSE:
		return stop("closed", true);
	case SESSION_QUIT:
		return stop("quit", false);
	case SESSION_ASK:
	case SESSION_DATA:
		break;
	}
	return true;
}

static void
log_refusal(struct str command, struct str reply)
{
	if (reply.n == 0 || (reply.p[0] != '4' && reply.p[0] != '5') ||
	    server.refusals++ >= MAX_REFUSALS_LOGGED)
		return;
	LOG(INFO, "refused", F_STR("sid", server.client.sid),
	    F_STR("ip", server.client.peer_ip), F_STR("command", command),
	    F_STR("reply", str_trim(reply)));
}

static bool
run_line(enum line_status status, struct str line)
{
	struct buf *out = &server.net.output;
	enum session_action action;

	if (buf_room(out) < REPLIES_MAX && net_flush(&server.net) != NET_OK)
		return stop("client-gone", false);
	size_t reply_at = buf_str(out).n;

	if (status == LINE_OK)
		action = session_command(&server.session, line, out);
	else
		action = session_bad_line(&server.session, status, out);
	if (action == SESSION_ASK)
		action = ask_userd();
	if (action == SESSION_DATA) {
		line = STR("DATA"); /* its bytes are overwritten */
		if (!read_message(&action, &reply_at))
			return false;
	}
	log_refusal(line, str_skip(buf_str(out), reply_at));
	net_renew(&server.net);
	return act(action);
}

static bool
next_line(void)
{
	struct str line = STR("");
	size_t used;
	enum line_status status = line_next(&server.reader,
	    net_input(&server.net), LIMIT_COMMAND_LINE, &line, &used);

	net_take(&server.net, used);
	return status == LINE_MORE ? fill() : run_line(status, line);
}

static void
begin(const struct serve_client *client, const struct session_config *config,
    int timeout_ms)
{
	server.client = *client;
	net_begin(&server.net, client->in, client->out, timeout_ms);
	session_begin(&server.session, config, client->relay);
	stream_begin(&server.stream, client->stream_fd);
}

void
serve(const struct serve_client *client, const struct session_config *config,
    int timeout_ms)
{
	bool go_on = true;

	begin(client, config, timeout_ms);
	const struct facts facts = { .sid = client->sid,
		.peer_ip = client->peer_ip,
		.relay = client->relay };
	if (client->stream_fd < 0 ||
	    (client->say_facts && stream_facts(&server.stream, &facts) < 0))
		go_on = queue_gone();
	else
		session_greet(&server.session, &server.net.output);
	while (go_on)
		go_on = next_line();
	if (server.linger)
		net_finish(&server.net);
	else
		(void)net_flush(&server.net); /* QUIT's reply; nobody waits */
	LOG(INFO, "end", F_STR("sid", client->sid),
	    F_STR("ip", client->peer_ip),
	    F_STR("helo", buf_str(&server.session.helo)),
	    F_NUM("messages", server.session.messages),
	    F_TEXT("reason", server.reason));
}
