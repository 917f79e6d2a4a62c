/* SPDX-License-Identifier: Apache-2.0
 * The link as the traffic shows it, after BBR (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue
 * 14(5), 2016), with acknowledged bytes as the only evidence.
 *
 * Rate: while bytes are in flight all the time (a busy interval) the acks leave the far end at the bottleneck's pace. A
 * sample is the bytes acknowledged between two acks at least SAMPLE_NS (and one round trip) apart in one busy interval,
 * over the time between them; the first ack only starts the clock, since the time before it holds the propagation
 * delay. An interval that ends with its first ack gives that one's bytes over all its time: too low, never too high. A
 * sample during which too little was in flight to fill the path (less than rate x round trip) says that the sender was
 * slow, not the link: it counts only if it raises the estimate. The estimate is the largest sample in the last 8
 * buckets of BUCKET_NS that saw one that counts, so 2 s of a busy link; silence lets nothing expire.
 *
 * Round trip: the minimum of the last RTT_WINDOW_NS. When that minimum grows old, the window shrinks for a moment
 * (BBR's ProbeRTT) so that our own queue drains before a new minimum is taken; otherwise the queue we cause would be
 * taken for distance and the window would grow without end.
 *
 * Window: 1.25 x rate x round trip + 2 chunks; 64 KiB while either is unknown. The quarter lets the estimate grow when
 * the link does (a sender limited by its window measures the window, then gets a larger one), the chunks keep the path
 * filled while an ack is under way. */
#include "braid/transport.h"

#include <string.h>

#define SAMPLE_NS INT64_C(10000000)
#define BUCKET_NS INT64_C(250000000)
#define RTT_WINDOW_NS INT64_C(10000000000)
#define PROBE_NS INT64_C(200000000)
#define BUCKETS 8
#define MAX_WINDOW_BYTES 268435456.0

enum { INITIAL_WINDOW_BYTES = 64 << 10 };

void braid_estimator_init(struct braid_estimator *e) {
  memset(e, 0, sizeof *e);
}

/* ------------------------------------------------------------------------------------------------- rate */

static double path_bytes(const struct braid_estimator *e) {
  return e->rate_bits_per_s / 8 * (double)e->rtt_min_ns * 1e-9;
}

static double largest_sample(const struct braid_estimator *e) {
  double largest = 0;
  for (int i = 0; i < e->n_samples; i++)
    if (e->rate_samples[i] > largest) largest = e->rate_samples[i];
  return largest;
}

/* Buckets are in order of time, oldest first. */
static void drop_oldest(struct braid_estimator *e) {
  e->n_samples--;
  memmove(e->rate_samples, e->rate_samples + 1, (size_t)e->n_samples * sizeof *e->rate_samples);
  memmove(e->rate_at_ns, e->rate_at_ns + 1, (size_t)e->n_samples * sizeof *e->rate_at_ns);
}

static void add_sample(struct braid_estimator *e, double bits_per_s, bool link_limited, int64_t now_ns) {
  if (!link_limited && bits_per_s <= e->rate_bits_per_s) return;
  int newest = e->n_samples - 1;
  if (newest >= 0 && now_ns - e->rate_at_ns[newest] < BUCKET_NS) {
    if (bits_per_s > e->rate_samples[newest]) e->rate_samples[newest] = bits_per_s;
  } else {
    if (e->n_samples == BUCKETS) drop_oldest(e);
    e->rate_samples[e->n_samples] = bits_per_s;
    e->rate_at_ns[e->n_samples++] = now_ns;
  }
  e->rate_bits_per_s = largest_sample(e);
}

static void start_sample(struct braid_estimator *e, int64_t now_ns) {
  e->busy_since_ns = now_ns;
  e->busy_acked_bytes = 0;
  e->least_in_flight_bytes = e->in_flight_bytes;
}

/* An interval with one ack: its only time is the whole one, with the propagation in it. */
static void end_of_lone_ack(struct braid_estimator *e, size_t bytes, int64_t now_ns) {
  int64_t elapsed_ns = now_ns - e->busy_since_ns;
  if (elapsed_ns > 0) add_sample(e, 8e9 * (double)bytes / (double)elapsed_ns, false, now_ns);
}

