/* SPDX-License-Identifier: Apache-2.0
 * exact, the oracle of the other tests, against an oracle of its own: every closed set that the goal allows, pipelined
 * and serial, through the naive simulator. Nothing of the scheduler but the policy takes part. */
#include "naive_sim.h"
#include "worlds.h"

struct brute {
  const struct world *w;
  struct braid_plan *plan;
  int64_t latency_ns, period_ns; /* INT64_MAX: no set is allowed */
};

static struct naive_result one_frame(const struct world *w, const struct braid_plan *plan) {
  struct naive_result r;
  cr_assert(naive_simulate(plan, w->graph, &w->t.costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, &r));
  naive_free(&r);
  return r;
}

/* max(E, U, C, D), the work of a site shared by its workers. */
static int64_t busiest(const struct world *w, const struct braid_sim_result *r) {
  int64_t most = r->busy_ns[BRAID_RES_EDGE] / w->t.costs.edge_workers;
  int64_t cloud = r->busy_ns[BRAID_RES_CLOUD] / w->t.costs.cloud_workers;
  if (cloud > most) most = cloud;
  if (r->busy_ns[BRAID_RES_UP] > most) most = r->busy_ns[BRAID_RES_UP];
  return r->busy_ns[BRAID_RES_DOWN] > most ? r->busy_ns[BRAID_RES_DOWN] : most;
}

static void try_set(void *ctx, const uint8_t *site) {
  struct brute *b = ctx;
  if (broken(b->w, site)) return;
  memcpy(b->plan->site, site, (size_t)b->plan->n_nodes);
  for (int serial = 0; serial < 2; serial++) {
    b->plan->serial = serial;
    struct naive_result r = one_frame(b->w, b->plan);
    if (r.sum.first_latency_ns < b->latency_ns) b->latency_ns = r.sum.first_latency_ns;
    if (busiest(b->w, &r.sum) < b->period_ns) b->period_ns = busiest(b->w, &r.sum);
  }
}

static struct brute search_all(const struct world *w) {
  struct brute b = {w, NULL, INT64_MAX, INT64_MAX};
  must(braid_plan_create(w->graph, "brute", &b.plan));
  b.plan->deliver = w->goal.deliver;
  for (int v = 0; v < b.plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(w->graph, v);
    bool whole = node->op == BRAID_OP_INPUT || w->goal.slices <= 1;
    b.plan->slices[v] = whole ? 1 : node->slices_max < w->goal.slices ? node->slices_max : w->goal.slices;
  }
  each_closed_set(w->graph, try_set, &b);
  braid_plan_destroy(&b.plan);
  return b;
}

/* Throughput: the smallest of all. Latency: no larger than any set's by id, and what the plan really takes. */
static void compare(const struct world *w, uint64_t seed, int *better) {
  struct brute brute = search_all(w);
  struct braid_plan *plan = NULL;
  enum braid_status status = braid_decide(braid_policy_find("exact"), w->graph, &w->t.costs, &w->goal, &plan);
  if (status == BRAID_EUNSUPPORTED) return;
  cr_assert(status == BRAID_OK || status == BRAID_ENOTFOUND, "seed %llu: %s", (unsigned long long)seed, braid_error());
  cr_assert_eq(status == BRAID_OK, brute.latency_ns < INT64_MAX, "seed %llu", (unsigned long long)seed);
  if (status != BRAID_OK) return;
  struct naive_result r = one_frame(w, plan);
  if (w->goal.objective == BRAID_THROUGHPUT) {
    cr_assert_eq(busiest(w, &r.sum), brute.period_ns, "seed %llu: %lld, best %lld", (unsigned long long)seed,
                 (long long)busiest(w, &r.sum), (long long)brute.period_ns);
  } else {
    cr_assert_eq(r.sum.first_latency_ns, plan->forecast.latency_ns, "seed %llu", (unsigned long long)seed);
    cr_assert_leq(r.sum.first_latency_ns, brute.latency_ns, "seed %llu: %lld, best %lld", (unsigned long long)seed,
                  (long long)r.sum.first_latency_ns, (long long)brute.latency_ns);
    *better += r.sum.first_latency_ns < brute.latency_ns; /* by another order */
  }
  braid_plan_destroy(&plan);
}

Test(exact, is_the_best_of_all_closed_sets_by_the_naive_simulator) {
  uint64_t seed = random_graph_seed(60000);
  int compared = 0, better = 0;
  for (uint64_t i = 0; i < 6000; i++) {
    struct world w;
    make_world(&w, seed + i, 6);
    w.goal.latency_max_ns = 0;
    if (count_free(w.graph) <= 8) {
      compare(&w, seed + i, &better);
      compared++;
    }
    free_world(&w);
  }
  cr_assert_gt(compared, 3000);
  cr_assert_gt(better, 0);
}
