/* SPDX-License-Identifier: Apache-2.0
 * What edges share: clouds that drain and clouds to choose from, places, memory, rates, and the workers' time. */
#include <stdatomic.h>
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"

enum { WINDOW = 3 };

static struct braid_graph *graph;
static struct braid_plan *plan; /* all in the cloud */
static struct rig_sample *sample;

static int64_t now_ns(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return braid_now_ns(&clock);
}

static struct braid_cloud_stats stats_of(const struct rig_cloud *cloud) {
  struct braid_cloud_stats stats;
  braid_cloud_stats(cloud->cloud, &stats);
  return stats;
}

static void start_flow(struct rig_flow *flow, const char *connect, enum braid_fallback fallback, int window) {
  struct braid_edge_opts opts = {.connect = connect,
                                 .model = "net",
                                 .threads = 1,
                                 .plan = plan,
                                 .window = window,
                                 .heartbeat_ns = INT64_C(10000000000),
                                 .fallback = fallback};
  *flow = (struct rig_flow){.sample = &sample, .n_samples = 1, .window = window};
  MUST(braid_edge_start(graph, &opts, &flow->edge));
}

static void refused(const char *address, const char *why) {
  struct braid_edge_opts opts = {
      .connect = address, .model = "net", .threads = 1, .plan = plan, .window = 1, .fallback = BRAID_FALLBACK_OFF};
  struct braid_edge *edge;
  CHECK(braid_edge_start(graph, &opts, &edge) == BRAID_ECLOSED, "an edge too many was let in");
  CHECK(strstr(braid_error(), why), "%s", braid_error());
}

/* ------------------------------------------------------------------------------------------------- draining */

static void end_flow(struct rig_flow *flow) {
  rig_flow_end(flow);
  braid_edge_stop(&flow->edge);
}

static void until_empty(struct rig_flow *flow, const struct rig_cloud *cloud) {
  while (!stats_of(cloud).draining || stats_of(cloud).sessions > 0) rig_flow_step(flow);
}

static void drains_to_another(const char *scheme) {
  rig_case("a cloud that drains: frames go to another", 60);
  struct rig_cloud *a = rig_cloud_start(scheme, graph, NULL), *b = rig_cloud_start(scheme, graph, NULL);
  char both[300];
  snprintf(both, sizeof both, "%s,%s", a->address, b->address);
  struct rig_flow flow;
  start_flow(&flow, both, BRAID_FALLBACK_AUTO, WINDOW);
  for (int i = 0; i < 10; i++) rig_flow_step(&flow);
  struct rig_cloud *from = stats_of(a).sessions > 0 ? a : b, *to = from == a ? b : a;
  braid_cloud_drain(from->cloud);
  until_empty(&flow, from);
  while (flow.last_epoch == 0 || stats_of(to).sessions == 0) rig_flow_step(&flow);
  refused(from->address, "about to stop");
  end_flow(&flow);
  rig_cloud_stop(a);
  rig_cloud_stop(b);
}

static void drains_to_the_edge(const char *scheme) {
  rig_case("the only cloud drains: frames go on alone", 60);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct rig_flow flow;
  start_flow(&flow, cloud->address, BRAID_FALLBACK_AUTO, WINDOW);
  for (int i = 0; i < 10; i++) rig_flow_step(&flow);
  braid_cloud_drain(cloud->cloud);
  until_empty(&flow, cloud);
  for (int i = 0; i < 10; i++) rig_flow_step(&flow);
  CHECK(flow.last_epoch == 0, "a frame went to a cloud that has left");
  end_flow(&flow);
  rig_cloud_stop(cloud);
}

/* An edge that cannot do without is served to the end. */
static void drains_but_serves(const char *scheme) {
  rig_case("a cloud that drains serves edges that have nowhere to go", 60);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct rig_flow flow;
  start_flow(&flow, cloud->address, BRAID_FALLBACK_OFF, WINDOW);
  braid_cloud_drain(cloud->cloud);
  rig_cloud_await(cloud, "draining", "1 session");
  for (int i = 0; i < 20; i++) rig_flow_step(&flow);
  end_flow(&flow);
  rig_cloud_stop(cloud);
}

