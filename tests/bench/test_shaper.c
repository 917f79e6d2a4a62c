/* SPDX-License-Identifier: Apache-2.0
 * The emulated link in virtual time: what arrives when is exact, so it is tested exactly. */
#include "shaper.h"
#include "testdata.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static struct shaper *new_shaper(double bits_per_s, int64_t delay_ns, int64_t jitter_ns, uint64_t seed,
                                 size_t queue_bytes) {
  struct shaper_opts opts = {.delay_ns = delay_ns, .jitter_ns = jitter_ns, .seed = seed, .queue_bytes = queue_bytes};
  struct shaper *s = NULL;
  cr_assert_eq(rate_plan_constant(bits_per_s, &opts.rate), BRAID_OK);
  cr_assert_eq(shaper_create(&opts, &s), BRAID_OK);
  return s;
}

static void *tag_of(uint64_t i) {
  return (void *)(uintptr_t)(i + 1);
}

static void push(struct shaper *s, int64_t now_ns, size_t bytes, uint64_t i) {
  cr_assert_eq(shaper_push(s, now_ns, bytes, tag_of(i)), BRAID_OK);
}

/* When the next piece arrives, found by following shaper_next_ns from *now_ns on; it must be piece i. */
static int64_t next_arrival(struct shaper *s, int64_t *now_ns, uint64_t i) {
  void *tag;
  size_t bytes;
  while (!shaper_pop(s, *now_ns, &tag, &bytes)) {
    int64_t next = shaper_next_ns(s, *now_ns, false);
    cr_assert(next > *now_ns && next < INT64_MAX, "piece %llu never arrives", (unsigned long long)i);
    *now_ns = next;
  }
  cr_assert_eq(tag, tag_of(i));
  return *now_ns;
}

Test(shaper, a_lone_piece_takes_its_time_on_the_line_and_the_delay) {
  struct shaper *s = new_shaper(8e6, 5 * MS, 0, 0, 65536);
  int64_t now = 100 * MS;
  void *tag;
  size_t bytes;
  push(s, now, 1000, 0); /* 1 ms at 8 Mbit/s */
  cr_assert_not(shaper_pop(s, 106 * MS - 1, &tag, &bytes));
  cr_assert(shaper_pop(s, 106 * MS, &tag, &bytes) && bytes == 1000);
  cr_assert_eq(shaper_next_ns(s, 106 * MS, true), INT64_MAX);
  shaper_destroy(&s);
}

Test(shaper, the_rate_does_not_drift) {
  static const double rates[] = {1e6, 3.3e6, 20e6, 777777777, 1e9};
  enum { PIECES = 200000, BYTES = 1448, AHEAD = 200 };
  for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
    struct shaper *s = new_shaper(rates[r], MS, 0, 0, 1 << 20);
    int64_t now = 0;
    for (uint64_t i = 0; i < AHEAD; i++) push(s, 0, BYTES, i);
    for (uint64_t i = 0; i < PIECES; i++) {
      double exact = (double)(i + 1) * BYTES * 8 * 1e9 / rates[r] + 1e6;
      int64_t arrival = next_arrival(s, &now, i);
      cr_assert(fabs((double)arrival - exact) < 2 + 1e-11 * exact, "piece %llu at %g bit/s: %lld for %.1f",
                (unsigned long long)i, rates[r], (long long)arrival, exact);
      push(s, now, BYTES, i + AHEAD); /* more are ahead than the wire holds, so the line never runs empty */
    }
    shaper_destroy(&s);
  }
}

/* An emulator whose loop turns only every 20 ms must still give the full rate. */
Test(shaper, a_late_caller_does_not_lower_the_rate) {
  enum { BYTES = 1500 };
  struct shaper *s = new_shaper(20e6, 5 * MS, 0, 0, 128 << 10);
  uint64_t pushed = 0, popped = 0;
  void *tag;
  size_t bytes;
  for (int64_t now = 0; now <= 10 * SECOND; now += 20 * MS) {
    while (shaper_pop(s, now, &tag, &bytes)) popped += bytes;
    while (shaper_room_bytes(s, now) >= BYTES) push(s, now, BYTES, pushed++);
  }
  double bits_per_s = (double)popped * 8 / (10 - 0.005);
  cr_assert(bits_per_s > 20e6 * 0.99 && bits_per_s < 20e6 * 1.001, "%g", bits_per_s);
  shaper_destroy(&s);
}

