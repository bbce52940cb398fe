/* SPDX-License-Identifier: ISC
 * capa: contract in capa.h.
 */
#include "pop3d/capa.h"

const char capa_reply[] = "+OK\r\n"
			  "TOP\r\n"
			  "UIDL\r\n"
			  "USER\r\n"
			  "PIPELINING\r\n"
			  "RESP-CODES\r\n"
			  "AUTH-RESP-CODE\r\n"
			  "EXPIRE NEVER\r\n"
			  "IMPLEMENTATION Postern\r\n"
			  ".\r\n";