/* ------------------------------------------------------------------------------------------------- choosing */

static void least_loaded(const char *scheme) {
  enum { GUESTS = 3 };
  rig_case("of two clouds the one with fewer sessions", 60);
  struct rig_cloud *a = rig_cloud_start(scheme, graph, NULL), *b = rig_cloud_start(scheme, graph, NULL);
  char both[300];
  snprintf(both, sizeof both, "%s,%s", a->address, b->address);
  struct rig_flow guest[GUESTS], flow;
  for (int i = 0; i < GUESTS; i++) start_flow(&guest[i], a->address, BRAID_FALLBACK_OFF, 1);
  start_flow(&flow, both, BRAID_FALLBACK_OFF, 1);
  CHECK(stats_of(b).joined == 1 && stats_of(a).joined == GUESTS, "%d joined the empty one, %d the other",
        (int)stats_of(b).joined, (int)stats_of(a).joined);
  end_flow(&flow);
  for (int i = 0; i < GUESTS; i++) end_flow(&guest[i]);
  rig_cloud_stop(a);
  rig_cloud_stop(b);
}

static void passes_over(const char *scheme, const struct braid_graph *other) {
  rig_case("a cloud that is full, and one with another network: the third", 60);
  struct rig_cloud *full = rig_cloud_start(scheme, graph, &(struct braid_cloud_opts){.max_sessions = 1}),
                   *alien = rig_cloud_start(scheme, other, NULL), *right = rig_cloud_start(scheme, graph, NULL);
  struct rig_flow guest, flow;
  char all[450];
  snprintf(all, sizeof all, "%s,%s,%s", full->address, alien->address, right->address);
  start_flow(&guest, full->address, BRAID_FALLBACK_OFF, 1);
  start_flow(&flow, all, BRAID_FALLBACK_OFF, 1);
  CHECK(stats_of(right).sessions == 1, "it went elsewhere");
  end_flow(&flow);
  end_flow(&guest);
  rig_cloud_stop(full);
  rig_cloud_stop(alien);
  rig_cloud_stop(right);
}

/* --------------------------------------------------------------------------------------------------- limits */

static void places(void) {
  rig_case("one address must not take every place", 60);
  struct rig_cloud *cloud =
      rig_cloud_start("tcp", graph, &(struct braid_cloud_opts){.max_sessions = 8, .max_sessions_per_edge = 2});
  struct rig_flow flow[2];
  for (int i = 0; i < 2; i++) start_flow(&flow[i], cloud->address, BRAID_FALLBACK_OFF, 1);
  refused(cloud->address, "limit for one edge");
  for (int i = 0; i < 2; i++) end_flow(&flow[i]);
  rig_cloud_stop(cloud);
}

static void memory(const char *scheme) {
  rig_case("one edge must not take all memory", 60);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &(struct braid_cloud_opts){.session_memory_bytes = 256});
  refused(cloud->address, "left to one edge");
  rig_cloud_stop(cloud);
}

static void rate(const char *scheme) {
  enum { FRAMES = 40, A_SECOND = 100, AT_ONCE = 4 };
  rig_case("frames over the rate wait", 60);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &(struct braid_cloud_opts){.max_frames_per_s = A_SECOND});
  struct rig_flow flow;
  start_flow(&flow, cloud->address, BRAID_FALLBACK_OFF, 8);
  int64_t begin_ns = now_ns();
  while (flow.answered < FRAMES) rig_flow_step(&flow);
  double least_s = (double)(FRAMES - AT_ONCE) / A_SECOND, took_s = (double)(now_ns() - begin_ns) / 1e9;
  CHECK(took_s >= least_s * 0.99, "%d frames in %.3f s", FRAMES, took_s);
  end_flow(&flow);
  rig_cloud_stop(cloud);
}

/* ----------------------------------------------------------------------------------------------- fair shares */

