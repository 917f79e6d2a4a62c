/* SPDX-License-Identifier: Apache-2.0
 * decc's parts: orders against all orders, the search against everything it chooses from, its space against all closed
 * sets. (test_policies.c compares whole plans with brute force under the simulator.) */
#include "closed_sets.h"
#include "policies/decc.h"
#include "random_graph.h"

#include <stdio.h>
#include <string.h>

static const struct decc_limits generous = {.options = 4000, .inner = 4000, .beam = 20000};

/* ------------------------------------------------------------------------------------- nested forks and joins */

struct growing {
  struct braid_graph *g;
  uint64_t seed, at;
  int made, left;
};

static int draw(struct growing *w, int n) {
  return (int)(braid_random_u64(w->seed, w->at++) % (uint64_t)n);
}

static int add_node(struct growing *w, const int *in, int n) {
  char name[24];
  snprintf(name, sizeof name, "n%d", w->made++);
  w->left--;
  return n == 1 ? node1(w->g, name, in[0]) : node_n(w->g, name, in, n);
}

/* A chain of nodes and forks behind `at`. */
static int add_series(struct growing *w, int at, int depth) {
  for (int i = 1 + draw(w, 2); i > 0 && w->left > 0; i--) {
    int end[3], n = 2 + draw(w, 2);
    if (depth == 0 || draw(w, 2) || w->left < n + 1) {
      at = add_node(w, &at, 1);
      continue;
    }
    int short_cut = draw(w, 4) == 0 ? draw(w, n) : -1;
    for (int b = 0; b < n; b++) end[b] = b == short_cut ? at : add_series(w, at, depth - 1);
    at = add_node(w, end, n);
  }
  return at;
}

/* One input and what follows, or several views with a joint end or with ends of their own. */
static struct braid_graph *nested(uint64_t seed, int n_nodes) {
  struct growing w = {.g = new_graph("nested"), .seed = seed, .left = n_nodes};
  int end[3], views = 1 + (draw(&w, 3) == 0 ? 1 + draw(&w, 2) : 0), width = 16 + draw(&w, 400);
  bool heads = draw(&w, 4) == 0;
  for (int i = 0; i < views; i++) {
    char name[8];
    snprintf(name, sizeof name, "in%d", i);
    end[i] = add_series(&w, tensor_in(w.g, name, 2, width), 3);
  }
  if (!heads && views > 1) end[0] = add_node(&w, end, views);
  if (!heads) end[0] = add_series(&w, end[0], 1);
  for (int i = 0; i < (heads ? views : 1); i++) {
    end[i] = add_node(&w, &end[i], 1);
    must(braid_graph_add_output(w.g, end[i]));
  }
  return sealed(w.g);
}

/* ------------------------------------------------------------------------------------------------- orders */

static struct decc_net plain_net(const struct stages *st, int64_t delay_ns) {
  return (struct decc_net){.st = st, .limits = &generous, .cutoff_ns = COST_NEVER, .up_delay = delay_ns};
}

static int64_t best_of_all_orders(const struct decc_block *b, struct decc_state t, const struct decc_job *job, int n,
                                  unsigned placed) {
  if (placed == (1u << n) - 1) return decc_finish_ns(b, &t);
  int64_t best = INT64_MAX;
  for (int i = 0; i < n; i++) {
    struct decc_state next = t;
    if (placed >> i & 1) continue;
    decc_take(b, 1, &job[i], &next);
    int64_t ns = best_of_all_orders(b, next, job, n, placed | 1u << i);
    if (ns < best) best = ns;
  }
  return best;
}

