/* SPDX-License-Identifier: Apache-2.0
 * Clouds behind a broker: sessions stay with their worker, workers join, drain and vanish while frames flow, strangers
 * get nothing at either side, and every answer is that of one machine. */
#include <string.h>
#include <unistd.h>

#include "random_graph.h"
#include "session_rig.h"

enum { WINDOW = 3, EDGES = 6 };

static struct braid_graph *graph;
static struct braid_plan *plan;
static struct rig_sample *sample;

struct scene {
  struct braid_broker *broker;
  char join[256]; /* where its workers "listen" */
};

static void open_scene(struct scene *s, const char *scheme, int64_t heartbeat_ns) {
  bool tcp = strcmp(scheme, "tcp") == 0;
  struct braid_broker_opts opts = {.listen = tcp ? "tcp://127.0.0.1:0" : "inproc://front",
                                   .workers = tcp ? "tcp://127.0.0.1:0" : "inproc://back",
                                   .heartbeat_ns = heartbeat_ns};
  MUST(braid_broker_start(&opts, &s->broker));
  snprintf(s->join, sizeof s->join, "join+%s", braid_broker_workers_address(s->broker));
}

static struct braid_broker_stats stats_of(const struct scene *s) {
  struct braid_broker_stats stats;
  braid_broker_stats(s->broker, &stats);
  return stats;
}

static struct rig_cloud *add_worker(const struct scene *s, int64_t heartbeat_ns) {
  struct braid_cloud_opts opts = {.heartbeat_ns = heartbeat_ns, .threads = 1, .result = rig_deliver};
  int before = stats_of(s).workers;
  struct rig_cloud *worker = rig_cloud_start(s->join, graph, &opts);
  worker->sample = &sample;
  worker->n_samples = 1;
  while (stats_of(s).workers == before) usleep(1000);
  return worker;
}

static int sessions_of(const struct rig_cloud *worker) {
  struct braid_cloud_stats stats;
  braid_cloud_stats(worker->cloud, &stats);
  return stats.sessions;
}

static void start_edge(const struct scene *s, struct rig_flow *flow, enum braid_fallback fallback) {
  struct braid_edge_opts opts = {.connect = braid_broker_address(s->broker),
                                 .model = "net",
                                 .threads = 1,
                                 .plan = plan,
                                 .window = WINDOW,
                                 .heartbeat_ns = INT64_C(10000000000),
                                 .fallback = fallback};
  *flow = (struct rig_flow){.sample = &sample, .n_samples = 1, .window = WINDOW};
  MUST(braid_edge_start(graph, &opts, &flow->edge));
}

static void step_all(struct rig_flow *flow, int n, int steps) {
  for (int i = 0; i < steps; i++) rig_flow_step(&flow[i % n]);
}

static void end_all(struct rig_flow *flow, int n) {
  for (int i = 0; i < n; i++) {
    rig_flow_end(&flow[i]);
    braid_edge_stop(&flow[i].edge);
  }
}

static bool all_in_the_cloud(const struct rig_flow *flow, int n) {
  bool all = true;
  for (int i = 0; i < n; i++) all = all && flow[i].last_epoch != 0;
  return all;
}

/* ---------------------------------------------------------------------------------------------------- cases */

static void shared_out(const char *scheme) {
  rig_case("sessions are shared out, and stay", 60);
  struct scene s;
  open_scene(&s, scheme, 0);
  struct rig_cloud *worker[2] = {add_worker(&s, 0), add_worker(&s, 0)};
  struct rig_flow flow[EDGES];
  for (int i = 0; i < EDGES; i++) start_edge(&s, &flow[i], BRAID_FALLBACK_OFF);
  step_all(flow, EDGES, 100 * EDGES);
  for (int i = 0; i < 2; i++) CHECK(sessions_of(worker[i]) == EDGES / 2, "%d of %d", sessions_of(worker[i]), EDGES);
  CHECK(stats_of(&s).sessions == EDGES, "the broker knows of %d", stats_of(&s).sessions);
  end_all(flow, EDGES);
  while (stats_of(&s).sessions > 0) usleep(1000);
  for (int i = 0; i < 2; i++) {
    while (sessions_of(worker[i]) > 0) usleep(1000);
    rig_cloud_stop(worker[i]);
  }
  braid_broker_stop(&s.broker);
}

static void nobody_behind(const char *scheme) {
  rig_case("a broker without workers refuses", 60);
  struct scene s;
  open_scene(&s, scheme, 0);
  struct braid_edge_opts opts = {.connect = braid_broker_address(s.broker),
                                 .model = "net",
                                 .threads = 1,
                                 .plan = plan,
                                 .window = 1,
                                 .fallback = BRAID_FALLBACK_OFF};
  struct braid_edge *edge;
  CHECK(braid_edge_start(graph, &opts, &edge) == BRAID_ECLOSED, "an edge was let in");
  CHECK(strstr(braid_error(), "no worker has joined"), "%s", braid_error());
  braid_broker_stop(&s.broker);
}

/* A worker that goes takes its sessions with it; they come again, to the other. One that drains is left in peace. */
static void come_and_go(const char *scheme, bool drain) {
  rig_case(drain ? "a worker drains, another joins" : "a worker goes, another joins", 120);
  struct scene s;
  open_scene(&s, scheme, 0);
  struct rig_cloud *first = add_worker(&s, 0);
  struct rig_flow flow[EDGES];
  for (int i = 0; i < EDGES; i++) start_edge(&s, &flow[i], BRAID_FALLBACK_AUTO);
  step_all(flow, EDGES, 20 * EDGES);
  struct rig_cloud *second = add_worker(&s, 0);
  if (drain) {
    braid_cloud_drain(first->cloud);
    while (sessions_of(first) > 0) step_all(flow, EDGES, EDGES);
  }
  rig_cloud_stop(first);
  while (sessions_of(second) < EDGES) step_all(flow, EDGES, EDGES);
  do step_all(flow, EDGES, 10 * EDGES);
  while (!all_in_the_cloud(flow, EDGES));
  end_all(flow, EDGES);
  rig_cloud_stop(second);
  braid_broker_stop(&s.broker);
}

