/* SPDX-License-Identifier: Apache-2.0
 * A fixed table of slots, hashed by routing id. A peer's number is serial * LINK_MAX_PEERS + slot, so finding the slot
 * of a number is arithmetic, a number is never given twice, and a number whose slot was given away is recognised. */
#include "zmq_peers.h"

#include <string.h>

enum { NO_SLOT = -1 };

struct slot {
  braid_peer peer;   /* 0: free */
  uint64_t heard_at; /* in messages */
  int next;          /* in the same bucket */
  struct routing_id id;
};

struct zmq_peers {
  uint64_t serial, messages;
  int bucket[LINK_MAX_PEERS]; /* first slot */
  struct slot slot[LINK_MAX_PEERS];
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

static void unlink_slot(struct zmq_peers *peers, int at) {
  struct slot *slot = &peers->slot[at];
  int *link = &peers->bucket[bucket_of(slot->id.bytes, slot->id.size)];
  while (*link != at) link = &peers->slot[*link].next;
  *link = slot->next;
  slot->peer = 0;
}

static int free_or_longest_silent(const struct zmq_peers *peers) {
  int best = 0;
  for (int i = 0; i < LINK_MAX_PEERS; i++) {
    if (peers->slot[i].peer == 0) return i;
    if (peers->slot[i].heard_at < peers->slot[best].heard_at) best = i;
  }
  return best;
}

static int add(struct zmq_peers *peers, const void *id, size_t size) {
  int at = free_or_longest_silent(peers), bucket = bucket_of(id, size);
  struct slot *slot = &peers->slot[at];
  if (slot->peer != 0) unlink_slot(peers, at);
  slot->peer = ++peers->serial * LINK_MAX_PEERS + (uint64_t)at;
  slot->id.size = (uint8_t)size;
  memcpy(slot->id.bytes, id, size);
  slot->next = peers->bucket[bucket];
  peers->bucket[bucket] = at;
  return at;
}

braid_peer zmq_peers_heard(struct zmq_peers *peers, const void *id, size_t size) {
  int at = find_id(peers, id, size);
  if (at == NO_SLOT) at = add(peers, id, size);
  peers->slot[at].heard_at = ++peers->messages;
  return peers->slot[at].peer;
}

const struct routing_id *zmq_peers_find(const struct zmq_peers *peers, braid_peer peer) {
  const struct slot *slot = &peers->slot[peer % LINK_MAX_PEERS];
  return peer != 0 && slot->peer == peer ? &slot->id : NULL;
}

void zmq_peers_forget(struct zmq_peers *peers, braid_peer peer) {
  if (zmq_peers_find(peers, peer)) unlink_slot(peers, (int)(peer % LINK_MAX_PEERS));
}
