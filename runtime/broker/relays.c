/* SPDX-License-Identifier: Apache-2.0
 * Edges and their workers, by the edge's number: a table with as many buckets as a link has peers. */
#include "broker/broker.h"

static struct relay **bucket_of(const struct braid_broker *broker, braid_peer edge) {
  return (struct relay **)(uintptr_t)&broker->bucket[edge % BROKER_BUCKETS];
}

struct relay *relays_find(const struct braid_broker *broker, braid_peer edge) {
  struct relay *relay = *bucket_of(broker, edge);
  while (relay && relay->edge != edge) relay = relay->next;
  return relay;
}

struct relay *relays_add(struct braid_broker *broker, braid_peer edge, struct worker *worker) {
  struct relay *relay = braid_calloc(1, sizeof *relay), **bucket = bucket_of(broker, edge);
  if (!relay) return NULL;
  *relay = (struct relay){*bucket, edge, worker};
  *bucket = relay;
  worker->sessions++;
  broker->n_relays++;
  return relay;
}

void relays_remove(struct braid_broker *broker, struct relay *relay) {
  struct relay **at = bucket_of(broker, relay->edge);
  while (*at != relay) at = &(*at)->next;
  *at = relay->next;
  relay->worker->sessions--;
  broker->n_relays--;
  braid_free(relay);
}

struct relay *relays_of(const struct braid_broker *broker, const struct worker *worker) {
  for (int i = 0; i < BROKER_BUCKETS && worker->sessions > 0; i++)
    for (struct relay *relay = broker->bucket[i]; relay; relay = relay->next)
      if (relay->worker == worker) return relay;
  return NULL;
}

void relays_free(struct braid_broker *broker) {
  for (int i = 0; i < BROKER_BUCKETS; i++)
    while (broker->bucket[i]) relays_remove(broker, broker->bucket[i]);
}
