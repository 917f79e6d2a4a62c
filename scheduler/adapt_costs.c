/* SPDX-License-Identifier: Apache-2.0
 * Filters. Mobile links fall within a fraction of a second and recover over seconds, and the losses are not alike: a
 * frame sent into a hole waits for its end, a frame kept on the edge for too long is a little slower than it could be.
 * So a sample worse than the estimate replaces it, and a better one moves it by the share 1 - exp(-dt / tau). Under
 * noise the estimate is the lower envelope: a plan that is better even so. A tau of 0.5 s for rates: over measured LTE
 * and 5G traces ('braid bench pipeline') 1 s recovers too late, and with 0.25 s noise makes plans flap. Times of tasks
 * are noisy without meaning: they are smoothed both ways. */
#include "adapt_costs.h"

#include <math.h>
#include <string.h>

static const struct {
  double least, most;
  double worse_s, better_s; /* time constants; 0: at once */
  bool small_is_worse;
  int per_octave; /* of the buckets */
} kind[ESTIMATES] = {
    [EST_UP] = {1e3, 1e12, 0, 0.5, true, 4},          [EST_DOWN] = {1e3, 1e12, 0, 0.5, true, 2},
    [EST_RTT] = {1e3, 60e9, 0.5, 1, false, 2},        [EST_EDGE] = {1.0 / 16, 256, 1, 2, false, 2},
    [EST_LOAD] = {1.0 / 16, 1024, 0.25, 1, false, 2},
};

/* ----------------------------------------------------------------------------------------------- creation */

static int64_t *copy_times(const int64_t *from, size_t n, bool *failed) {
  int64_t *to = from ? braid_calloc(n, sizeof *to) : NULL;
  if (to) memcpy(to, from, n * sizeof *to);
  *failed |= from && !to;
  return to;
}

static enum braid_status copy_costs(struct world *w, const struct braid_costs *costs) {
  size_t n = (size_t)costs->n_nodes;
  bool failed = false;
  w->base_ns[BRAID_EDGE] = copy_times(costs->edge_ns, n, &failed);
  w->base_ns[BRAID_CLOUD] = copy_times(costs->cloud_ns, n, &failed);
  w->slice_ns[BRAID_EDGE] = copy_times(costs->edge_slice_ns, n, &failed);
  w->slice_ns[BRAID_CLOUD] = copy_times(costs->cloud_slice_ns, n, &failed);
  w->edge_ns = copy_times(costs->edge_ns, n, &failed);
  w->edge_slice_ns = copy_times(costs->edge_slice_ns, n, &failed);
  w->wire_bytes = costs->wire_bytes ? braid_calloc(n, sizeof *w->wire_bytes) : NULL;
  if (w->wire_bytes) memcpy(w->wire_bytes, costs->wire_bytes, n * sizeof *w->wire_bytes);
  if (failed || (costs->wire_bytes && !w->wire_bytes)) return braid_fail(BRAID_ENOMEM, "adaptation: %zu nodes", n);
  w->base = *costs;
  w->base.cloud_ns = w->base_ns[BRAID_CLOUD];
  w->base.cloud_slice_ns = w->slice_ns[BRAID_CLOUD];
  w->base.wire_bytes = w->wire_bytes;
  return BRAID_OK;
}

/* costs_check adds up the time of every tensor both ways; they may take a quarter of what it believes. */
static double least_rate(const struct braid_costs *costs, const struct braid_graph *graph) {
  double bytes = 0;
  for (int v = 0; v < costs->n_nodes; v++) bytes += (double)cost_tensor_bytes(costs, graph, v);
  return fmax(kind[EST_UP].least, 2 * 8e9 * bytes / ((double)COST_FRAME_NS_MAX / 4));
}

static double clamp(const struct world *w, int which, double x) {
  double least = which <= EST_DOWN ? w->least_rate : kind[which].least;
  return fmin(fmax(x, least), kind[which].most);
}

enum braid_status world_open(struct world *w, const struct braid_graph *graph, const struct braid_costs *costs) {
  *w = (struct world){.graph = graph};
  BRAID_TRY(costs_check(costs, graph));
  BRAID_TRY(copy_costs(w, costs));
  w->least_rate = least_rate(costs, graph);
  const double first[ESTIMATES] = {
      [EST_UP] = costs->up.bits_per_s,
      [EST_DOWN] = costs->down.bits_per_s,
      [EST_RTT] = (double)(costs->up.delay_ns + costs->down.delay_ns),
      [EST_EDGE] = 1,
      [EST_LOAD] = costs->cloud_load > 0 ? costs->cloud_load : 1,
  };
  for (int i = 0; i < ESTIMATES; i++) w->estimate[i] = (struct estimate){clamp(w, i, first[i]), INT64_MIN};
  return BRAID_OK;
}

