/* SPDX-License-Identifier: Apache-2.0
 * What the I/O thread sees of the world, for whoever adapts (adapt.c): rates of the transfers themselves, the round
 * trip, what the cloud reports of its load. Nothing is sent for it, but for one case: a plan that sends nothing would
 * never find out that the link has become better. Then, twice a second, two pings of 8 KiB follow each other, up and
 * down in turn; the time between their answers is what the second took (probe.c). They take a sixth of the link's time
 * at most, and on a link that swallows them say how slow it is. */
#include "edge/edge.h"

#define PROBE_EVERY_NS INT64_C(500000000)
#define PROBE_SHARE 6
#define PROBE_LOST_NS INT64_C(10000000000)
#define LOOK_EVERY_NS INT64_C(50000000) /* at what is overdue */
#define JITTER_NS INT64_C(5000000)
enum { PROBE_BYTES = 8 << 10 };

/* ------------------------------------------------------------------------------------------------ what was seen */

static void see_rate(struct braid_edge *edge, bool up, double bits_per_s) {
  pthread_mutex_lock(&edge->mutex);
  struct seen *seen = &edge->seen;
  double *worst = up ? &seen->up_worst : &seen->down_worst;
  if (*worst <= 0 || bits_per_s < *worst) *worst = bits_per_s;
  *(up ? &seen->now.up_bits_per_s : &seen->now.down_bits_per_s) = bits_per_s;
  if (!seen->news) pthread_cond_broadcast(&edge->changed);
  seen->news = true;
  pthread_mutex_unlock(&edge->mutex);
}

/* 0: nothing new. */
static void see_rest(struct braid_edge *edge, double rtt_ns, double load) {
  if (rtt_ns <= 0 && load <= 0) return;
  pthread_mutex_lock(&edge->mutex);
  struct seen *seen = &edge->seen;
  if (rtt_ns > 0) seen->now.rtt_ns = rtt_ns;
  if (load > 0) seen->now.cloud_load = load;
  if (!seen->news) pthread_cond_broadcast(&edge->changed);
  seen->news = true;
  pthread_mutex_unlock(&edge->mutex);
}

/* A value that is not the one before; 0 when it is. */
static double if_new(double value, double *before) {
  if (value >= *before && value <= *before) return 0;
  *before = value;
  return value;
}

static void look(struct braid_edge *edge, struct line *line, int64_t now_ns) {
  const struct channel *ch = &line->channel;
  struct watch *w = &line->watch;
  if (ch->pace.n_samples != w->n_samples) {
    w->n_samples = ch->pace.n_samples;
    see_rate(edge, true, ch->pace.bits_per_s);
  }
  double down = if_new(ch->peer_bits_per_s, &w->down);
  if (down > 0) see_rate(edge, false, down);
  see_rest(edge, if_new((double)ch->estimator.rtt_min_ns, &w->rtt_ns), if_new(ch->peer_load, &w->load));
  if (now_ns < w->look_ns) return;
  w->look_ns = now_ns + LOOK_EVERY_NS;
  double overdue = braid_pace_overdue(&ch->pace, ch->estimator.rtt_min_ns, now_ns);
  if (overdue > 0) see_rate(edge, true, overdue);
}

/* ------------------------------------------------------------------------------------------------------ probes */

static bool sends_nothing(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  bool nothing = edge->current && !edge->current->crosses;
  pthread_mutex_unlock(&edge->mutex);
  return nothing;
}

static enum braid_status begin_probe(struct line *line, int64_t now_ns) {
  struct watch *w = &line->watch;
  w->up = !w->up;
  w->begun_ns = now_ns;
  w->back = 0;
  w->out = true;
  for (int i = 0; i < 2; i++)
    BRAID_TRY(channel_ping(&line->channel, w->up ? PROBE_BYTES : 0, w->up ? 0 : PROBE_BYTES, &w->stamp_ns[i]));
  return BRAID_OK;
}

static void end_probe(struct watch *w, int64_t now_ns) {
  int64_t pause_ns = PROBE_SHARE * (now_ns - w->begun_ns) - (now_ns - w->begun_ns);
  w->out = false;
  w->probe_ns = w->begun_ns + PROBE_EVERY_NS;
  if (w->probe_ns < now_ns + pause_ns && pause_ns > PROBE_EVERY_NS) w->probe_ns = now_ns + pause_ns;
}

/* What both payloads took holds the round trip's jitter, and tells a rate that the link has at least; the gap holds
 * none, but answers that were read together tell a rate beyond belief. Where the jitter is small beside it, the time of
 * both counts; else the gap, unless the two are too far apart. */
static double probe_rate(const struct channel *ch, const struct watch *w, int64_t now_ns) {
  int64_t rtt_ns = ch->estimator.rtt_min_ns, both_ns = now_ns - w->begun_ns - rtt_ns, gap_ns = now_ns - w->first_ns;
  double least = 2 * 8e9 * PROBE_BYTES / (double)(both_ns > 1 ? both_ns : 1);
  double alone = 8e9 * PROBE_BYTES / (double)(gap_ns > 1 ? gap_ns : 1);
  if (both_ns > rtt_ns + 4 * JITTER_NS || alone < least) return least;
  return alone < 2 * least ? alone : 2 * least;
}

bool edge_watch_pong(struct braid_edge *edge, struct line *line, const struct braid_msg *msg, int64_t now_ns) {
  struct watch *w = &line->watch;
  if (!w->out || msg->stamp_ns != w->stamp_ns[w->back]) return false;
  bool whole = w->up || msg->payload_bytes == PROBE_BYTES;
  if (w->back++ == 0) {
    w->first_ns = now_ns;
    return true;
  }
  if (whole) see_rate(edge, w->up, probe_rate(&line->channel, w, now_ns));
  end_probe(w, now_ns);
  return true;
}

/* What has not come back yet. */
static void look_at_probe(struct braid_edge *edge, struct line *line, int64_t now_ns) {
  struct watch *w = &line->watch;
  int64_t waited_ns = now_ns - w->begun_ns - line->channel.estimator.rtt_min_ns;
  if (waited_ns > PROBE_LOST_NS)
    end_probe(w, now_ns);
  else if (waited_ns > PROBE_EVERY_NS && now_ns >= w->late_ns) {
    see_rate(edge, w->up, 8e9 * PROBE_BYTES / (double)waited_ns);
    w->late_ns = now_ns + PROBE_EVERY_NS;
  }
}

enum braid_status edge_watch(struct braid_edge *edge, struct line *line, int64_t now_ns) {
  if (!edge->opts.adapt) return BRAID_OK;
  struct watch *w = &line->watch;
  look(edge, line, now_ns);
  if (w->out) {
    look_at_probe(edge, line, now_ns);
    return BRAID_OK;
  }
  if (line->channel.estimator.in_flight_bytes > 0 || !sends_nothing(edge)) {
    w->probe_ns = now_ns + PROBE_EVERY_NS;
    return BRAID_OK;
  }
  return now_ns >= w->probe_ns ? begin_probe(line, now_ns) : BRAID_OK;
}

int64_t edge_watch_sleep_ns(const struct braid_edge *edge, const struct line *line, int64_t now_ns) {
  if (!edge->opts.adapt) return INT64_MAX;
  if (line->watch.out || line->channel.estimator.in_flight_bytes > 0) return LOOK_EVERY_NS;
  int64_t ns = line->watch.probe_ns - now_ns;
  return ns > 0 ? ns : 0;
}
