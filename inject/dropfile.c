/* SPDX-License-Identifier: ISC
 * dropfile: contract in dropfile.h.  Pure.
 */
#include "inject/dropfile.h"

#include "common/limits.h"
#include "common/packet.h"

void
dropfile_put_head(struct buf *payload, uint32_t uid)
{
	packet_u8(payload, DROPFILE_VERSION);
	packet_u32(payload, uid);
}

static bool
take_head(struct dropfile *d, char type, struct str payload)
{
	struct packet p = { .rest = payload };
	uint8_t version = packet_get_u8(&p);

	d->begun = true;
	d->uid = packet_get_u32(&p);
	return type == 'Q' && packet_end(&p) && version == DROPFILE_VERSION;
}

/* Body first, then the sender, then the recipients: as qmail-queue reads. */
static bool
take_frame(struct dropfile *d, char type)
{
	switch (type) {
	case 'B':
		return !d->envelope;
	case 'F':
		if (d->envelope)
			return false;
		d->envelope = true;
		return true;
	case 'T':
		d->paths++;
		return d->envelope && d->paths <= LIMIT_RECIPIENTS;
	default:
		return false;
	}
}

enum dropfile_status
dropfile_next(
    struct dropfile *d, struct str in, struct str *frame, size_t *used)
{
	char type;
	struct str payload;

	switch (frame_next(in, LIMIT_FRAME, &type, &payload, used)) {
	case FRAME_MORE:
		return DROPFILE_MORE;
	case FRAME_BAD:
		return DROPFILE_BAD;
	case FRAME_OK:
		break;
	}
	*frame = str_head(in, *used);
	if (!d->begun) {
		*frame = str_head(in, 0);
		return take_head(d, type, payload) ? DROPFILE_FRAME
						   : DROPFILE_BAD;
	}
	if (type == 'C')
		return payload.n == 0 && d->paths > 0 ? DROPFILE_END
						      : DROPFILE_BAD;
	return take_frame(d, type) ? DROPFILE_FRAME : DROPFILE_BAD;
}
