/* SPDX-License-Identifier: Apache-2.0
 * libzmq asks at inproc://zeromq.zap.01 for every CURVE client that has proved that it owns its key, and goes on with
 * other work until the answer comes. So no thread is needed: the link's own thread answers when it waits for messages.
 *
 * A question is seven parts: version, number, domain, address, routing id, mechanism, key (32 bytes); an answer is six:
 * version, number, status, text, user id, metadata. The user id travels with the client's messages: "KEY NAME". */
#include "zmq_gate.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum { ASK_VERSION, ASK_NUMBER, ASK_DOMAIN, ASK_ADDRESS, ASK_ID, ASK_MECHANISM, ASK_KEY, ASK_PARTS };
enum { KEY_BINARY = 32, NUMBER_BYTES = 16 };

struct zmq_gate {
  void *socket;
  struct allowed *allowed;
};

struct question {
  char number[NUMBER_BYTES], address[64], key[BRAID_KEY_BYTES];
  size_t number_bytes;
  bool sound;
};

enum braid_status zmq_gate_open(void *context, const char *allowed_path, struct zmq_gate **out) {
  struct zmq_gate *gate = braid_calloc(1, sizeof *gate);
  if (!gate) return braid_fail(BRAID_ENOMEM, "no memory for an allow-list");
  enum braid_status status = allowed_open(allowed_path, &gate->allowed);
  if (status == BRAID_OK &&
      (!(gate->socket = zmq_socket(context, ZMQ_REP)) || zmq_bind(gate->socket, "inproc://zeromq.zap.01")))
    status = braid_fail(BRAID_EIO, "authentication: %s", zmq_strerror(zmq_errno()));
  if (status == BRAID_OK)
    *out = gate;
  else
    zmq_gate_close(&gate);
  return status;
}

void zmq_gate_close(struct zmq_gate **gate) {
  if (!*gate) return;
  if ((*gate)->socket) zmq_close((*gate)->socket);
  allowed_close(&(*gate)->allowed);
  braid_free(*gate);
  *gate = NULL;
}

void *zmq_gate_socket(struct zmq_gate *gate) {
  return gate->socket;
}

/* ----------------------------------------------------------------------------------------------- questions */

static void keep_part(struct question *q, int index, const void *bytes, size_t size) {
  switch (index) {
  case ASK_NUMBER:
    q->number_bytes = size < sizeof q->number ? size : sizeof q->number;
    memcpy(q->number, bytes, q->number_bytes);
    break;
  case ASK_ADDRESS:
    snprintf(q->address, sizeof q->address, "%.*s", (int)(size < sizeof q->address ? size : sizeof q->address),
             (const char *)bytes);
    break;
  case ASK_MECHANISM:
    q->sound = size == 5 && memcmp(bytes, "CURVE", 5) == 0;
    break;
  case ASK_KEY:
    q->sound = q->sound && size == KEY_BINARY && zmq_z85_encode(q->key, bytes, size);
    break;
  default:
    break;
  }
}

static bool next_question(void *socket, struct question *q) {
  zmq_msg_t part;
  *q = (struct question){0};
  int index = 0;
  for (bool more = true; more; index++) {
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
      zmq_msg_close(&part);
      return false; /* before the first part: later ones arrive with it */
    }
    keep_part(q, index, zmq_msg_data(&part), zmq_msg_size(&part));
    more = zmq_msg_more(&part);
    zmq_msg_close(&part);
  }
  q->sound = q->sound && index == ASK_PARTS;
  return true;
}

/* ------------------------------------------------------------------------------------------------- answers */

static void send_text(void *socket, const char *text, int flags) {
  zmq_send(socket, text, strlen(text), flags | ZMQ_DONTWAIT); /* to libzmq itself, which never lacks room */
}

static void answer(void *socket, const struct question *q, const char *status, const char *user_id) {
  send_text(socket, "1.0", ZMQ_SNDMORE);
  zmq_send(socket, q->number, q->number_bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT);
  send_text(socket, status, ZMQ_SNDMORE);
  send_text(socket, "", ZMQ_SNDMORE);
  send_text(socket, user_id, ZMQ_SNDMORE);
  send_text(socket, "", 0);
}

bool zmq_gate_answer(struct zmq_gate *gate, char *refusal, size_t size) {
  struct question q;
  refusal[0] = '\0';
  if (!next_question(gate->socket, &q)) return false;
  const char *name = q.sound ? allowed_name(gate->allowed, q.key) : NULL;
  char user_id[BRAID_KEY_BYTES + BRAID_KEY_NAME_BYTES];
  if (name) {
    snprintf(user_id, sizeof user_id, "%s %s", q.key, name);
    answer(gate->socket, &q, "200", user_id);
  } else if (!allowed_readable(gate->allowed)) {
    snprintf(refusal, size, "%s: the list of those allowed cannot be read", q.address);
    answer(gate->socket, &q, "500", "");
  } else {
    snprintf(refusal, size, "%s: key %s is not in the list of those allowed", q.address, q.key);
    answer(gate->socket, &q, "400", "");
  }
  return true;
}

bool zmq_gate_refresh(struct zmq_gate *gate, char *trouble, size_t size) {
  bool changed;
  trouble[0] = '\0';
  enum braid_status status = allowed_refresh(gate->allowed, &changed);
  if (status != BRAID_OK) snprintf(trouble, size, "%s; nobody new is let in until that is mended", braid_error());
  return changed && status == BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- identities */

bool zmq_identity_parse(const char *user_id, struct zmq_identity *out) {
  enum { KEY_CHARS = BRAID_KEY_BYTES - 1 };
  if (!user_id || strlen(user_id) <= KEY_CHARS + 1 || user_id[KEY_CHARS] != ' ') return false;
  memcpy(out->key, user_id, KEY_CHARS);
  out->key[KEY_CHARS] = '\0';
  snprintf(out->name, sizeof out->name, "%s", user_id + KEY_CHARS + 1);
  return true;
}

bool zmq_gate_knows(const struct zmq_gate *gate, const struct zmq_identity *identity) {
  if (!allowed_readable(gate->allowed)) return true;
  const char *name = allowed_name(gate->allowed, identity->key);
  return name && strcmp(name, identity->name) == 0;
}