/* Kinds: 0 edge and link, 1 link and cloud, 2 and 3 a link that is never the bottleneck, 4 anything. */
static struct decc_job draw_job(const struct decc_net *net, struct growing *w, int kind) {
  struct decc_sums s = {1 + draw(w, 50), 1 + draw(w, 50), 1 + draw(w, 50), 0, true, false};
  if (kind == 0) s.cloud = 0;
  if (kind == 1) s.edge = s.computed = 0;
  if (kind == 2) s.edge += 50;
  if (kind == 3) s.cloud += 50;
  struct decc_job job = decc_plain_job(net, &s);
  if (kind < 2 && draw(w, 2)) { /* overlaps, as a branch that is cut inside a fork */
    int to = kind == 0 ? DECC_UP : DECC_CLOUD, from = kind == 0 ? DECC_EDGE : DECC_UP;
    int64_t a = job.at[from][from], b = job.at[to][to], longest = a > b ? a : b, sum = job.at[to][from];
    job.at[to][from] = longest + draw(w, (int)(sum - longest) + 1);
    job.at[DECC_JOIN][from] = kind == 0 ? job.at[to][from] + net->up_delay : job.at[to][from];
  }
  return job;
}

Test(decc, johnson_and_branch_and_bound_equal_the_best_of_all_orders) {
  uint64_t seed = random_graph_seed(31);
  int johnson = 0, searched = 0;
  struct braid_block block = {.entry = 0, .exit = 1};
  struct braid_costs costs = {.edge_workers = 1, .cloud_workers = 1};
  struct braid_goal goal = {0};
  struct stages st = {.costs = &costs, .goal = &goal};
  for (uint64_t i = 0; i < 6000; i++) {
    struct growing w = {.seed = seed + i};
    struct decc_net net = plain_net(&st, draw(&w, 2) ? draw(&w, 40) : 0);
    int kind = (int)(i % 5), n = 2 + draw(&w, 5), order[DECC_BRANCHES_MAX], workers = kind == 4 ? 1 + draw(&w, 3) : 1;
    struct decc_block b = {.net = &net, .edge_before = draw(&w, 30), .cloud_after = 5};
    b.n_machines[0] = workers;
    b.n_machines[1] = workers > 1 ? 1 + draw(&w, 2) : 1;
    b.fork.block = &block;
    struct decc_job job[DECC_BRANCHES_MAX];
    for (int k = 0; k < n; k++) job[k] = draw_job(&net, &w, kind);
    struct decc_state start = decc_start(&b), t = start;
    bool rule = decc_johnson(job, n, order);
    int64_t work = 1000000, best = best_of_all_orders(&b, start, job, n, 0);
    if (kind < 4) cr_assert(rule, "case %llu: the conditions hold", (unsigned long long)i);
    if (rule && workers == 1) {
      for (int k = 0; k < n; k++) decc_take(&b, 1, &job[order[k]], &t);
      cr_assert_eq(decc_finish_ns(&b, &t), best, "case %llu, kind %d: %lld, best %lld", (unsigned long long)i, kind,
                   (long long)decc_finish_ns(&b, &t), (long long)best);
      johnson++;
    } else {
      searched++;
    }
    cr_assert_eq(decc_order(&b, &start, job, n, order, &work), best, "case %llu, kind %d", (unsigned long long)i, kind);
  }
  cr_assert_gt(johnson, 4000);
  cr_assert_gt(searched, 500);
}

/* ------------------------------------------------------------------------------------------------- search */

struct seen {
  const struct decc_block *block;
  int64_t best_ns;
  uint8_t site[SETS_NODES_MAX];
  int rank[SETS_NODES_MAX];
};

/* Every way is a closed set with a rank for every node. */
static enum braid_status see(void *ctx, const struct decc_way *way, int64_t ns) {
  struct seen *s = ctx;
  bool taken[SETS_NODES_MAX] = {false};
  int n = s->block->net->st->n;
  if (ns < s->best_ns) s->best_ns = ns;
  decc_apply(s->block, way, s->site, s->rank);
  cr_assert(is_closed_set(s->block->net->st->graph, s->site));
  for (int v = 0; v < n; v++) {
    cr_assert(s->rank[v] >= 0 && s->rank[v] < n && !taken[s->rank[v]], "no permutation");
    taken[s->rank[v]] = true;
  }
  return BRAID_OK;
}

