/* SPDX-License-Identifier: ISC
 * queuestats: contract in queuestats.h.
 */
#include "install/queuestats.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/packet.h"
#include "install/localsocket.h"

enum { ANSWER_MS = 3000 };

static bool
answer_read(struct queuestats *q, struct str bytes)
{
	struct packet p = packet_open(bytes);
	uint32_t count = packet_get_u32(&p);

	if (p.type != 'q' || count > QUEUESTATS_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct buf name = { .p = q->values[i].name,
			.cap = QUEUESTATS_NAME };
		buf_put(&name, packet_get_str(&p, QUEUESTATS_NAME - 1));
		q->values[i].value = packet_get_u64(&p);
		if (buf_cstr(&name) == NULL)
			return false;
	}
	q->count = count;
	return packet_end(&p);
}

void
queuestats_ask(struct queuestats *q)
{
	static char storage[PACKET_MAX];
	struct str answer;
	int fd = localsocket_connect("qmgr");

	*q = (struct queuestats){
		.why = "qmgr does not answer: it is very busy, or hangs"
	};
	if (fd < 0) {
		if (errno == EACCES || errno == EPERM)
			*q = (struct queuestats){ .forbidden = true,
				.why = "only root may ask qmgr" };
		else
			q->why = "qmgr does not answer: it is not running";
		return;
	}
	if (packet_ask(fd, STR("Q"), NULL, 0, storage, sizeof(storage),
		ANSWER_MS, &answer) == 1)
		q->known = answer_read(q, answer);
	close(fd);
}

uint64_t
queuestats_value(const struct queuestats *q, const char *name)
{
	for (size_t i = 0; i < q->count; i++)
		if (strcmp(q->values[i].name, name) == 0)
			return q->values[i].value;
	return 0;
}