Test(shaper, the_queue_is_bounded_and_frees_as_the_line_passes) {
  struct shaper *s = new_shaper(8e6, 50 * MS, 0, 0, 10000);
  for (uint64_t i = 0; i < 10; i++) {
    cr_assert_eq(shaper_room_bytes(s, 0), 10000 - i * 1000);
    push(s, 0, 1000, i);
  }
  cr_assert_eq(shaper_room_bytes(s, 0), 0);
  cr_assert_eq(shaper_next_ns(s, 0, true), 1 * MS, "room comes when the first has passed, long before it arrives");
  cr_assert_eq(shaper_next_ns(s, 0, false), 51 * MS);
  cr_assert_eq(shaper_room_bytes(s, 1 * MS - 1), 0);
  cr_assert_eq(shaper_room_bytes(s, 1 * MS), 1000);
  cr_assert_eq(shaper_room_bytes(s, 10 * MS), 10000);
  void *tag;
  size_t bytes;
  cr_assert_not(shaper_pop(s, 50 * MS, &tag, &bytes), "all are on the wire");
  for (int i = 0; i < 10; i++) cr_assert(shaper_take_any(s, &tag, &bytes) && tag == tag_of((uint64_t)i));
  cr_assert_not(shaper_take_any(s, &tag, &bytes));
  cr_assert_eq(shaper_room_bytes(s, 60 * MS), 10000);
  shaper_destroy(&s);
}

static void jittered(uint64_t seed, int64_t *arrival, int n) {
  struct shaper *s = new_shaper(80e6, 5 * MS, 3 * MS, seed, 1 << 20);
  int64_t now = 0;
  for (int i = 0; i < n; i++) push(s, 0, 1000, (uint64_t)i); /* 0.1 ms each */
  for (int i = 0; i < n; i++) arrival[i] = next_arrival(s, &now, (uint64_t)i);
  shaper_destroy(&s);
}

Test(shaper, jitter_is_bounded_ordered_and_replayable) {
  enum { N = 500 };
  int64_t a[N], b[N], c[N];
  jittered(7, a, N), jittered(7, b, N), jittered(8, c, N);
  cr_assert_eq(memcmp(a, b, sizeof a), 0);
  cr_assert_neq(memcmp(a, c, sizeof a), 0);
  int spread = 0;
  for (int i = 0; i < N; i++) {
    int64_t earliest = (i + 1) * MS / 10 + 5 * MS;
    cr_assert(a[i] >= earliest && a[i] <= earliest + 3 * MS + 1, "piece %d", i);
    cr_assert(i == 0 || a[i] >= a[i - 1]);
    spread += a[i] > earliest + MS;
  }
  cr_assert_gt(spread, N / 10);
}

Test(shaper, a_hold_stops_both_the_line_and_arrivals) {
  struct shaper *s = new_shaper(8e6, 5 * MS, 0, 0, 65536);
  int64_t now = 0;
  for (uint64_t i = 0; i < 4; i++) push(s, 0, 1000, i);
  shaper_hold(s, 1 * MS + 500000, 100 * MS); /* the first is on the wire, the second half through the line */
  cr_assert_eq(next_arrival(s, &now, 0), 100 * MS);
  cr_assert_eq(next_arrival(s, &now, 1), 100 * MS);
  cr_assert_eq(next_arrival(s, &now, 2), 106 * MS);
  shaper_hold(s, now, INT64_MAX);
  cr_assert_eq(shaper_next_ns(s, now, true), INT64_MAX);
  shaper_hold(s, 200 * MS, 0);
  now = 200 * MS;
  cr_assert_eq(next_arrival(s, &now, 3), 200 * MS, "it had passed the line before the second hold");
  shaper_destroy(&s);
}

Test(shaper, a_new_rate_acts_on_what_waits) {
  struct shaper *s = new_shaper(8e3, 0, 0, 0, 65536); /* 1 s each */
  struct rate_plan fast;
  int64_t now = 0;
  for (uint64_t i = 0; i < 3; i++) push(s, 0, 1000, i);
  cr_assert_eq(rate_plan_constant(8e6, &fast), BRAID_OK);
  shaper_set_rate(s, 500 * MS, &fast);
  cr_assert_null(fast.steps);
  cr_assert_eq(next_arrival(s, &now, 0), 1000 * MS);
  cr_assert_eq(next_arrival(s, &now, 1), 1001 * MS);
  shaper_set_delay(s, now, 20 * MS, 0);
  cr_assert_eq(next_arrival(s, &now, 2), 1002 * MS, "it had begun with the old delay");
  push(s, now, 1000, 3);
  cr_assert_eq(next_arrival(s, &now, 3), 1023 * MS);
  shaper_destroy(&s);
}

Test(shaper, an_end_of_stream_keeps_its_place) {
  struct shaper *s = new_shaper(8e6, 5 * MS, 2 * MS, 3, 4000);
  int64_t now = 0;
  push(s, 0, 4000, 0);
  push(s, 0, 0, 1);
  int64_t data = next_arrival(s, &now, 0);
  cr_assert_geq(next_arrival(s, &now, 1), data);
  shaper_destroy(&s);
}

/* ------------------------------------------------------------------------------------------------- traces */

