/* SPDX-License-Identifier: Apache-2.0
 * Who is let in: answers libzmq's questions (ZAP, ZeroMQ RFC 27) from the allow-list. Private to transport. */
#ifndef TRANSPORT_ZMQ_GATE_H
#define TRANSPORT_ZMQ_GATE_H

#include "keys.h"

struct zmq_gate;

/* Before the socket that is guarded binds. */
enum braid_status zmq_gate_open(void *context, const char *allowed_path, struct zmq_gate **out);
void zmq_gate_close(struct zmq_gate **gate);
void *zmq_gate_socket(struct zmq_gate *gate);
/* Answers one question, never blocks; false when there is none. `refusal` is empty, or says who was turned away and
 * why. */
bool zmq_gate_answer(struct zmq_gate *gate, char *refusal, size_t size);
/* Looks whether the list has changed. True when some who were allowed may not be any more; `trouble` is empty, or says
 * why the list cannot be read. */
bool zmq_gate_refresh(struct zmq_gate *gate, char *trouble, size_t size);

/* Who a message is from: the User-Id that answer gave to libzmq, taken apart. */
struct zmq_identity {
  char key[BRAID_KEY_BYTES], name[BRAID_KEY_NAME_BYTES];
};
/* False: not an identity, or one that is not in the list (any more). A list that cannot be read just now changes
 * nothing. */
bool zmq_gate_knows(const struct zmq_gate *gate, const struct zmq_identity *identity);
bool zmq_identity_parse(const char *user_id, struct zmq_identity *out); /* NULL: false */

#endif
