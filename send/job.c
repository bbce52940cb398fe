/* SPDX-License-Identifier: ISC
 * job: see job.h.
 */
#include "send/job.h"

#include "common/address.h"

bool
job_is_mailbox(struct str address)
{
	struct address parts;

	return address_parse(address, true, &parts) == ADDRESS_OK;
}

static bool
parse_recipients(
    struct packet *p, struct job *job, struct client_recipient *recipients)
{
	uint32_t n = packet_get_u32(p);

	job->count = 0;
	if (p->bad || n == 0 || n > CLIENT_RECIPIENTS)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		job->idx[i] = packet_get_u32(p);
		recipients[i].address = packet_get_str(p, LIMIT_ADDRESS);
		(void)packet_get_str(p, PACKET_MAX); /* target: for local */
	}
	job->count = n;
	return packet_end(p);
}

bool
job_parse(struct packet *p, struct job *job,
    struct client_recipient recipients[CLIENT_RECIPIENTS])
{
	job->id = packet_get_u64(p);
	(void)packet_get_u64(p); /* birth */
	job->offset = packet_get_u64(p);
	job->size = packet_get_u64(p);
	job->flags = packet_get_u8(p);
	job->sender = packet_get_str(p, LIMIT_ADDRESS);
	if (str_eq(job->sender, STR("#@[]"))) /* qmail: a double bounce */
		job->sender = STR("");
	return parse_recipients(p, job, recipients) && job->size <= INT64_MAX &&
	       job->offset <= INT64_MAX - job->size;
}
