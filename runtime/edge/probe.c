/* SPDX-License-Identifier: Apache-2.0
 * What the link can do, before there is a plan.
 *
 * Round trip: the smallest of a few empty pings. Rate: two pings with payload back to back; the time between their
 * answers is what the second payload took on the wire, whatever the delay and whatever a token bucket or socket buffer
 * let through at first (packet pairs: Keshav, SIGCOMM 1991). The payload starts small, so that a slow link is not
 * blocked for longer than a heartbeat, and the measurement is repeated while the result still grows (TCP's slow start).
 */
#include <math.h>

#include "edge/edge.h"

enum {
  RTT_PINGS = 5,
  SMALL_BYTES = 8 << 10,
  LARGE_BYTES = 32 << 10,
  LARGEST_BYTES = 128 << 10,
  MAX_ROUNDS = 4,
  CLOCK_BLUR_NS = 10 * 1000,         /* answers that are read together tell no more than this */
  LONG_ENOUGH_NS = 20 * 1000 * 1000, /* a gap that a clock and a scheduler cannot blur */
  MESSAGE_NS = 20 * 1000             /* a message costs this much over its bytes: header, system calls, wake-up */
};
#define PROBE_TIMEOUT_NS (20 * INT64_C(1000000000))

/* Runs one probe to its end. */
static enum braid_status run(struct braid_edge *edge, struct line *line, struct probe *probe) {
  int64_t deadline_ns = io_deadline_ns(PROBE_TIMEOUT_NS);
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&edge->mutex);
  line->probe = probe;
  io_poke(&edge->io);
  while (status == BRAID_OK && probe->back < probe->n) {
    if (line->broken != BRAID_OK)
      status = edge_fail_line(line, line->broken);
    else if (edge->ending)
      status = braid_fail(BRAID_ECLOSED, "the edge is stopping");
    else if (!io_cond_wait(&edge->changed, &edge->mutex, deadline_ns))
      status = braid_fail(BRAID_ETIMEDOUT, "cloud %s does not answer probes of the link; give the rates instead",
                          line->address);
  }
  line->probe = NULL;
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

static enum braid_status measure_delay(struct braid_edge *edge, struct line *line, int64_t *delay_ns) {
  int64_t best_ns = INT64_MAX;
  for (int i = 0; i < RTT_PINGS; i++) {
    struct probe probe = {.n = 1};
    BRAID_TRY(run(edge, line, &probe));
    int64_t rtt_ns = probe.ping[0].back_ns - probe.ping[0].stamp_ns;
    if (rtt_ns < best_ns) best_ns = rtt_ns;
  }
  *delay_ns = best_ns > 0 ? best_ns / 2 : 0;
  return BRAID_OK;
}

/* One pair. *gap_ns: what the second payload took. */
static enum braid_status measure_pair(struct braid_edge *edge, struct line *line, bool up, size_t first_bytes,
                                      size_t second_bytes, int64_t *gap_ns, double *bits_per_s) {
  struct probe probe = {.n = 2};
  if (up) {
    probe.ping[0].up_bytes = first_bytes;
    probe.ping[1].up_bytes = second_bytes;
  } else {
    probe.ping[0].down_bytes = first_bytes;
    probe.ping[1].down_bytes = second_bytes;
  }
  BRAID_TRY(run(edge, line, &probe));
  int64_t gap = probe.ping[1].back_ns - probe.ping[0].back_ns;
  *gap_ns = gap > CLOCK_BLUR_NS ? gap : CLOCK_BLUR_NS;
  size_t bytes = up ? second_bytes : probe.ping[1].got_bytes;
  *bits_per_s = 8e9 * (double)bytes / (double)*gap_ns;
  return BRAID_OK;
}

/* Two neighbours that agree are averaged; on a link that is still getting faster the last word counts. */
static enum braid_status measure_rate(struct braid_edge *edge, struct line *line, bool up, double *bits_per_s) {
  size_t first = SMALL_BYTES, second = LARGE_BYTES;
  double before = 0, rate = 0;
  for (int round = 0; round < MAX_ROUNDS; round++) {
    int64_t gap_ns;
    BRAID_TRY(measure_pair(edge, line, up, first, second, &gap_ns, &rate));
    if (gap_ns < LONG_ENOUGH_NS && second != LARGEST_BYTES) {
      first = LARGE_BYTES;
      second = LARGEST_BYTES;
      continue; /* a longer pair is the better witness */
    }
    if (fabs(rate - before) <= 0.1 * rate) {
      rate = (rate + before) / 2;
      break;
    }
    before = rate;
  }
  if (rate <= 0)
    return braid_fail(BRAID_EPROTO, "cloud %s answers probes without payload; give the rates instead", line->address);
  *bits_per_s = rate;
  return BRAID_OK;
}

static enum braid_status fill_in(struct braid_edge *edge, struct line *line, bool up, int64_t delay_ns,
                                 struct braid_link_cost *cost) {
  if (cost->bits_per_s > 0) return BRAID_OK;
  BRAID_TRY(measure_rate(edge, line, up, &cost->bits_per_s));
  cost->delay_ns = delay_ns;
  cost->message_ns = MESSAGE_NS;
  struct braid_log_field field[] = {{"peer", line->address, 0},
                                    {"direction", up ? "up" : "down", 0},
                                    {"bits_per_s", NULL, (int64_t)cost->bits_per_s},
                                    {"delay_ns", NULL, delay_ns}};
  braid_log_event(BRAID_LOG_INFO, "link", field, 4, "%slink to %s: %.1f Mbit/s, %.2f ms one way", up ? "up" : "down",
                  line->address, cost->bits_per_s / 1e6, (double)delay_ns / 1e6);
  return BRAID_OK;
}

enum braid_status edge_probe(struct braid_edge *edge, struct line *line, struct braid_link_cost *up,
                             struct braid_link_cost *down) {
  if (up->bits_per_s > 0 && down->bits_per_s > 0) return BRAID_OK;
  int64_t delay_ns;
  BRAID_TRY(measure_delay(edge, line, &delay_ns));
  BRAID_TRY(fill_in(edge, line, true, delay_ns, up));
  return fill_in(edge, line, false, delay_ns, down);
}
