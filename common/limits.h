/* SPDX-License-Identifier: ISC
 * limits: every bound that more than one module knows, with its source.
 */
#ifndef LIMITS_H
#define LIMITS_H

enum {
	LIMIT_COMMAND_LINE = 2048, /* RFC 5321 4.5.3.1.4 says 512 with CRLF; the
				    * extensions add up, so we take more */
	LIMIT_TEXT_LINE = 1000,	   /* RFC 5321 4.5.3.1.6, CRLF included */
	LIMIT_LOCAL_PART = 64,	   /* RFC 5321 4.5.3.1.1 */
	LIMIT_DOMAIN = 255,	   /* RFC 5321 4.5.3.1.2 */
	LIMIT_PATH = 256,	   /* RFC 5321 4.5.3.1.3, < and > included */
	LIMIT_ADDRESS = LIMIT_PATH - 2,
	LIMIT_RECIPIENTS = 1000, /* RFC 5321 4.5.3.1.8: at least 100 */
	LIMIT_RECEIVED = 100,	 /* RFC 5321 6.3: more is a loop */
	LIMIT_REPLY_TEXT = 1024, /* what is kept of a remote server's reply */
	LIMIT_TRACE = 64 * 1024, /* trace headers, beyond databytes */
	LIMIT_FRAME = 16 * 1024, /* a frame to queued, type byte included */
	LIMIT_REPORT = 1024,	 /* text of an agent's report */
	LIMIT_SID = 24,		 /* a session id */
	LIMIT_PEER = 64,	 /* "[IPv6 address]:port" */
	LIMIT_USER = 32,	 /* a system user's name */
	LIMIT_PASSWORD = 512,
	LIMIT_LOCALS = 500,	/* concurrencylocal */
	LIMIT_PARKED = 100,	/* idle locals beside these */
	LIMIT_REMOTES = 1000,	/* concurrencyremote */
	LIMIT_POP3 = 5000,	/* concurrencypop3 */
	LIMIT_INCOMING = 20000, /* concurrencyincoming, and of one address */
	LIMIT_CONNECT_S = 900,	/* timeoutconnect; of all addresses of a host */
	LIMIT_NETWORKS = 1024,	/* relayclients, dialrefuse */
	LIMIT_RESOLVERS = 16,
	LIMIT_FILTERS = 200,	     /* concurrencyfilter */
	LIMIT_FILTER_S = 540,	     /* timeoutfilter; smtpd waits for 580 */
	LIMIT_SEGMENTS = 1024,	     /* journalsegments; a power of two */
	LIMIT_SEGMENT_MB = 1024,     /* journalsegmentmb */
	LIMIT_SMALL_BODY = 64 * 1024 /* larger bodies skip the journal */
};

#endif
