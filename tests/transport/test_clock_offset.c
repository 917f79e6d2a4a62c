/* SPDX-License-Identifier: Apache-2.0
 * The offset of a clock whose offset is known, from exchanges over a made-up path: fixed ways, queues that come on one
 * way only, drift. Virtual time. */
#include "braid/transport.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define S INT64_C(1000000000)

struct path {
  struct braid_clock_filter filter;
  int64_t offset_ns, start_ns;       /* the peer is ahead by so much, at the start */
  double drift;
  int64_t up_ns, down_ns;            /* of an empty path */
  int64_t up_queue_ns, down_queue_ns; /* at most so much more, now and then */
  uint64_t seed, n;
};

static int64_t truth(const struct path *p, int64_t ns) {
  return p->offset_ns + llround(p->drift * (double)(ns - p->start_ns));
}

static int64_t dice(struct path *p, int64_t below_ns) {
  return below_ns > 0 ? (int64_t)(braid_random_u64(p->seed, p->n++) % (uint64_t)below_ns) : 0;
}

/* Queues are there two times out of three. */
static int64_t queue(struct path *p, int64_t most_ns) {
  return dice(p, 3) == 0 ? dice(p, 20 * US) : dice(p, most_ns);
}

static void exchange(struct path *p, int64_t sent_ns) {
  int64_t there_ns = sent_ns + p->up_ns + queue(p, p->up_queue_ns);
  int64_t back_ns = there_ns + p->down_ns + queue(p, p->down_queue_ns);
  braid_clock_filter_add(&p->filter, sent_ns, there_ns + truth(p, there_ns), back_ns);
}

static struct braid_clock_offset run(struct path *p, int64_t for_ns, int64_t every_ns) {
  struct braid_clock_offset o;
  braid_clock_filter_init(&p->filter);
  for (int64_t t = 0; t < for_ns; t += every_ns) exchange(p, p->start_ns + t);
  cr_assert(braid_clock_filter_estimate(&p->filter, &o));
  return o;
}

/* What the estimate is away from the truth at most, between two times of this clock. */
static int64_t worst_ns(const struct path *p, const struct braid_clock_offset *o, int64_t from_ns, int64_t to_ns) {
  int64_t worst = 0;
  for (int i = 0; i <= 10; i++) {
    int64_t ns = from_ns + (to_ns - from_ns) / 10 * i;
    int64_t off = llabs(braid_clock_from_peer(o, ns + truth(p, ns)) - ns);
    if (off > worst) worst = off;
  }
  return worst;
}

Test(clock_offset, nothing_is_known_before_the_first_exchange) {
  struct braid_clock_filter f;
  struct braid_clock_offset o;
  braid_clock_filter_init(&f);
  cr_assert_not(braid_clock_filter_estimate(&f, &o));
  braid_clock_filter_add(&f, 10 * S, 9 * S, 10 * S + 2 * MS);
  cr_assert(braid_clock_filter_estimate(&f, &o));
  cr_assert_eq(o.offset_ns, -S - MS);
  cr_assert_eq(o.uncertainty_ns, MS);
  cr_assert_eq(braid_clock_from_peer(&o, 9 * S), 10 * S + MS);
}

/* A day ahead, behind, and a boot ago: with queues on one way, on the other, on both. */
Test(clock_offset, is_found_within_half_the_shortest_round_trip) {
  const int64_t offsets[] = {0, 86400 * S, -17 * S, 400 * 86400 * S};
  const struct {
    int64_t up_ns, down_ns, up_queue_ns, down_queue_ns;
  } ways[] = {{5 * MS, 5 * MS, 80 * MS, 0}, {5 * MS, 5 * MS, 0, 80 * MS}, {9 * MS, 1 * MS, 30 * MS, 3 * MS},
              {40 * US, 40 * US, 10 * MS, 300 * US}};
  for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++)
      for (uint64_t seed = 0; seed < 20; seed++) {
        struct path p = {.offset_ns = offsets[i], .start_ns = 1000 * S, .up_ns = ways[k].up_ns,
                         .down_ns = ways[k].down_ns, .up_queue_ns = ways[k].up_queue_ns,
                         .down_queue_ns = ways[k].down_queue_ns, .seed = seed};
        struct braid_clock_offset o = run(&p, 30 * S, S / 2);
        int64_t off = worst_ns(&p, &o, p.start_ns, p.start_ns + 30 * S);
        int64_t half = (ways[k].up_ns + ways[k].down_ns) / 2;
        cr_assert_leq(off, o.uncertainty_ns,
                      "offset %" PRId64 ", ways %zu, seed %" PRIu64 ": off by %" PRId64 " of %" PRId64, offsets[i], k,
                      seed, off, o.uncertainty_ns);
        cr_assert_leq(o.uncertainty_ns, half + MS, "the queues are not filtered out: %" PRId64, o.uncertainty_ns);
        if (ways[k].up_ns == ways[k].down_ns) /* then a path without a queue tells the offset itself */
          cr_assert_leq(off, 300 * US, "ways %zu, seed %" PRIu64 ": off by %" PRId64, k, seed, off);
      }
}

