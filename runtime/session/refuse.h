/* SPDX-License-Identifier: Apache-2.0
 * REFUSE: why one side ends the conversation, as a status and a text for people. */
#ifndef SESSION_REFUSE_H
#define SESSION_REFUSE_H

#include "braid/transport.h"

/* Tells the peer. Best effort: it may have gone, and then there is nobody to tell. */
void refuse_send(struct braid_link *link, braid_peer peer, enum braid_status status, const char *text);

/* What a REFUSE says. The text is made printable, for it comes from a peer and goes to a terminal; returns buf. */
char *refuse_text(const struct braid_msg *msg, char *buf, size_t size);
enum braid_status refuse_status(const struct braid_msg *msg); /* BRAID_EPROTO where it names none */

#endif