static struct braid_goal draw_goal(const struct braid_graph *g, uint64_t i, int8_t *pinned) {
  int n = braid_graph_size(g);
  struct braid_goal goal = {.objective = i % 2 ? BRAID_THROUGHPUT : BRAID_LATENCY, .private_input = i % 3 == 0};
  size_t total = 0;
  goal.deliver = draw_deliver(i);
  for (int v = 0; v < n; v++) {
    total += braid_graph_node(g, v)->weight_bytes + braid_graph_node(g, v)->bytes;
    pinned[v] = -1;
  }
  if (i % 5 == 0) goal.edge_memory = total * (1 + braid_random_u64(i, 77) % 10) / 8;
  if (i % 7 == 0) {
    int v = (int)(braid_random_u64(i, 78) % (uint64_t)n);
    if (braid_graph_node(g, v)->op != BRAID_OP_INPUT) pinned[v] = (int8_t)(i / 7 % 2);
    goal.pinned = pinned;
  }
  return goal;
}

static void compare_blocks(const struct stages *st, enum braid_objective objective, uint64_t i, int *blocks_seen) {
  struct decc_net *net = NULL;
  int n_blocks = 0;
  must(decc_net_create(st, objective, &generous, &net));
  const struct braid_block *blocks = braid_graph_blocks(st->graph, &n_blocks);
  for (int b = 0; b < n_blocks; b++) {
    struct decc_block *block = NULL;
    enum braid_status status = decc_block_create(net, &blocks[b], &block);
    if (status == BRAID_ENOTFOUND) continue;
    must(status);
    if (decc_count(block, 3001) <= 3000) {
      struct seen all = {.block = block, .best_ns = INT64_MAX}, searched = all;
      bool exact = false;
      must(decc_enumerate(block, see, &all));
      must(decc_search(block, 1, see, &searched, &exact));
      cr_assert(exact);
      cr_assert_eq(searched.best_ns, all.best_ns, "case %llu, block %d: %lld, best %lld", (unsigned long long)i, b,
                   (long long)searched.best_ns, (long long)all.best_ns);
      cr_assert_geq(all.best_ns, decc_block_bound_ns(net, &blocks[b]));
      ++*blocks_seen;
    }
    decc_block_destroy(&block);
  }
  decc_net_destroy(&net);
}