static void between_acks(struct braid_estimator *e, size_t bytes, int64_t now_ns) {
  e->busy_acked_bytes += bytes;
  int64_t elapsed_ns = now_ns - e->busy_since_ns;
  if (elapsed_ns < SAMPLE_NS || elapsed_ns < e->rtt_min_ns) return;
  bool link_limited = (double)e->least_in_flight_bytes >= path_bytes(e);
  add_sample(e, 8e9 * (double)e->busy_acked_bytes / (double)elapsed_ns, link_limited, now_ns);
  start_sample(e, now_ns);
}

void braid_estimator_sent(struct braid_estimator *e, size_t bytes, int64_t now_ns) {
  if (e->in_flight_bytes == 0) {
    e->acks_seen = false;
    e->busy_since_ns = now_ns;
  }
  e->in_flight_bytes += bytes;
}

void braid_estimator_acked(struct braid_estimator *e, size_t bytes, int64_t now_ns) {
  if (bytes > e->in_flight_bytes) bytes = e->in_flight_bytes; /* a peer may claim anything */
  if (bytes == 0) return;
  e->in_flight_bytes -= bytes;
  if (e->in_flight_bytes < e->least_in_flight_bytes) e->least_in_flight_bytes = e->in_flight_bytes;
  e->last_ack_ns = now_ns;
  if (e->acks_seen) {
    between_acks(e, bytes, now_ns);
  } else {
    if (e->in_flight_bytes == 0) end_of_lone_ack(e, bytes, now_ns);
    e->acks_seen = true;
    start_sample(e, now_ns);
  }
}

/* -------------------------------------------------------------------------------------------- round trip */

static void new_minimum(struct braid_estimator *e, int64_t rtt_ns, int64_t now_ns) {
  e->rtt_min_ns = rtt_ns;
  e->rtt_min_at_ns = now_ns;
  e->probe_since_ns = 0;
}

/* The first round trip of a probe was still queued; a probe ends when the queue has had time to drain and two more
 * came. */
static void probe(struct braid_estimator *e, int64_t rtt_ns, int64_t now_ns) {
  if (e->probe_since_ns == 0) {
    e->probe_since_ns = now_ns;
    e->probe_count = 0;
    return;
  }
  if (e->probe_count == 0 || rtt_ns < e->probe_min_ns) e->probe_min_ns = rtt_ns;
  e->probe_count++;
  int64_t enough_ns = 2 * e->rtt_smooth_ns > PROBE_NS ? 2 * e->rtt_smooth_ns : PROBE_NS;
  if (e->probe_count >= 2 && now_ns - e->probe_since_ns >= enough_ns) new_minimum(e, e->probe_min_ns, now_ns);
}

void braid_estimator_rtt(struct braid_estimator *e, int64_t rtt_ns, int64_t now_ns) {
  if (rtt_ns <= 0) return;
  e->rtt_smooth_ns = e->rtt_smooth_ns ? e->rtt_smooth_ns + (rtt_ns - e->rtt_smooth_ns) / 8 : rtt_ns;
  if (e->rtt_min_ns == 0 || rtt_ns <= e->rtt_min_ns)
    new_minimum(e, rtt_ns, now_ns);
  else if (now_ns - e->rtt_min_at_ns > RTT_WINDOW_NS)
    probe(e, rtt_ns, now_ns);
}

/* ------------------------------------------------------------------------------------------------ window */

size_t braid_estimator_window_bytes(const struct braid_estimator *e, size_t chunk_bytes) {
  size_t least = 2 * chunk_bytes;
  if (e->rate_bits_per_s <= 0 || e->rtt_min_ns <= 0)
    return least > INITIAL_WINDOW_BYTES ? least : (size_t)INITIAL_WINDOW_BYTES;
  double path = path_bytes(e);
  if (path > MAX_WINDOW_BYTES) path = MAX_WINDOW_BYTES;
  if (e->probe_since_ns) return (size_t)(path / 2) > least ? (size_t)(path / 2) : least;
  return (size_t)(1.25 * path) + least;
}