struct runner {
  struct rig_flow flow;
  pthread_t thread;
  atomic_bool *stop;
};

static void *run(void *arg) {
  struct runner *r = arg;
  while (!atomic_load(r->stop)) rig_flow_step(&r->flow);
  return NULL;
}

/* One layer that takes a while: milliseconds, where the way to the cloud takes microseconds. */
static struct braid_graph *slow_network(float *weights) {
  enum { CHANNELS = 16, EXTENT = 48 };
  struct braid_graph *slow;
  struct braid_shape shape = braid_shape_of(4, (int[]){1, CHANNELS, EXTENT, EXTENT});
  struct braid_tensor w = {weights, BRAID_F32, braid_shape_of(4, (int[]){CHANNELS, CHANNELS, 3, 3})};
  union braid_attrs attrs = {
      .conv = {.kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .group = 1}};
  int in[4] = {0, 0, BRAID_NONE, BRAID_NONE}, out;
  MUST(braid_graph_create("slow", &slow));
  MUST(braid_graph_add_input(slow, "in", BRAID_F32, &shape, &in[0]));
  MUST(braid_graph_add_constant(slow, "w", &w, &in[1]));
  MUST(braid_graph_add(slow, BRAID_OP_CONV, &attrs, in, 4, NULL, "out", &out));
  MUST(braid_graph_add_output(slow, out));
  MUST(braid_graph_seal(slow, BRAID_PASS_ALL));
  return slow;
}

/* What the tests run on: a network, everything of it in the cloud, a sample. */
static void use(struct braid_graph *network) {
  graph = network;
  plan = rig_plan_all(graph, BRAID_CLOUD);
  sample = rig_sample(graph, 3);
}

static void put_away(void) {
  rig_sample_free(sample);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

/* First come, first served would give the greedy one GREED frames for each of the other's. */
static void shares(const char *scheme) {
  enum { GREED = 24, FRAMES = 30, MOST = 3 };
  rig_case("many frames in flight are no larger share", 120);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &(struct braid_cloud_opts){.threads = 1});
  atomic_bool stop = false;
  struct runner greedy = {.stop = &stop};
  struct rig_flow modest;
  start_flow(&greedy.flow, cloud->address, BRAID_FALLBACK_OFF, GREED);
  start_flow(&modest, cloud->address, BRAID_FALLBACK_OFF, 1);
  CHECK(pthread_create(&greedy.thread, NULL, run, &greedy) == 0, "no thread");
  while (modest.answered < FRAMES) rig_flow_step(&modest);
  atomic_store(&stop, true);
  pthread_join(greedy.thread, NULL);
  printf("    %llu frames of the greedy edge, %llu of the modest one\n", (unsigned long long)greedy.flow.answered,
         (unsigned long long)modest.answered);
  CHECK(greedy.flow.answered < MOST * modest.answered + GREED, "unfair");
  end_flow(&greedy.flow);
  end_flow(&modest);
  rig_cloud_stop(cloud);
}

/* In one process, so that the thread sanitizer can look on; "tcp" with the rest of it. */
int main(int argc, char **argv) {
  const char *scheme = argc > 1 ? argv[1] : "inproc";
  static float weights[16 * 16 * 9];
  struct braid_graph *other = rig_graph(20, 12, RANDOM_GRAPH_WEIGHTS);
  for (int i = 0; i < 16 * 16 * 9; i++) weights[i] = braid_random_f32(1, (uint64_t)i);
  use(rig_graph(random_graph_seed(19), 24, RANDOM_GRAPH_WEIGHTS));
  drains_to_another(scheme);
  drains_to_the_edge(scheme);
  drains_but_serves(scheme);
  least_loaded(scheme);
  passes_over(scheme, other);
  memory(scheme);
  rate(scheme);
  if (strcmp(scheme, "tcp") == 0) places();
  put_away();
  use(slow_network(weights));
  shares(scheme);
  put_away();
  braid_graph_destroy(&other);
  rig_done();
  return 0;
}