void world_close(struct world *w) {
  for (int i = 0; i < 2; i++) {
    braid_free(w->base_ns[i]);
    braid_free(w->slice_ns[i]);
  }
  braid_free(w->edge_ns);
  braid_free(w->edge_slice_ns);
  braid_free(w->wire_bytes);
  *w = (struct world){0};
}

/* ------------------------------------------------------------------------------------------------ filters */

static void feed(const struct world *w, struct estimate *e, int which, int64_t now_ns, double sample) {
  double x = clamp(w, which, sample);
  bool worse = kind[which].small_is_worse ? x < e->value : x > e->value;
  double tau_s = worse ? kind[which].worse_s : kind[which].better_s;
  double dt_s = e->at_ns == INT64_MIN ? (double)INFINITY : fmax(0, ((double)now_ns - (double)e->at_ns) / 1e9);
  e->value += (x - e->value) * (tau_s > 0 ? 1 - exp(-dt_s / tau_s) : 1);
  if (e->at_ns < now_ns) e->at_ns = now_ns;
}

enum braid_status world_observe(struct world *w, int64_t now_ns, const struct braid_observation *seen) {
  static const char *const name[ESTIMATES] = {"uplink rate", "downlink rate", "round trip", "edge stretch",
                                              "cloud load"};
  const double sample[ESTIMATES] = {seen->up_bits_per_s, seen->down_bits_per_s, seen->rtt_ns, seen->edge_stretch,
                                    seen->cloud_load};
  for (int i = 0; i < ESTIMATES; i++)
    if (!(sample[i] >= 0 && isfinite(sample[i])))
      return braid_fail(BRAID_EINVAL, "an observed %s of %g is no measurement: above 0, or 0 if not known", name[i],
                        sample[i]);
  for (int i = 0; i < ESTIMATES; i++)
    if (sample[i] > 0) feed(w, &w->estimate[i], i, now_ns, sample[i]);
  return BRAID_OK;
}

/* -------------------------------------------------------------------------------------------------- costs */

struct bucket world_bucket(const struct world *w) {
  struct bucket b = {{0}};
  for (int i = 0; i < ESTIMATES; i++)
    b.step[i] = (int8_t)lround(log2(w->estimate[i].value / kind[i].least) * kind[i].per_octave - 64);
  return b;
}

static int64_t scaled(int64_t ns, double by) {
  double x = round((double)ns * by);
  return x < (double)COST_NODE_NS_MAX ? (int64_t)x : COST_NODE_NS_MAX;
}

static struct braid_costs costs_of(struct world *w, const double value[ESTIMATES]) {
  struct braid_costs c = w->base;
  for (int v = 0; v < c.n_nodes; v++) {
    w->edge_ns[v] = scaled(w->base_ns[BRAID_EDGE][v], value[EST_EDGE]);
    if (w->edge_slice_ns) w->edge_slice_ns[v] = scaled(w->slice_ns[BRAID_EDGE][v], value[EST_EDGE]);
  }
  double base_rtt = (double)(c.up.delay_ns + c.down.delay_ns);
  double up_share = base_rtt > 0 ? (double)c.up.delay_ns / base_rtt : 0.5;
  c.edge_ns = w->edge_ns;
  c.edge_slice_ns = w->edge_slice_ns;
  c.up.bits_per_s = value[EST_UP];
  c.down.bits_per_s = value[EST_DOWN];
  c.up.delay_ns = llround(value[EST_RTT] * up_share);
  c.down.delay_ns = llround(value[EST_RTT] * (1 - up_share));
  c.cloud_load = value[EST_LOAD];
  return c;
}

struct braid_costs world_costs(struct world *w) {
  double value[ESTIMATES];
  for (int i = 0; i < ESTIMATES; i++) value[i] = w->estimate[i].value;
  return costs_of(w, value);
}

struct braid_costs world_bucket_costs(struct world *w, struct bucket b) {
  double value[ESTIMATES];
  for (int i = 0; i < ESTIMATES; i++)
    value[i] = clamp(w, i, kind[i].least * exp2((b.step[i] + 64) / (double)kind[i].per_octave));
  return costs_of(w, value);
}
