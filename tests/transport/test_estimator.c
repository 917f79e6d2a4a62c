/* SPDX-License-Identifier: Apache-2.0
 * The estimator against a synthetic link: exact rate, fixed delay, virtual time. */
#include "braid/transport.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 8192, QUEUE = 4096 };
#define MS INT64_C(1000000)

/* A bottleneck of `rate`, then `rtt_ns` until the ack is back. */
struct path {
  double rate;
  int64_t rtt_ns, now_ns, free_at_ns;
  int64_t ack_at_ns[QUEUE];
  size_t ack_bytes[QUEUE];
  int first, count;
};

static void path_send(struct path *p, struct braid_estimator *e, size_t bytes) {
  int64_t start = p->free_at_ns > p->now_ns ? p->free_at_ns : p->now_ns;
  p->free_at_ns = start + (int64_t)(8e9 * (double)bytes / p->rate);
  cr_assert_lt(p->count, QUEUE);
  int at = (p->first + p->count++) % QUEUE;
  p->ack_at_ns[at] = p->free_at_ns + p->rtt_ns;
  p->ack_bytes[at] = bytes;
  braid_estimator_sent(e, bytes, p->now_ns);
}

static void path_ack(struct path *p, struct braid_estimator *e) {
  p->now_ns = p->ack_at_ns[p->first];
  braid_estimator_acked(e, p->ack_bytes[p->first], p->now_ns);
  p->first = (p->first + 1) % QUEUE;
  p->count--;
}

/* A ping waits behind what is queued. */
static void path_ping(struct path *p, struct braid_estimator *e) {
  int64_t queued = p->free_at_ns > p->now_ns ? p->free_at_ns - p->now_ns : 0;
  braid_estimator_rtt(e, queued + p->rtt_ns, p->now_ns + queued + p->rtt_ns);
}

/* A sender that always has something and keeps to the window, for `duration`. Returns bytes acknowledged. */
static double saturate(struct path *p, struct braid_estimator *e, int64_t duration_ns) {
  int64_t end = p->now_ns + duration_ns, next_ping = p->now_ns;
  double acked = 0;
  while (p->now_ns < end) {
    while (e->in_flight_bytes + CHUNK <= braid_estimator_window_bytes(e, CHUNK)) path_send(p, e, CHUNK);
    if (p->now_ns >= next_ping) {
      path_ping(p, e);
      next_ping += 100 * MS;
    }
    path_ack(p, e);
    acked += CHUNK;
  }
  return acked;
}

static void drain(struct path *p, struct braid_estimator *e) {
  while (p->count > 0) path_ack(p, e);
}

static void assert_near(double got, double want, double tolerance, const char *what) {
  cr_assert(fabs(got - want) <= tolerance * want, "%s: %g where %g is true", what, got, want);
}

Test(estimator, knows_nothing_at_first) {
  struct braid_estimator e;
  braid_estimator_init(&e);
  cr_assert_eq(e.rate_bits_per_s, 0);
  cr_assert_eq(e.rtt_min_ns, 0);
  cr_assert_eq(braid_estimator_window_bytes(&e, 1000), 65536);
  cr_assert_eq(braid_estimator_window_bytes(&e, 100000), 200000);
}

Test(estimator, finds_rate_and_distance_of_many_links) {
  static const double rates[] = {1e6, 20e6, 200e6, 1e9};
  static const int64_t rtts[] = {MS / 5, 2 * MS, 10 * MS, 50 * MS};
  for (int r = 0; r < 4; r++)
    for (int d = 0; d < 4; d++) {
      struct path p = {.rate = rates[r], .rtt_ns = rtts[d]};
      struct braid_estimator e;
      braid_estimator_init(&e);
      path_ping(&p, &e);
      p.now_ns += p.rtt_ns;
      saturate(&p, &e, 3000 * MS); /* finds it */
      double acked = saturate(&p, &e, 1000 * MS);
      char what[64];
      snprintf(what, sizeof what, "%g Mbit/s, %g ms", rates[r] / 1e6, (double)rtts[d] / 1e6);
      assert_near(e.rate_bits_per_s, rates[r], 0.02, what);
      assert_near((double)e.rtt_min_ns, (double)rtts[d], 0.02, what);
      assert_near(acked * 8, rates[r], 0.07, what); /* the window fills the link ... */
      double path = rates[r] / 8 * (double)rtts[d] * 1e-9;
      cr_assert_leq((double)braid_estimator_window_bytes(&e, CHUNK), 1.3 * path + 2 * CHUNK + 1, "%s",
                    what); /* ... not more */
    }
}

Test(estimator, follows_a_link_that_becomes_slow_and_fast_again) {
  struct path p = {.rate = 100e6, .rtt_ns = 10 * MS};
  struct braid_estimator e;
  braid_estimator_init(&e);
  path_ping(&p, &e);
  saturate(&p, &e, 3000 * MS);
  assert_near(e.rate_bits_per_s, 100e6, 0.02, "before");
  p.rate = 10e6;
  saturate(&p, &e, 6000 * MS);
  assert_near(e.rate_bits_per_s, 10e6, 0.05, "slow");
  p.rate = 50e6;
  saturate(&p, &e, 6000 * MS);
  assert_near(e.rate_bits_per_s, 50e6, 0.05, "fast again");
}