/* Bits that pass in [0, t), by walking one step after the other. */
static double bits_until(const struct rate_plan *plan, double t_ns) {
  double bits = 0, at = 0;
  for (int i = 0; at < t_ns; i = (i + 1) % plan->n_steps) {
    double end = (double)(i + 1 < plan->n_steps ? plan->steps[i + 1].at_ns : plan->period_ns) -
                 (double)plan->steps[i].at_ns + at;
    bits += plan->steps[i].bits_per_s * 1e-9 * ((end < t_ns ? end : t_ns) - at);
    at = end;
  }
  return bits;
}

Test(rate_plan, a_trace_is_read_and_repeats) {
  struct rate_plan plan;
  cr_assert_eq(rate_plan_parse("time_s,mbps\n0.000,1.0\n1.000,0\n1.5,4\r\n", "t", &plan), BRAID_OK, "%s",
               braid_error());
  cr_assert_eq(plan.n_steps, 3);
  cr_assert_eq(plan.period_ns, 2 * SECOND, "the last holds as long as the one before it");
  cr_assert(fabs(rate_plan_mean_bits_per_s(&plan) - 1.5e6) < 1);
  cr_assert(fabs(rate_plan_finish_ns(&plan, 0, 1e6) - 1e9) < 2);
  cr_assert(fabs(rate_plan_finish_ns(&plan, 0, 2e6) - 1.75e9) < 2, "waits while the rate is 0");
  cr_assert(fabs(rate_plan_finish_ns(&plan, 1.2e9, 1e6) - 1.75e9) < 2);
  cr_assert(fabs(rate_plan_finish_ns(&plan, 0, 30.5e6) - 20.5e9) < 10, "ten rounds later");
  cr_assert(fabs(rate_plan_finish_ns(&plan, 41e9, 1.0e6) - 41.75e9) < 10);
  rate_plan_free(&plan);
}

Test(rate_plan, random_traces_pass_exactly_their_bits) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    struct rate_step steps[12];
    int n = 2 + (int)(braid_random_u64(seed, 0) % 10);
    for (int i = 0; i < n; i++) {
      uint64_t r = braid_random_u64(seed, (uint64_t)i + 1);
      steps[i] = (struct rate_step){i == 0 ? 0 : steps[i - 1].at_ns + 1 + (int64_t)(r % 1000) * MS,
                                    r >> 60 < 4 ? 0 : (double)(r >> 40)};
    }
    steps[n - 1].bits_per_s += 1e5;
    struct rate_plan plan = {n, steps[n - 1].at_ns + 300 * MS, steps};
    double start = (double)(braid_random_u64(seed, 50) % (10 * SECOND)),
           bits = (double)(braid_random_u64(seed, 51) % 100000000);
    double finish = rate_plan_finish_ns(&plan, start, bits),
           passed = bits_until(&plan, finish) - bits_until(&plan, start);
    cr_assert(finish >= start && fabs(passed - bits) < 1e-6 * bits + 1, "seed %llu: %g bits passed for %g",
              (unsigned long long)seed, passed, bits);
  }
}

Test(rate_plan, bad_traces_name_file_and_line) {
  static const struct {
    const char *text, *where;
  } bad[] = {{"", "no rows"},
             {"time_s,mbps\n", "no rows"},
             {"0,1\n1\n", "f:2"},
             {"time_s,mbps\n0,1\n1,x\n", "f:3"},
             {"0,1\n1,-2\n", "f:2"},
             {"0,1\n0,2\n", "does not grow"},
             {"1,1\n0.5,2\n", "f:2"},
             {"0,0\n1,0\n", "always 0"},
             {"0,nan\n", "f:1"},
             {"0,1e300\n", "f:1"},
             {"0,1,2\n", "f:1"},
             {"0,1\n\n1,1\n", "f:2"},
             {"-1,1\n", "out of range"},
             {"a", "f:1"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct rate_plan plan;
    cr_assert_eq(rate_plan_parse(bad[i].text, "f", &plan), BRAID_EFORMAT, "'%s' was taken", bad[i].text);
    cr_assert(strstr(braid_error(), bad[i].where), "'%s' is not in '%s'", bad[i].where, braid_error());
  }
  struct rate_plan plan;
  cr_assert_eq(rate_plan_read("/nowhere/trace.csv", &plan), BRAID_EIO);
  cr_assert(strstr(braid_error(), "/nowhere/trace.csv"));
}

Test(rate_plan, a_measured_trace_has_the_mean_its_readme_tells) {
  char path[512];
  struct rate_plan plan;
  if (!testdata_path("traces/lte_att_driving_up.csv", path, sizeof path)) return;
  cr_assert_eq(rate_plan_read(path, &plan), BRAID_OK, "%s", braid_error());
  cr_assert(fabs(rate_plan_mean_bits_per_s(&plan) - 1.91e6) < 0.02e6, "%g", rate_plan_mean_bits_per_s(&plan));
  rate_plan_free(&plan);
}