Test(clock_offset, a_single_exchange_without_a_queue_outweighs_all_others) {
  struct path p = {.offset_ns = 5 * S, .start_ns = S, .up_ns = MS, .down_ns = MS, .seed = 3};
  braid_clock_filter_init(&p.filter);
  for (int i = 0; i < 100; i++) /* 20 ms of queue on the way there, always */
    braid_clock_filter_add(&p.filter, S + i * S / 10, S + i * S / 10 + 21 * MS + 5 * S, S + i * S / 10 + 22 * MS);
  exchange(&p, 12 * S);
  struct braid_clock_offset o;
  cr_assert(braid_clock_filter_estimate(&p.filter, &o));
  cr_assert_leq(worst_ns(&p, &o, S, 12 * S), 20 * US);
}

Test(clock_offset, drift_is_followed_over_hours) {
  const double drifts[] = {50e-6, -20e-6, 200e-6};
  for (int i = 0; i < 3; i++)
    for (uint64_t seed = 0; seed < 20; seed++) {
      struct path p = {.offset_ns = -3 * S, .start_ns = 77 * S, .drift = drifts[i], .up_ns = 5 * MS, .down_ns = 5 * MS,
                       .up_queue_ns = 50 * MS, .seed = seed};
      struct braid_clock_offset o = run(&p, 3600 * S, S / 2);
      cr_assert_float_eq(o.drift, drifts[i], 0.05 * fabs(drifts[i]), "drift %g, not %g", o.drift, drifts[i]);
      int64_t off = worst_ns(&p, &o, p.start_ns, p.start_ns + 3600 * S); /* a constant would be off by 36 ms and more */
      cr_assert_leq(off, MS / 2, "drift %g, seed %" PRIu64 ": off by %" PRId64, drifts[i], seed, off);
      cr_assert_leq(off, o.uncertainty_ns);
    }
}

Test(clock_offset, queues_alone_are_no_drift) {
  for (uint64_t seed = 0; seed < 50; seed++) {
    struct path p = {.offset_ns = S, .start_ns = 5 * S, .up_ns = 5 * MS, .down_ns = 5 * MS, .up_queue_ns = 50 * MS,
                     .down_queue_ns = 5 * MS, .seed = seed};
    struct braid_clock_offset o = run(&p, 60 * S, S / 2);
    cr_assert_leq(worst_ns(&p, &o, p.start_ns, p.start_ns + 60 * S), 4 * MS, "seed %" PRIu64 ", drift %g", seed,
                  o.drift);
  }
}

Test(clock_offset, what_cannot_be_is_left_out) {
  struct braid_clock_filter f;
  struct braid_clock_offset o;
  braid_clock_filter_init(&f);
  braid_clock_filter_add(&f, 0, 5, 10);              /* no stamp */
  braid_clock_filter_add(&f, 20, 5, 10);             /* back before it was sent */
  braid_clock_filter_add(&f, 10, -1, 20);            /* a clock that is none */
  braid_clock_filter_add(&f, 10, INT64_MAX, 20);
  braid_clock_filter_add(&f, 10, 5, INT64_MAX);
  braid_clock_filter_add(&f, INT64_MIN, 5, INT64_MAX);
  cr_assert_not(braid_clock_filter_estimate(&f, &o));
  braid_clock_filter_add(&f, 10 * S, 5, 10 * S);
  braid_clock_filter_add(&f, 9 * S, 5, 9 * S + 1); /* time that runs backwards */
  braid_clock_filter_add(&f, (INT64_C(1) << 61) - 1, 1, INT64_C(1) << 61); /* windows of years */
  cr_assert_eq(f.exchanges, 2);
  cr_assert(braid_clock_filter_estimate(&f, &o));
}
