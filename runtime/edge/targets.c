/* SPDX-License-Identifier: Apache-2.0
 * Which cloud to try first, where there are several. All are asked at once how busy they are (ASK, STATE; no session is
 * needed), and the one that has most of its workers' time left comes first; who does not answer in time comes last, in
 * the order given. A cloud that fails again and again is left out for a growing time, as by a circuit breaker (Nygard,
 * Release It!, 2007), unless nobody else is left. */
#include <inttypes.h>
#include <string.h>

#include "edge/edge.h"

#define ANSWER_NS INT64_C(300000000) /* for the first to answer ... */
#define OTHERS_NS INT64_C(50000000)  /* ... and after that for the others */
#define LOOK_NS INT64_C(5000000)
#define REST_FIRST_NS INT64_C(500000000)
#define REST_LAST_NS INT64_C(30000000000)
enum { LOAD_STEP = 50 }; /* thousandths: less of a difference is none */

struct question {
  struct braid_link *link; /* NULL: answered, or not to be asked */
  bool asked, answered, takes;
  uint32_t load, sessions;
  int64_t sent_ns, rtt_ns;
};

/* ---------------------------------------------------------------------------------------------------- asking */

static void ask(struct question *q) {
  struct braid_msg msg = {.type = BRAID_MSG_ASK, .stamp_ns = q->sent_ns = io_now_ns()};
  q->asked = braid_link_send(q->link, 0, &msg) == BRAID_OK; /* else the link has no peer yet */
}

static void hear(struct question *q) {
  struct braid_msg msg = {0};
  braid_peer peer;
  enum braid_status status;
  if (!q->asked) ask(q);
  while ((status = braid_link_recv(q->link, &peer, &msg)) == BRAID_OK) {
    if (msg.type == BRAID_MSG_STATE) {
      *q = (struct question){q->link, true, true, msg.end != 0, msg.begin, msg.node, q->sent_ns, 0};
      q->rtt_ns = io_now_ns() - q->sent_ns;
    }
    braid_msg_release(&msg);
  }
  if (q->answered || status == BRAID_ECLOSED) braid_link_close(&q->link);
}

/* Sleeps on one link; the others are looked at every few milliseconds. */
static int hear_all(struct question *q, int n, int *waiting) {
  int answered = 0, on = -1;
  *waiting = 0;
  for (int i = 0; i < n; i++) {
    if (q[i].link) hear(&q[i]);
    answered += q[i].answered;
    *waiting += q[i].link != NULL;
    if (q[i].link) on = i;
  }
  if (on >= 0) braid_link_wait(q[on].link, -1, LOOK_NS);
  return answered;
}

static bool is_ending(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  bool ending = edge->ending;
  pthread_mutex_unlock(&edge->mutex);
  return ending;
}

static void ask_all(struct braid_edge *edge, struct question *q) {
  int64_t end_ns = io_now_ns() + ANSWER_NS;
  struct braid_link_opts opts = {.keys = edge->opts.keys};
  for (int i = 0; i < edge->n_targets; i++)
    if (braid_link_open(edge->target[i], &opts, &q[i].link) != BRAID_OK) q[i].link = NULL;
  int waiting = edge->n_targets, before = 0;
  while (waiting > 0 && io_now_ns() < end_ns && !is_ending(edge)) {
    int answered = hear_all(q, edge->n_targets, &waiting);
    if (before == 0 && answered > 0 && end_ns > io_now_ns() + OTHERS_NS) end_ns = io_now_ns() + OTHERS_NS;
    before = answered;
  }
  for (int i = 0; i < edge->n_targets; i++) braid_link_close(&q[i].link);
}

/* --------------------------------------------------------------------------------------------------- choosing */

static bool is_resting(const struct braid_edge *edge, int i, int64_t now_ns) {
  return edge->target_state[i].rests_until_ns > now_ns;
}

/* Smaller is better: groups first, then what a cloud says of itself. */
static bool is_better(const struct question *a, const struct question *b) {
  if (a->takes != b->takes) return a->takes;
  if (a->answered != b->answered) return a->answered;
  if (!a->answered) return false;
  if (a->load / LOAD_STEP != b->load / LOAD_STEP) return a->load < b->load;
  if (a->sessions != b->sessions) return a->sessions < b->sessions;
  return a->rtt_ns < b->rtt_ns;
}

static void sort(const struct question *q, int *order, int n) {
  for (int i = 1; i < n; i++)
    for (int k = i; k > 0 && is_better(&q[order[k]], &q[order[k - 1]]); k--) {
      int swap = order[k];
      order[k] = order[k - 1];
      order[k - 1] = swap;
    }
}

int edge_targets_choose(struct braid_edge *edge, int order[EDGE_MAX_TARGETS]) {
  struct question q[EDGE_MAX_TARGETS] = {{NULL}};
  int n = 0;
  int64_t now_ns = io_now_ns();
  for (int i = 0; i < edge->n_targets; i++)
    if (!is_resting(edge, i, now_ns)) order[n++] = i;
  for (int i = 0; i < edge->n_targets && n == 0; i++) order[i] = i;
  if (n == 0) n = edge->n_targets;
  if (n == 1) return n;
  ask_all(edge, q);
  sort(q, order, n);
  return n;
}

/* ------------------------------------------------------------------------------------------------ circuit breaker */

static struct target_state *state_of(struct braid_edge *edge, const char *address) {
  int i = 0;
  while (edge->target[i] != address) i++;
  return &edge->target_state[i];
}

void edge_target_failed(struct braid_edge *edge, const char *address) {
  struct target_state *state = state_of(edge, address);
  int64_t rest_ns = REST_FIRST_NS << (state->failures < 6 ? state->failures : 6);
  if (state->failures++ == 0) return; /* anybody may fail once */
  state->rests_until_ns = io_now_ns() + (rest_ns < REST_LAST_NS ? rest_ns : REST_LAST_NS);
}

void edge_target_served(struct braid_edge *edge, const char *address) {
  *state_of(edge, address) = (struct target_state){.failures = 0};
}