Test(decc, the_search_finds_the_optimum_of_its_model) {
  uint64_t seed = random_graph_seed(22);
  int blocks_seen = 0;
  for (uint64_t i = 0; i < 1500; i++) {
    struct braid_graph *g = i % 4 ? nested(seed + i, 5 + (int)(i % 9))
                                  : sealed(random_graph(seed + i, 5 + (int)(i % 8), (unsigned)(i / 4 % 16)));
    struct test_costs t = random_costs(g, seed + i);
    int8_t pinned[256];
    struct braid_goal goal = draw_goal(g, i, pinned);
    struct stages *st = NULL;
    t.costs.edge_workers = i % 3 == 1 ? 2 : 1;
    t.costs.cloud_workers = i % 4 == 1 ? 3 : 1;
    if (braid_graph_size(g) <= SETS_NODES_MAX && stages_create(g, &t.costs, &goal, &st) == BRAID_OK)
      compare_blocks(st, goal.objective, i, &blocks_seen);
    stages_destroy(&st);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(blocks_seen, 900, "%d", blocks_seen);
}

/* ------------------------------------------------------------------------------------------- the whole space */

struct sets {
  const struct stages *st;
  int64_t least_ns;
};

static void see_set(void *ctx, const uint8_t *site) {
  struct sets *s = ctx;
  struct stage_sums sums;
  stages_sum(s->st, site, &sums);
  int64_t ns = stages_period_ns(s->st, &sums);
  if (ns < s->least_ns) s->least_ns = ns;
}

/* In a network of forks and joins every closed set cuts one block at each level, and so is a way: the smallest period
 * of all closed sets is found. Single cuts between blocks are the empty and the full prefixes of their neighbours, but
 * for those of plain chains. */
static int64_t least_period(const struct stages *st) {
  struct decc_net *net = NULL;
  int n_blocks = 0;
  struct sets prefixes = {st, COST_NEVER};
  uint8_t site[SETS_NODES_MAX];
  for (int end = 0; end <= st->n; end++) {
    for (int v = 0; v < st->n; v++)
      site[v] = v < end || braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
    see_set(&prefixes, site);
  }
  int64_t least = prefixes.least_ns;
  must(decc_net_create(st, BRAID_THROUGHPUT, &generous, &net));
  const struct braid_block *blocks = braid_graph_blocks(st->graph, &n_blocks);
  for (int b = 0; b < n_blocks; b++) {
    struct decc_block *block = NULL;
    if (decc_block_create(net, &blocks[b], &block) != BRAID_OK) continue;
    struct seen best = {.block = block, .best_ns = INT64_MAX};
    must(decc_search(block, 1, see, &best, NULL));
    if (best.best_ns < least) least = best.best_ns;
    decc_block_destroy(&block);
  }
  decc_net_destroy(&net);
  return least;
}

Test(decc, the_smallest_period_of_all_closed_sets_is_found) {
  uint64_t seed = random_graph_seed(23);
  int compared = 0;
  for (uint64_t i = 0; i < 1500; i++) {
    struct braid_graph *g = nested(seed + i, 4 + (int)(i % 9));
    struct test_costs t = random_costs(g, seed + i);
    int8_t pinned[256];
    struct braid_goal goal = draw_goal(g, i, pinned);
    struct stages *st = NULL;
    goal.objective = BRAID_THROUGHPUT;
    t.costs.cloud_workers = i % 4 == 1 ? 3 : 1;
    if (count_free(g) <= 12 && stages_create(g, &t.costs, &goal, &st) == BRAID_OK) {
      struct sets sets = {st, COST_NEVER};
      each_closed_set(g, see_set, &sets);
      cr_assert_eq(least_period(st), sets.least_ns, "case %llu: %lld, best %lld", (unsigned long long)i,
                   (long long)least_period(st), (long long)sets.least_ns);
      compared++;
    }
    stages_destroy(&st);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(compared, 1000, "%d", compared);
}

/* -------------------------------------------------------------------------------------------------- chains */

Test(decc, a_chain_is_cut_where_it_pipelines_best) {
  uint64_t seed = random_graph_seed(24);
  for (uint64_t i = 0; i < 300; i++) {
    struct growing w = {.g = new_graph("chain"), .seed = seed + i};
    int at = tensor_in(w.g, "in", 8, 16 + draw(&w, 400));
    for (int k = 2 + draw(&w, 6); k > 0; k--) at = add_node(&w, &at, 1);
    must(braid_graph_add_output(w.g, at));
    struct braid_graph *g = sealed(w.g);
    struct test_costs t = random_costs(g, seed + i);
    struct braid_goal goal = {.slices = 1 + (int)(i % 4), .deliver = draw_deliver(seed + i)};
    struct braid_plan *plan = NULL, *cut = NULL;
    int64_t best = INT64_MAX;
    must(braid_decide(braid_policy_find("decc"), g, &t.costs, &goal, &plan));
    must(braid_plan_create(g, "cut", &cut));
    plan_set_slices(cut, g, goal.slices);
    cut->deliver = goal.deliver;
    for (int end = 1; end <= cut->n_nodes; end++) {
      for (int v = 0; v < cut->n_nodes; v++) cut->site[v] = v < end ? BRAID_EDGE : BRAID_CLOUD;
      struct braid_sim_result r;
      must(braid_simulate(cut, g, &t.costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, &r));
      if (r.first_latency_ns < best) best = r.first_latency_ns;
    }
    cr_assert_leq(plan->forecast.latency_ns, best, "case %llu", (unsigned long long)i);
    braid_plan_destroy(&cut);
    braid_plan_destroy(&plan);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}