/* The broker's place is taken by another at the same address: edges and workers find it. */
static void broker_restarts(void) {
  rig_case("the broker is started again", 120);
  struct scene s;
  open_scene(&s, "tcp", 0);
  char front[128], back[128];
  snprintf(front, sizeof front, "%s", braid_broker_address(s.broker));
  snprintf(back, sizeof back, "%s", braid_broker_workers_address(s.broker));
  struct rig_cloud *worker = add_worker(&s, 0);
  struct rig_flow flow;
  start_edge(&s, &flow, BRAID_FALLBACK_AUTO);
  step_all(&flow, 1, 20);
  braid_broker_stop(&s.broker);
  while (flow.last_epoch != 0) rig_flow_step(&flow);
  struct braid_broker_opts opts = {.listen = front, .workers = back};
  MUST(braid_broker_start(&opts, &s.broker));
  while (flow.last_epoch == 0) rig_flow_step(&flow);
  end_all(&flow, 1);
  rig_cloud_stop(worker);
  braid_broker_stop(&s.broker);
}

static void silent(const char *scheme) {
  rig_case("a worker that says nothing is no worker", 60);
  struct scene s;
  open_scene(&s, scheme, INT64_C(50000000));
  struct braid_link *mute = rig_raw_connect(braid_broker_workers_address(s.broker));
  rig_raw_send(mute, 0, (struct braid_msg){.type = BRAID_MSG_JOIN}, NULL, 0);
  while (stats_of(&s).workers == 0) braid_link_wait(mute, -1, 1000000);
  while (stats_of(&s).workers == 1) braid_link_wait(mute, -1, 1000000);
  braid_link_close(&mute);
  braid_broker_stop(&s.broker);
}

/* Edges have no business at the back, nor workers in front, nor a worker with another's session. */
static void wrong_door(const char *scheme) {
  rig_case("the wrong door", 60);
  struct scene s;
  open_scene(&s, scheme, 0);
  struct braid_link *edge = rig_raw_connect(braid_broker_workers_address(s.broker));
  rig_raw_send(edge, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, "{}", 2);
  rig_raw_expect_refusal(edge, "edges connect to the front");
  braid_link_close(&edge);
  struct braid_link *worker = rig_raw_connect(braid_broker_address(s.broker));
  rig_raw_send(worker, 0, (struct braid_msg){.type = BRAID_MSG_JOIN}, NULL, 0);
  rig_raw_expect_refusal(worker, "HELLO comes first");
  braid_link_close(&worker);
  struct rig_cloud *honest = add_worker(&s, 0);
  struct rig_flow flow;
  start_edge(&s, &flow, BRAID_FALLBACK_OFF);
  struct braid_link *thief = rig_raw_connect(braid_broker_workers_address(s.broker));
  rig_raw_send(thief, 0, (struct braid_msg){.type = BRAID_MSG_JOIN}, NULL, 0);
  while (stats_of(&s).workers < 2) braid_link_wait(thief, -1, 1000000);
  for (uint64_t session = 0; session < 20; session++) {
    rig_raw_send(thief, 0, (struct braid_msg){.type = BRAID_MSG_BYE, .session = session}, NULL, 0);
    rig_raw_send(thief, 0, (struct braid_msg){.type = BRAID_MSG_GONE, .session = session}, NULL, 0);
  }
  step_all(&flow, 1, 50);
  end_all(&flow, 1);
  braid_link_close(&thief);
  rig_cloud_stop(honest);
  braid_broker_stop(&s.broker);
}

/* The broker hands on what it need not understand. */
static void results_stay(const char *scheme) {
  rig_case("results stay with a worker behind the broker", 60);
  struct scene s;
  struct rig_flow flow;
  open_scene(&s, scheme, INT64_C(10000000000));
  struct rig_cloud *worker = add_worker(&s, INT64_C(10000000000));
  plan->deliver = BRAID_CLOUD;
  start_edge(&s, &flow, BRAID_FALLBACK_OFF);
  plan->deliver = BRAID_EDGE;
  flow.cloud = worker;
  step_all(&flow, 1, 60);
  end_all(&flow, 1);
  CHECK(flow.away == flow.submitted && worker->n_delivered == (int)flow.away, "%d of %d frames, %d there",
        (int)flow.away, (int)flow.submitted, worker->n_delivered);
  rig_cloud_stop(worker);
  braid_broker_stop(&s.broker);
}

/* In one process, so that the thread sanitizer can look on; "tcp" with the rest of it. */
int main(int argc, char **argv) {
  const char *scheme = argc > 1 ? argv[1] : "inproc";
  graph = rig_graph(random_graph_seed(23), 18, RANDOM_GRAPH_WEIGHTS);
  plan = rig_plan_all(graph, BRAID_CLOUD);
  sample = rig_sample(graph, 4);
  nobody_behind(scheme);
  shared_out(scheme);
  come_and_go(scheme, false);
  come_and_go(scheme, true);
  silent(scheme);
  wrong_door(scheme);
  results_stay(scheme);
  if (strcmp(scheme, "tcp") == 0) broker_restarts();
  rig_sample_free(sample);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
  rig_done();
  return 0;
}
