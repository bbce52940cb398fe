/* SPDX-License-Identifier: ISC
 * ownaddr: the addresses of this host's interfaces.
 */
#ifndef OWNADDR_H
#define OWNADDR_H

#include "common/ip.h"

enum { OWNADDR_MAX = 256 };

/* Puts them, loopback and link-local ones included, each once.  The number; 0
 * when the kernel does not tell. */
size_t ownaddr_list(struct ip *, size_t max);
/* One of those, or any of 127.0.0.0/8. */
bool ownaddr_has(const struct ip *);
/* 127.0.0.0/8 and ::1. */
bool ownaddr_is_loopback(const struct ip *);
/* 0.0.0.0 and ::, which stand for all. */
bool ownaddr_is_any(const struct ip *);
/* An address that the Internet can reach: none of RFC 6890's private, shared,
 * link-local, loopback, documentation and multicast networks. */
bool ownaddr_is_public(const struct ip *);

#endif
