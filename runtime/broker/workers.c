/* SPDX-License-Identifier: Apache-2.0
 * The clouds that have joined. Each says how busy it is every heartbeat; one that has said nothing for two of them is
 * gone, frozen or cut off, and its edges are sent away: they come again at once and get another. */
#include "broker/broker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LOAD_STEP = 50 }; /* thousandths: less of a difference is none */

struct worker *workers_find(const struct braid_broker *broker, braid_peer peer) {
  struct worker *worker = broker->workers;
  while (worker && worker->peer != peer) worker = worker->next;
  return worker;
}

enum braid_status workers_join(struct braid_broker *broker, braid_peer peer, int64_t now_ns) {
  if (workers_find(broker, peer)) return braid_fail(BRAID_EPROTO, "JOIN came twice");
  struct worker *worker = braid_calloc(1, sizeof *worker);
  if (!worker) return braid_fail(BRAID_ENOMEM, "no memory for another worker");
  *worker = (struct worker){.next = broker->workers, .peer = peer, .takes = true, .heard_ns = now_ns};
  const char *name = braid_link_peer_name(broker->back, peer), *from = braid_link_peer_address(broker->back, peer);
  int n = snprintf(worker->who, sizeof worker->who, "worker %" PRIu64, peer);
  if (*name || *from) snprintf(worker->who + n, sizeof worker->who - (size_t)n, " (%s)", *name ? name : from);
  broker->workers = worker;
  broker->n_workers++;
  broker_event(broker, "worker", "%s has joined; %d in all", worker->who, broker->n_workers);
  return BRAID_OK;
}

void workers_lose(struct braid_broker *broker, struct worker *worker, const char *why) {
  struct worker **at = &broker->workers;
  while (*at != worker) at = &(*at)->next;
  *at = worker->next;
  broker->n_workers--;
  broker_event(broker, "worker", "%s has gone (%s) with %d sessions; %d left", worker->who, why, worker->sessions,
               broker->n_workers);
  for (struct relay *relay; (relay = relays_of(broker, worker));) {
    broker_send_away(broker, relay);
    relays_remove(broker, relay);
  }
  braid_free(worker);
}

void workers_drop_silent(struct braid_broker *broker, int64_t now_ns) {
  for (struct worker *worker = broker->workers, *next; worker; worker = next) {
    next = worker->next;
    if (now_ns - worker->heard_ns < 2 * broker->heartbeat_ns) continue;
    braid_link_drop(broker->back, worker->peer);
    workers_lose(broker, worker, "nothing heard for two heartbeats");
  }
}

static bool is_better(const struct worker *a, const struct worker *b) {
  if (a->sessions != b->sessions) return a->sessions < b->sessions;
  return a->load / LOAD_STEP < b->load / LOAD_STEP;
}

/* Sessions count first: loads are told every heartbeat, and many edges may come within one. */
struct worker *workers_choose(const struct braid_broker *broker) {
  struct worker *best = NULL;
  for (struct worker *worker = broker->workers; worker; worker = worker->next)
    if (worker->takes && (!best || is_better(worker, best))) best = worker;
  return best;
}
