/* SPDX-License-Identifier: Apache-2.0
 * Plans change under load, a thousand times: no frame is lost or answered twice, each is what one machine answers, bit
 * for bit, and both sides have their memory back. */
#include <stdatomic.h>
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"

enum { PLANS = 7, CHANGES = 1000, SAMPLES = 3, WINDOW = 4 };

struct scene {
  struct braid_graph *graph;
  struct rig_sample *sample[SAMPLES];
  struct braid_plan *plan[PLANS];
  struct braid_edge *edge;
  atomic_bool done;
};

/* Frames go on and on until the plans have changed often enough. */
static void *run_frames(void *arg) {
  struct scene *s = arg;
  struct rig_flow flow = {.edge = s->edge, .sample = s->sample, .n_samples = SAMPLES, .window = WINDOW};
  while (!atomic_load(&s->done)) rig_flow_step(&flow);
  rig_flow_end(&flow);
  return NULL;
}

/* Some plans come back while they are warm, others when they have been retired. */
static void change_plans(struct scene *s, uint64_t seed, int changes) {
  int now = 0;
  for (int i = 0; i < changes; i++) {
    int next = (now + 1 + (int)(braid_random_u64(seed, (uint64_t)i) % (PLANS - 1))) % PLANS;
    MUST(braid_edge_replan(s->edge, s->plan[next]));
    struct braid_plan *plan;
    MUST(braid_edge_plan_now(s->edge, &plan));
    CHECK(memcmp(plan->site, s->plan[next]->site, (size_t)plan->n_nodes) == 0, "another plan is in force");
    braid_plan_destroy(&plan);
    now = next;
  }
}

static void start_scene(struct scene *s, struct rig_cloud *cloud, uint64_t seed) {
  for (uint64_t i = 0; i < SAMPLES; i++) s->sample[i] = rig_sample(s->graph, seed * 31 + i);
  for (uint64_t i = 0; i < PLANS; i++) s->plan[i] = rig_plan(s->graph, seed * 7919 + i, i % 3 == 1);
  struct braid_edge_opts opts = rig_edge_opts(cloud, s->plan[0], WINDOW);
  MUST(braid_edge_start(s->graph, &opts, &s->edge));
}

static void end_scene(struct scene *s) {
  struct braid_edge_stats stats;
  braid_edge_stats(s->edge, &stats);
  printf("    %llu frames, %llu plans taken\n", (unsigned long long)stats.frames, (unsigned long long)stats.replans);
  CHECK(stats.answered == stats.frames && stats.lost == 0 && stats.duplicates == 0,
        "frames %llu answered %llu lost %llu", (unsigned long long)stats.frames, (unsigned long long)stats.answered,
        (unsigned long long)stats.lost);
  braid_edge_stop(&s->edge);
  for (int i = 0; i < PLANS; i++) braid_plan_destroy(&s->plan[i]);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(s->sample[i]);
  braid_graph_destroy(&s->graph);
}

static void thousand_changes(uint64_t seed) {
  char name[96];
  snprintf(name, sizeof name, "%d changes of plan under load, BRAID_SEED=%llu", CHANGES, (unsigned long long)seed);
  rig_case(name, 240);
  struct scene s = {.graph = rig_graph(seed + 40, 14, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_SERIES_PARALLEL)};
  struct rig_cloud *cloud = rig_cloud_start("inproc", s.graph, NULL);
  start_scene(&s, cloud, seed);
  pthread_t frames;
  pthread_create(&frames, NULL, run_frames, &s);
  change_plans(&s, seed, CHANGES);
  atomic_store(&s.done, true);
  pthread_join(frames, NULL);
  end_scene(&s);
  rig_cloud_stop(cloud);
}

static int64_t now_ns(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return braid_now_ns(&clock);
}

/* A frame that enters after a change is held up by nothing but the frames before it. Counted, not timed: a period is the
 * time from one answer to the next, and of those under way when a plan comes into force there are as many as the window
 * holds; the answer after them is one of the new plan. What the gaps between answers were is printed. */
static void changes_hold_nothing_up(uint64_t seed) {
  rig_case("a change of plan takes effect within the window", 120);
  struct scene s = {.graph = rig_graph(seed + 40, 14, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_SERIES_PARALLEL)};
  struct rig_cloud *cloud = rig_cloud_start("inproc", s.graph, NULL);
  start_scene(&s, cloud, seed);
  struct rig_flow flow = {.edge = s.edge, .sample = s.sample, .n_samples = SAMPLES, .window = WINDOW};
  int64_t last_ns = 0, gap_ns = 0;
  for (int i = 0; i < CHANGES; i++) {
    while (flow.submitted - flow.answered < WINDOW) rig_flow_step(&flow);
    rig_flow_take(&flow); /* an epoch to compare with */
    uint32_t before = flow.last_epoch;
    MUST(braid_edge_replan(s.edge, s.plan[(i + 1) % PLANS]));
    int old = 0;
    for (uint64_t seen = flow.answered; old <= WINDOW; seen = flow.answered) {
      rig_flow_step(&flow);
      if (flow.answered == seen) continue;
      int64_t now = now_ns();
      if (last_ns > 0 && now - last_ns > gap_ns) gap_ns = now - last_ns;
      last_ns = now;
      if (flow.last_epoch != before) break;
      old++;
    }
    CHECK(old <= WINDOW, "change %d: more than %d answers later frames still have the old plan", i, WINDOW);
  }
  rig_flow_end(&flow);
  printf("    longest time from an answer to the next: %.2f ms\n", (double)gap_ns / 1e6);
  end_scene(&s);
  rig_cloud_stop(cloud);
}

/* A cloud that has room for few plans only never runs out of it: what is retired is freed there too. */
static void memory_comes_back(uint64_t seed) {
  rig_case("the memory of retired plans comes back", 60);
  struct scene s = {.graph = rig_graph(seed + 40, 14, RANDOM_GRAPH_WEIGHTS)};
  struct rig_cloud *cloud = rig_cloud_start("inproc", s.graph, NULL);
  start_scene(&s, cloud, seed);
  for (int i = 1; i < PLANS; i++) MUST(braid_edge_replan(s.edge, s.plan[i]));
  rig_cloud_await(cloud, "retired", "plan 1");
  rig_cloud_await(cloud, "retired", "plan 2");
  atomic_store(&s.done, true);
  end_scene(&s);
  rig_cloud_stop(cloud);
}

static void refused_plans(uint64_t seed) {
  rig_case("a plan that does not fit the network is refused, and frames go on", 60);
  struct scene s = {.graph = rig_graph(seed + 40, 14, RANDOM_GRAPH_WEIGHTS)};
  struct rig_cloud *cloud = rig_cloud_start("inproc", s.graph, NULL);
  start_scene(&s, cloud, seed);
  s.plan[1]->rank[0] = s.plan[1]->rank[1];
  CHECK(braid_edge_replan(s.edge, s.plan[1]) == BRAID_EINVAL, "a plan with a rank twice");
  CHECK(braid_edge_replan(s.edge, NULL) == BRAID_OK, "%s", braid_error());
  rig_run_frames(s.edge, s.sample, SAMPLES, 6, WINDOW);
  end_scene(&s);
  rig_cloud_stop(cloud);
}

int main(void) {
  uint64_t seed = random_graph_seed(1);
  memory_comes_back(seed);
  refused_plans(seed);
  changes_hold_nothing_up(seed);
  thousand_changes(seed);
  rig_done();
  return 0;
}
