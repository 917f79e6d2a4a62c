/* SPDX-License-Identifier: Apache-2.0
 * The pace of a link against a synthetic one: exact rate, fixed round trip, virtual time. */
#include "braid/transport.h"

#include <criterion/criterion.h>
#include <math.h>

#define MS INT64_C(1000000)
#define RTT (20 * MS)

struct link {
  struct braid_pace pace;
  double rate;
  int64_t free_ns, ack_ns[64];
  size_t bytes[64];
  int n;
};

static void put(struct link *l, size_t bytes, int64_t now_ns) {
  int64_t begin = l->free_ns > now_ns ? l->free_ns : now_ns;
  l->free_ns = begin + (int64_t)(8e9 * (double)bytes / l->rate);
  l->ack_ns[l->n] = l->free_ns + RTT;
  l->bytes[l->n++] = bytes;
  braid_pace_sent(&l->pace, bytes, now_ns);
}

/* All that is under way comes through, `late_ns` late; returns when. */
static int64_t take(struct link *l, int64_t late_ns, bool held) {
  int64_t at = 0;
  for (int i = 0; i < l->n; i++) braid_pace_acked(&l->pace, l->bytes[i], RTT, at = l->ack_ns[i] + late_ns, held);
  l->n = 0;
  return at;
}

static void cr_near(double got, double want) {
  cr_assert(fabs(got / want - 1) < 0.05, "%.3g Mbit/s, not %.3g", got / 1e6, want / 1e6);
}

Test(pace, bursts_with_lulls_show_the_link_and_not_the_sender) {
  struct link l = {.rate = 20e6};
  int64_t now = 0;
  for (int burst = 0; burst < 5; burst++, now += 3000 * MS) {
    for (int i = 0; i < 4; i++) put(&l, 32768, now);
    now = take(&l, 0, false);
  }
  cr_assert_eq(l.pace.n_samples, 5);
  cr_near(l.pace.bits_per_s, 20e6);
}

Test(pace, a_fall_is_seen_with_the_first_burst_after_it) {
  struct link l = {.rate = 50e6};
  for (int i = 0; i < 8; i++) put(&l, 32768, 0);
  int64_t now = take(&l, 0, false) + 100 * MS;
  l.rate = 2e6;
  for (int i = 0; i < 4; i++) put(&l, 16384, now);
  take(&l, 0, false);
  cr_near(l.pace.bits_per_s, 2e6);
}

Test(pace, what_is_not_answered_is_overdue_long_before_it_comes) {
  struct link l = {.rate = 20e6};
  for (int i = 0; i < 4; i++) put(&l, 32768, 0);
  int64_t now = take(&l, 0, false) + 100 * MS;
  cr_assert_eq(braid_pace_overdue(&l.pace, RTT, now), 0, "nothing is under way");
  l.rate = 1e5;
  put(&l, 32768, now);
  cr_assert_eq(braid_pace_overdue(&l.pace, RTT, now + 40 * MS), 0, "it may still be on its way");
  double before = 20e6;
  for (int64_t later = 150 * MS; later < 1000 * MS; later += 50 * MS) {
    double rate = braid_pace_overdue(&l.pace, RTT, now + later);
    cr_assert(rate > 0 && rate < before, "%g after %g", rate, before);
    cr_assert_geq(rate, 8e9 * 32768 / (double)later, "an upper bound");
    before = rate;
  }
}

/* Small messages whose answers are late by a busy machine's milliseconds. */
Test(pace, jitter_is_not_taken_for_a_slow_link) {
  struct link l = {.rate = 20e6};
  for (int i = 0; i < 4; i++) put(&l, 32768, 0);
  int64_t now = take(&l, 0, false);
  for (int i = 0; i < 20; i++) {
    now += 500 * MS;
    put(&l, 4000, now);
    now = take(&l, 15 * MS, false);
  }
  cr_near(l.pace.bits_per_s, 20e6);
}

Test(pace, a_receiver_that_keeps_data_waiting_says_nothing_of_the_link) {
  struct link l = {.rate = 20e6};
  for (int i = 0; i < 4; i++) put(&l, 32768, 0);
  int64_t now = take(&l, 0, false);
  uint64_t before = l.pace.n_samples;
  for (int i = 0; i < 4; i++) put(&l, 32768, now);
  take(&l, 900 * MS, true);
  cr_assert_eq(l.pace.n_samples, before);
}

Test(pace, more_messages_than_it_remembers_are_still_counted) {
  static struct braid_pace pace;
  braid_pace_init(&pace);
  for (int i = 0; i < 3 * BRAID_PACE_MESSAGES; i++) braid_pace_sent(&pace, 1000, 0);
  for (int i = 0; i < 3 * BRAID_PACE_MESSAGES; i++) braid_pace_acked(&pace, 1000, RTT, RTT + (i + 1) * MS, false);
  cr_near(pace.bits_per_s, 8e6);
  cr_assert_eq(pace.count, 0);
  braid_pace_acked(&pace, 1000, RTT, RTT, false); /* of what was never sent: nothing happens */
  cr_assert_eq(pace.count, 0);
}