/* The ping waits in our own queue; without the probe the minimum would creep up every ten seconds. */
Test(estimator, does_not_take_its_own_queue_for_distance) {
  struct path p = {.rate = 20e6, .rtt_ns = 10 * MS};
  struct braid_estimator e;
  braid_estimator_init(&e);
  path_ping(&p, &e);
  saturate(&p, &e, 120000 * MS);
  cr_assert_leq(e.rtt_min_ns, 10 * MS + (int64_t)(3 * 8e9 * CHUNK / 20e6));
}

Test(estimator, notices_a_longer_way) {
  struct path p = {.rate = 20e6, .rtt_ns = 5 * MS};
  struct braid_estimator e;
  braid_estimator_init(&e);
  path_ping(&p, &e);
  saturate(&p, &e, 2000 * MS);
  p.rtt_ns = 40 * MS;
  saturate(&p, &e, 15000 * MS);
  cr_assert_geq(e.rtt_min_ns, 40 * MS);
  cr_assert_leq(e.rtt_min_ns, 55 * MS);
}

/* Little traffic says nothing about the link's limit: what was known stays. */
Test(estimator, a_slow_sender_does_not_make_the_link_slow) {
  struct path p = {.rate = 50e6, .rtt_ns = 10 * MS};
  struct braid_estimator e;
  braid_estimator_init(&e);
  path_ping(&p, &e);
  saturate(&p, &e, 2000 * MS);
  drain(&p, &e);
  for (int i = 0; i < 600; i++) { /* 30 s of one chunk in 50 ms */
    p.now_ns += 50 * MS;
    path_send(&p, &e, CHUNK);
    drain(&p, &e);
  }
  assert_near(e.rate_bits_per_s, 50e6, 0.02, "after idling");
}

/* The same with something under way all the time: many small messages, a busy interval that is not the link's doing. */
Test(estimator, a_trickle_does_not_make_the_link_slow) {
  struct path p = {.rate = 50e6, .rtt_ns = 10 * MS};
  struct braid_estimator e;
  braid_estimator_init(&e);
  path_ping(&p, &e);
  saturate(&p, &e, 2000 * MS);
  drain(&p, &e);
  for (int64_t next = p.now_ns; p.now_ns < 30000 * MS; next += 4 * MS) {
    while (p.count > 0 && p.ack_at_ns[p.first] <= next) path_ack(&p, &e);
    p.now_ns = next;
    path_send(&p, &e, 1000);
  }
  assert_near(e.rate_bits_per_s, 50e6, 0.02, "after a trickle");
}

/* A receiver that wakes every 3 ms acknowledges what has come since: two acks next to one another are no fast link. */
Test(estimator, acks_in_bunches_do_not_make_the_link_fast) {
  struct path p = {.rate = 20e6, .rtt_ns = 10 * MS};
  struct braid_estimator e;
  braid_estimator_init(&e);
  path_ping(&p, &e);
  for (int round = 0; round < 3000; round++) {
    while (e.in_flight_bytes + 2000 <= 60000) path_send(&p, &e, 2000);
    int64_t wake = (p.ack_at_ns[p.first] / (3 * MS) + 1) * 3 * MS;
    while (p.count > 0 && p.ack_at_ns[p.first] <= wake) {
      p.ack_at_ns[p.first] = wake + (p.count % 2) * 1000; /* a microsecond between them */
      path_ack(&p, &e);
    }
  }
  cr_assert_leq(e.rate_bits_per_s, 20e6 * 1.35);
  cr_assert_geq(e.rate_bits_per_s, 20e6 * 0.95);
}

Test(estimator, lone_messages_never_make_it_too_fast) {
  struct path p = {.rate = 10e6, .rtt_ns = 20 * MS};
  struct braid_estimator e;
  braid_estimator_init(&e);
  for (int i = 0; i < 50; i++) {
    p.now_ns += 100 * MS;
    path_send(&p, &e, 100000);
    drain(&p, &e);
    cr_assert_leq(e.rate_bits_per_s, 10.01e6);
  }
  cr_assert_geq(e.rate_bits_per_s, 7e6);
}

Test(estimator, false_acks_change_nothing) {
  struct braid_estimator e;
  braid_estimator_init(&e);
  braid_estimator_acked(&e, 1 << 30, 5);
  cr_assert_eq(e.rate_bits_per_s, 0);
  braid_estimator_sent(&e, 1000, 10 * MS);
  braid_estimator_acked(&e, SIZE_MAX, 10 * MS); /* at once, and too much */
  cr_assert_eq(e.in_flight_bytes, 0);
  cr_assert(isfinite(e.rate_bits_per_s));
  braid_estimator_rtt(&e, -5, 20 * MS);
  braid_estimator_rtt(&e, 0, 20 * MS);
  cr_assert_eq(e.rtt_min_ns, 0);
}
