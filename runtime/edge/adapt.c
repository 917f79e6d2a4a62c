/* SPDX-License-Identifier: Apache-2.0
 * The planner adapts: what was seen goes into scheduler/adapt.c, which says what plan is to run. If that is not the one
 * in force, it is put in force: at once where it has been agreed on before, or sends nothing; else it is proposed, and
 * frames go on as before until the cloud has it. Nobody waits for that here: a proposal may be stuck on the very link
 * that has just broken down, while another plan, that needs no link, is the way out. A proposal that is not wanted any
 * more when the cloud agrees is kept warm. */
#include <inttypes.h>
#include <stdio.h>

#include "edge/edge.h"

#define DECIDE_EVERY_NS INT64_C(50000000)
#define LEAST_PROFILE_NS INT64_C(2000000) /* less work than this says nothing about this machine */

enum braid_status edge_adapt_begin(struct braid_edge *edge, const struct braid_costs *costs,
                                   const struct braid_policy *policy, struct braid_plan **plan) {
  edge_adapt_end(edge);
  BRAID_TRY(braid_adapt_create(edge->graph, costs, &edge->opts.goal, policy, &edge->adapt));
  braid_adapt_bridges(edge->adapt, edge_may_rescue(edge, braid_adapt_plan(edge->adapt)));
  braid_adapt_stats(edge->adapt, &edge->adapted);
  pthread_mutex_lock(&edge->mutex);
  edge->seen = (struct seen){.news = false};
  pthread_mutex_unlock(&edge->mutex);
  return braid_plan_copy(braid_adapt_plan(edge->adapt), plan);
}

void edge_adapt_end(struct braid_edge *edge) {
  braid_adapt_destroy(&edge->adapt);
}

static bool is_agreed(const struct route *route) {
  return route && route->line->planned >= route->last_epoch;
}

int64_t edge_adapt_due_ns(const struct braid_edge *edge) {
  if (is_agreed(edge->proposed)) return INT64_MIN;
  return edge->adapt && edge->seen.news ? edge->adapt_ns : INT64_MAX;
}

/* --------------------------------------------------------------------------------------------------- observing */

/* This machine's tasks against its profile, since the last look; 0 while there were too few. */
static double edge_stretch(struct braid_edge *edge) {
  int64_t run_ns = 0, profile_ns = 0;
  for (const struct route *r = edge->known; r; r = r->next_known)
    for (int i = 0; i < r->n_parts; i++) {
      struct braid_program_times times = {.node_ns = NULL};
      if (!r->part[i].stream || !r->part[i].stream->program) continue;
      braid_program_times(r->part[i].stream->program, &times);
      run_ns += times.run_ns;
      profile_ns += times.profile_ns;
    }
  int64_t ran_ns = run_ns - edge->worked.run_ns, due_ns = profile_ns - edge->worked.profile_ns;
  if (due_ns >= 0 && due_ns < LEAST_PROFILE_NS) return 0;
  edge->worked.run_ns = run_ns;
  edge->worked.profile_ns = profile_ns;
  return due_ns > 0 && ran_ns > 0 ? (double)ran_ns / (double)due_ns : 0; /* less than 0: a plan was freed */
}

static enum braid_status observe(struct braid_edge *edge, int64_t now_ns) {
  pthread_mutex_lock(&edge->mutex);
  struct seen seen = edge->seen;
  edge->seen = (struct seen){.news = false};
  pthread_mutex_unlock(&edge->mutex);
  struct braid_observation worst = {.up_bits_per_s = seen.up_worst, .down_bits_per_s = seen.down_worst};
  seen.now.edge_stretch = edge_stretch(edge);
  BRAID_TRY(braid_adapt_observe(edge->adapt, now_ns, &worst));
  return braid_adapt_observe(edge->adapt, now_ns, &seen.now);
}

/* ---------------------------------------------------------------------------------------------------- switching */

static int add_reason(char *text, int size, int used, const char *what, const char *unit, double now, double before) {
  if (now > before * 0.8 && now < before * 1.25) return used;
  int n = snprintf(text + used, (size_t)(size - used), "; %s %.3g%s (was %.3g)", what, now, unit, before);
  return n > 0 && n < size - used ? used + n : used;
}

