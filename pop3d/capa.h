/* SPDX-License-Identifier: ISC
 * capa: the reply to CAPA, the same before and after login (RFC 2449 section 5,
 * RFC 3206 for AUTH-RESP-CODE).
 */
#ifndef POP3D_CAPA_H
#define POP3D_CAPA_H

extern const char capa_reply[];

#endif
