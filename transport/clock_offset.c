/* SPDX-License-Identifier: Apache-2.0
 * The offset between two clocks from exchanges of messages.
 *
 * One exchange bounds the offset: the peer read its clock between our sending and our receiving, so the middle of the
 * two is wrong by half the round trip at most. The shortest round trip bounds it best, and is also the one that met no
 * queue on either way; every other exchange of its window is dropped (Cristian, "Probabilistic clock synchronization",
 * Distributed Computing 3(3), 1989; the clock filter of NTP, RFC 5905, section 10).
 *
 * Two quartz clocks drift apart by some tens of microseconds a second. The shortest round trips of the windows lie on a
 * line then, whose slope is found by least squares over those that are nearly as short as the shortest of all; windows
 * that saw only queues would bend it. The line is believed when its slope stands out of the scatter of its points (T
 * times its standard error) and is one that a clock can have; else the offset is a constant, that of the shortest round
 * trip. */
#include "braid/transport.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define WINDOW_NS INT64_C(1000000000)
#define CLOCK_MAX_NS (INT64_C(1) << 61) /* 73 years of uptime; sums of two stay in range */
#define GOOD_RTT 1.5                    /* times the shortest: such a window counts for the line ... */
#define GOOD_NS INT64_C(50000)          /* ... or so little longer, where round trips are short */
#define T 4.0
#define DRIFT_MAX 500e-6 /* NTP's frequency tolerance */
enum { LINE_POINTS = 8 };

void braid_clock_filter_init(struct braid_clock_filter *filter) {
  memset(filter, 0, sizeof *filter);
}

static void keep_best(struct braid_clock_filter *f, int i, int from) {
  if (f->best[from].rtt_ns == 0) return;
  if (f->best[i].rtt_ns == 0 || f->best[from].rtt_ns < f->best[i].rtt_ns) f->best[i] = f->best[from];
}

/* Two windows become one. */
static void widen(struct braid_clock_filter *f) {
  for (int i = 0; i < BRAID_CLOCK_WINDOWS / 2; i++) {
    if (i > 0) f->best[i] = f->best[2 * i];
    keep_best(f, i, 2 * i + 1);
  }
  memset(f->best + BRAID_CLOCK_WINDOWS / 2, 0, sizeof f->best / 2);
  f->window_ns *= 2;
}

void braid_clock_filter_add(struct braid_clock_filter *f, int64_t sent_ns, int64_t peer_ns, int64_t back_ns) {
  if (sent_ns <= 0 || back_ns < sent_ns || back_ns > CLOCK_MAX_NS || peer_ns < 0 || peer_ns > CLOCK_MAX_NS) return;
  if (f->exchanges == 0) {
    f->first_ns = back_ns;
    f->window_ns = WINDOW_NS;
  }
  if (back_ns < f->first_ns) return;
  f->exchanges++;
  while ((back_ns - f->first_ns) / f->window_ns >= BRAID_CLOCK_WINDOWS) widen(f);
  int64_t rtt_ns = back_ns - sent_ns > 0 ? back_ns - sent_ns : 1, at_ns = sent_ns + rtt_ns / 2;
  int i = (int)((back_ns - f->first_ns) / f->window_ns);
  if (f->best[i].rtt_ns != 0 && f->best[i].rtt_ns <= rtt_ns) return;
  f->best[i].at_ns = at_ns;
  f->best[i].offset_ns = peer_ns - at_ns;
  f->best[i].rtt_ns = rtt_ns;
}

/* --------------------------------------------------------------------------------------------------- the line */

/* Points relative to that of the shortest round trip, so that doubles hold them. */
struct points {
  int n;
  double x[BRAID_CLOCK_WINDOWS], y[BRAID_CLOCK_WINDOWS];
};

static int shortest(const struct braid_clock_filter *f) {
  int best = -1;
  for (int i = 0; i < BRAID_CLOCK_WINDOWS; i++)
    if (f->best[i].rtt_ns > 0 && (best < 0 || f->best[i].rtt_ns < f->best[best].rtt_ns)) best = i;
  return best;
}

static void take_good(const struct braid_clock_filter *f, int best, struct points *p) {
  int64_t least_ns = f->best[best].rtt_ns;
  double most_ns = fmax(GOOD_RTT * (double)least_ns, (double)(least_ns + GOOD_NS));
  p->n = 0;
  for (int i = 0; i < BRAID_CLOCK_WINDOWS; i++) {
    if (f->best[i].rtt_ns == 0 || (double)f->best[i].rtt_ns > most_ns) continue;
    p->x[p->n] = (double)(f->best[i].at_ns - f->best[best].at_ns);
    p->y[p->n++] = (double)(f->best[i].offset_ns - f->best[best].offset_ns);
  }
}

/* y = *level + *slope x by least squares; returns the slope's standard error. */
static double fit(const struct points *p, double *level, double *slope) {
  double x = 0, y = 0, xx = 0, xy = 0, rest = 0;
  for (int i = 0; i < p->n; i++) x += p->x[i] / p->n, y += p->y[i] / p->n;
  for (int i = 0; i < p->n; i++) {
    xx += (p->x[i] - x) * (p->x[i] - x);
    xy += (p->x[i] - x) * (p->y[i] - y);
  }
  *slope = xx > 0 ? xy / xx : 0;
  *level = y - *slope * x;
  for (int i = 0; i < p->n; i++) rest += pow(p->y[i] - *level - *slope * p->x[i], 2);
  return xx > 0 ? sqrt(rest / (p->n - 2) / xx) : DBL_MAX;
}

static double farthest(const struct points *p, double level, double slope) {
  double most = 0;
  for (int i = 0; i < p->n; i++) most = fmax(most, fabs(p->y[i] - level - slope * p->x[i]));
  return most;
}

bool braid_clock_filter_estimate(const struct braid_clock_filter *f, struct braid_clock_offset *out) {
  int best = shortest(f);
  if (best < 0) return false;
  *out = (struct braid_clock_offset){.at_ns = f->best[best].at_ns,
                                     .offset_ns = f->best[best].offset_ns,
                                     .uncertainty_ns = f->best[best].rtt_ns / 2 + f->best[best].rtt_ns % 2};
  struct points points;
  take_good(f, best, &points);
  if (points.n < LINE_POINTS) return true;
  double level, slope, error = fit(&points, &level, &slope);
  if (fabs(slope) > DRIFT_MAX || fabs(slope) < T * error) return true;
  out->offset_ns += llround(level);
  out->drift = slope;
  out->uncertainty_ns += llround(ceil(farthest(&points, level, slope)));
  return true;
}

int64_t braid_clock_from_peer(const struct braid_clock_offset *o, int64_t peer_ns) {
  int64_t about_ns = peer_ns - o->offset_ns;
  return about_ns - llround(o->drift * (double)(about_ns - o->at_ns));
}