static void log_switch(struct braid_edge *edge, const struct braid_plan *plan) {
  char text[256] = "";
  int used = 0, size = (int)sizeof text, here = 0;
  struct braid_adapt_stats was = edge->adapted, *is = &edge->adapted;
  braid_adapt_stats(edge->adapt, is);
  used = add_reason(text, size, used, "uplink", " Mbit/s", is->up_bits_per_s / 1e6, was.up_bits_per_s / 1e6);
  used = add_reason(text, size, used, "downlink", " Mbit/s", is->down_bits_per_s / 1e6, was.down_bits_per_s / 1e6);
  used = add_reason(text, size, used, "round trip", " ms", is->rtt_ns / 1e6, was.rtt_ns / 1e6);
  used = add_reason(text, size, used, "edge's times x", "", is->edge_stretch, was.edge_stretch);
  used = add_reason(text, size, used, "cloud's times x", "", is->cloud_load, was.cloud_load);
  for (int i = 0; i < plan->n_nodes; i++) here += plan->site[i] == BRAID_EDGE;
  struct braid_log_field field[] = {{"policy", plan->policy, 0},
                                    {"nodes_here", NULL, here},
                                    {"nodes", NULL, plan->n_nodes},
                                    {"expected_ns", NULL, plan->forecast.latency_ns}};
  braid_log_event(BRAID_LOG_INFO, "plan", field, 4, "another plan: %d of %d nodes here, %.1f ms expected%s", here,
                  plan->n_nodes, (double)plan->forecast.latency_ns / 1e6, text);
}

static void put_in_force(struct braid_edge *edge, struct route *route) {
  log_switch(edge, route->plan);
  pthread_mutex_lock(&edge->mutex);
  edge->stats.replans++;
  pthread_mutex_unlock(&edge->mutex);
  edge_route_switch(edge, route);
}

static bool is_in_force(struct braid_edge *edge, const struct route *route) {
  pthread_mutex_lock(&edge->mutex);
  bool is = route && edge->current == route;
  pthread_mutex_unlock(&edge->mutex);
  return is;
}

/* The proposal, when the cloud has it now: another can be made. */
static struct route *take_agreed(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  struct route *route = is_agreed(edge->proposed) ? edge->proposed : NULL;
  pthread_mutex_unlock(&edge->mutex);
  if (!route) return NULL;
  route->agreed = true;
  edge->proposed = NULL;
  return route;
}

/* *route: a new one that is agreed on already, since it needs no cloud; else NULL. */
static enum braid_status propose(struct braid_edge *edge, const struct braid_plan *wanted, struct route **route) {
  struct braid_plan *plan = NULL;
  BRAID_TRY(braid_plan_copy(wanted, &plan));
  BRAID_TRY(edge_route_propose(edge, edge->planner_line, plan, route));
  if ((*route)->agreed) return BRAID_OK;
  edge->proposed = *route;
  *route = NULL;
  return BRAID_OK;
}

static enum braid_status pursue(struct braid_edge *edge, const struct braid_plan *wanted) {
  struct route *new = take_agreed(edge), *route = edge_route_find(edge, edge->planner_line, wanted);
  enum braid_status status = BRAID_OK;
  if (!route && (!edge->proposed || edge_plan_is_local(wanted))) status = propose(edge, wanted, &route);
  if (status == BRAID_OK && route && !is_in_force(edge, route)) put_in_force(edge, route);
  if (new && new != route) edge_route_keep(edge, new); /* last: what it pushes out must not be what was just found */
  return status;
}

static enum braid_status decide(struct braid_edge *edge) {
  int64_t now_ns = io_now_ns();
  const struct braid_plan *wanted;
  bool changed;
  edge->adapt_ns = now_ns + DECIDE_EVERY_NS;
  BRAID_TRY(observe(edge, now_ns));
  BRAID_TRY(braid_adapt_decide(edge->adapt, now_ns, &wanted, &changed));
  return pursue(edge, wanted);
}

void edge_adapt(struct braid_edge *edge) {
  if (!edge->adapt) { /* a plan was given meanwhile */
    struct route *route = take_agreed(edge);
    if (route) edge_route_keep(edge, route);
    return;
  }
  if (decide(edge) == BRAID_OK) return;
  char why[EDGE_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  if (edge_line_state(edge, edge->planner_line) != BRAID_OK) return;
  braid_log(BRAID_LOG_WARN, "the plan stays as it is from now on: %s", why);
  edge_adapt_end(edge);
}
