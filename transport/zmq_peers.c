/* SPDX-License-Identifier: Apache-2.0
 * A fixed table of slots, hashed by routing id. A peer's number is serial * LINK_MAX_PEERS + slot, so finding the slot
 * of a number is arithmetic, a number is never given twice, and a number whose slot was given away is recognised. */
#include "zmq_peers.h"

#include <string.h>

enum { NO_SLOT = -1 };

struct zmq_peers {
  uint64_t serial, messages;
  int n_leaving;
  int bucket[LINK_MAX_PEERS]; /* first slot */
  struct zmq_peer slot[LINK_MAX_PEERS];
};

enum braid_status zmq_peers_create(struct zmq_peers **out) {
  struct zmq_peers *peers = braid_calloc(1, sizeof *peers);
  if (!peers) return braid_fail(BRAID_ENOMEM, "no memory for a table of %d peers", LINK_MAX_PEERS);
  for (int i = 0; i < LINK_MAX_PEERS; i++) peers->bucket[i] = NO_SLOT;
  *out = peers;
  return BRAID_OK;
}

void zmq_peers_destroy(struct zmq_peers **peers) {
  braid_free(*peers);
  *peers = NULL;
}

/* FNV-1a. A peer that picks colliding ids makes its own chain longer, at most LINK_MAX_PEERS. */
static int bucket_of(const uint8_t *id, size_t size) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < size; i++) hash = (hash ^ id[i]) * UINT64_C(0x100000001b3);
  return (int)((hash ^ (hash >> 32)) % LINK_MAX_PEERS);
}

static int find_id(const struct zmq_peers *peers, const void *id, size_t size) {
  int at = peers->bucket[bucket_of(id, size)];
  while (at != NO_SLOT) {
    const struct routing_id *known = &peers->slot[at].id;
    if (known->size == size && memcmp(known->bytes, id, size) == 0) return at;
    at = peers->slot[at].next;
  }
  return NO_SLOT;
}

static void free_slot(struct zmq_peers *peers, int at) {
  struct zmq_peer *slot = &peers->slot[at];
  int *link = &peers->bucket[bucket_of(slot->id.bytes, slot->id.size)];
  while (*link != at) link = &peers->slot[*link].next;
  *link = slot->next;
  slot->number = 0;
  if (slot->leaving) peers->n_leaving--;
  slot->leaving = NULL;
}

static int free_or_longest_silent(const struct zmq_peers *peers) {
  int best = 0;
  for (int i = 0; i < LINK_MAX_PEERS; i++) {
    if (peers->slot[i].number == 0) return i;
    if (peers->slot[i].heard_at < peers->slot[best].heard_at) best = i;
  }
  return best;
}

static int add(struct zmq_peers *peers, const void *id, size_t size) {
  int at = free_or_longest_silent(peers), bucket = bucket_of(id, size);
  struct zmq_peer *slot = &peers->slot[at];
  if (slot->number != 0) free_slot(peers, at);
  *slot = (struct zmq_peer){.number = ++peers->serial * LINK_MAX_PEERS + (uint64_t)at,
                            .id.size = (uint8_t)size,
                            .fd = -1,
                            .next = peers->bucket[bucket]};
  memcpy(slot->id.bytes, id, size);
  peers->bucket[bucket] = at;
  return at;
}

struct zmq_peer *zmq_peers_heard(struct zmq_peers *peers, const void *id, size_t size, bool *is_new) {
  int at = find_id(peers, id, size);
  *is_new = at == NO_SLOT;
  if (*is_new) at = add(peers, id, size);
  peers->slot[at].heard_at = ++peers->messages;
  return &peers->slot[at];
}

struct zmq_peer *zmq_peers_find(struct zmq_peers *peers, braid_peer number) {
  struct zmq_peer *slot = &peers->slot[number % LINK_MAX_PEERS];
  return number != 0 && slot->number == number ? slot : NULL;
}

void zmq_peers_forget(struct zmq_peers *peers, braid_peer number) {
  if (zmq_peers_find(peers, number)) free_slot(peers, (int)(number % LINK_MAX_PEERS));
}

void zmq_peers_leave(struct zmq_peers *peers, struct zmq_peer *peer, const char *why) {
  if (peer->leaving) return;
  peer->leaving = why;
  peers->n_leaving++;
}

struct zmq_peer *zmq_peers_next_leaving(struct zmq_peers *peers, const char **why) {
  if (peers->n_leaving == 0) return NULL;
  struct zmq_peer *peer = peers->slot;
  while (!peer->leaving) peer++;
  *why = peer->leaving;
  peer->leaving = NULL;
  peers->n_leaving--;
  return peer;
}

struct zmq_peer *zmq_peers_next(struct zmq_peers *peers, int *index) {
  while (*index < LINK_MAX_PEERS)
    if (peers->slot[(*index)++].number != 0) return &peers->slot[*index - 1];
  return NULL;
}
