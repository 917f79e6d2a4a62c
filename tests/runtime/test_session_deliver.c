/* SPDX-License-Identifier: Apache-2.0
 * Results that are wanted in the cloud: its consumer has every frame once, with what one machine answers, before the
 * edge is told; a consumer that is slow, or fails, or is in the middle of a frame when its edge goes, harms nobody.
 * Clouds that die are in test_session_survive.c. */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"

enum { SAMPLES = 3, FRAMES = 12 };

struct scene {
  struct braid_graph *graph;
  struct rig_sample *sample[SAMPLES];
  struct rig_cloud *cloud;
};

static void scene_start(struct scene *s, const char *scheme, uint64_t seed, const struct braid_cloud_opts *opts) {
  s->graph = rig_graph(seed, 6 + (int)(seed % 25), (unsigned)(seed % RANDOM_GRAPH_FLAGS));
  for (uint64_t i = 0; i < SAMPLES; i++) s->sample[i] = rig_sample(s->graph, seed * 31 + i);
  s->cloud = rig_cloud_start(scheme, s->graph, opts);
  s->cloud->sample = s->sample;
  s->cloud->n_samples = SAMPLES;
}

/* Another edge's frames begin with number 0 again. */
static void forget_delivered(struct rig_cloud *cloud) {
  memset(cloud->delivered, 0, sizeof cloud->delivered);
  cloud->n_delivered = 0;
  cloud->run[0] = '\0';
}

static void scene_end(struct scene *s) {
  rig_cloud_stop(s->cloud);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(s->sample[i]);
  braid_graph_destroy(&s->graph);
}

static struct rig_flow flow_start(struct scene *s, const struct braid_plan *plan, int window,
                                  enum braid_fallback fallback) {
  struct rig_flow flow = {.sample = s->sample, .n_samples = SAMPLES, .window = window, .cloud = s->cloud};
  struct braid_edge_opts opts = rig_edge_opts(s->cloud, plan, window);
  opts.fallback = fallback;
  MUST(braid_edge_start(s->graph, &opts, &flow.edge));
  return flow;
}

static struct braid_plan *for_cloud(struct braid_plan *plan) {
  plan->deliver = BRAID_CLOUD;
  for (int i = 0; i < plan->n_mix; i++) plan->mix[i]->deliver = BRAID_CLOUD;
  return plan;
}

/* -------------------------------------------------------------------------------------------- every plan */

static void run_plan(struct scene *s, struct braid_plan *plan, int window) {
  struct rig_flow flow = flow_start(s, plan, window, BRAID_FALLBACK_OFF);
  while (flow.submitted < FRAMES) rig_flow_step(&flow);
  rig_flow_end(&flow);
  CHECK(flow.away == FRAMES && s->cloud->n_delivered == FRAMES, "%d of %d frames are in the cloud, %d there",
        (int)flow.away, FRAMES, s->cloud->n_delivered);
  CHECK(strcmp(s->cloud->run, braid_edge_run(flow.edge)) == 0, "the cloud calls it %s, the edge %s", s->cloud->run,
        braid_edge_run(flow.edge));
  braid_edge_stop(&flow.edge);
  braid_plan_destroy(&plan);
  forget_delivered(s->cloud);
}

static struct braid_plan *make_mix(const struct braid_graph *graph, uint64_t seed) {
  struct braid_plan *plan = rig_plan(graph, seed, false);
  plan->mix = braid_calloc(2, sizeof *plan->mix);
  plan->mix_weight = braid_calloc(2, sizeof *plan->mix_weight);
  for (; plan->n_mix < 2; plan->n_mix++) {
    plan->mix[plan->n_mix] = plan->n_mix ? rig_plan_all(graph, BRAID_EDGE) : rig_plan(graph, seed + 1, true);
    plan->mix_weight[plan->n_mix] = plan->n_mix ? 0.25 : 0.75;
  }
  return plan;
}

/* Both ends: all on the edge sends its results up, all in the cloud keeps them there. */
static void every_plan(const char *scheme, uint64_t seed) {
  char name[96];
  snprintf(name, sizeof name, "%s: results stay in the cloud, BRAID_SEED=%llu", scheme, (unsigned long long)seed);
  rig_case(name, 60);
  struct scene s;
  scene_start(&s, scheme, seed, &(struct braid_cloud_opts){.result = rig_deliver});
  run_plan(&s, for_cloud(rig_plan_all(s.graph, BRAID_EDGE)), 2);
  run_plan(&s, for_cloud(rig_plan_all(s.graph, BRAID_CLOUD)), 1);
  for (uint64_t i = 0; i < 3; i++)
    run_plan(&s, for_cloud(rig_plan(s.graph, seed * 7919 + i, i == 1)), 1 + (int)((seed + i) % 4));
  run_plan(&s, for_cloud(make_mix(s.graph, seed * 104729)), 3);
  struct braid_cloud_stats stats;
  do { /* its I/O thread publishes once a round, after it has told the edge */
    braid_cloud_stats(s.cloud->cloud, &stats);
    sched_yield();
  } while (stats.delivered < 6 * FRAMES);
  CHECK(stats.delivered == 6 * FRAMES, "%d delivered", (int)stats.delivered);
  scene_end(&s);
}

/* A policy decides, with results wanted in the cloud: nothing comes down. */
static void policy_decides(uint64_t seed) {
  rig_case("a policy decides for results in the cloud", 60);
  struct scene s;
  scene_start(&s, "inproc", seed, &(struct braid_cloud_opts){.result = rig_deliver});
  struct braid_profile *profile;
  MUST(braid_profile_synthetic(s.graph, 1, &profile));
  struct braid_edge_opts opts = rig_edge_opts(s.cloud, NULL, 2);
  opts.profile = profile;
  opts.goal.deliver = BRAID_CLOUD;
  opts.up = opts.down = (struct braid_link_cost){1e8, 1000000, 0};
  opts.adapt = true;
  opts.fallback = BRAID_FALLBACK_AUTO;
  struct rig_flow flow = {.sample = s.sample, .n_samples = SAMPLES, .window = 2, .cloud = s.cloud};
  MUST(braid_edge_start(s.graph, &opts, &flow.edge));
  CHECK(braid_edge_plan(flow.edge)->deliver == BRAID_CLOUD, "the plan brings results home");
  while (flow.submitted < FRAMES) rig_flow_step(&flow);
  rig_flow_end(&flow);
  CHECK(flow.away == FRAMES, "%d of %d frames are in the cloud", (int)flow.away, FRAMES);
  braid_edge_stop(&flow.edge);
  braid_profile_destroy(&profile);
  scene_end(&s);
}

/* ------------------------------------------------------------------------------------------ changes of plan */

static void change_plans(uint64_t seed) {
  rig_case("plans change under load, for results here and there", 120);
  enum { PLANS = 6, CHANGES = 300 };
  struct scene s;
  struct braid_plan *plan[PLANS];
  scene_start(&s, "inproc", seed + 40, &(struct braid_cloud_opts){.result = rig_deliver});
  for (uint64_t i = 0; i < PLANS; i++) {
    plan[i] = i == 4 ? rig_plan_all(s.graph, BRAID_EDGE) : rig_plan(s.graph, seed * 7919 + i / 2, i == 3);
    if (i % 2 == 0) plan[i]->deliver = BRAID_CLOUD; /* 0 and 1 differ in nothing else */
  }
  struct rig_flow flow = flow_start(&s, plan[0], 4, BRAID_FALLBACK_OFF);
  for (int i = 0; i < CHANGES; i++) {
    int next = (int)(braid_random_u64(seed, (uint64_t)i) % PLANS);
    MUST(braid_edge_replan(flow.edge, plan[next]));
    uint64_t before = flow.submitted;
    while (flow.submitted < before + 5) rig_flow_step(&flow);
    while (flow.answered < flow.submitted) rig_flow_take(&flow);
    uint64_t away = flow.away;
    rig_flow_step(&flow);
    rig_flow_take(&flow);
    CHECK((flow.away > away) == (plan[next]->deliver == BRAID_CLOUD), "change %d: another plan is in force", i);
  }
  rig_flow_end(&flow);
  CHECK(flow.away > 0 && flow.away < flow.submitted, "%d of %d", (int)flow.away, (int)flow.submitted);
  CHECK(s.cloud->n_delivered == (int)flow.away, "%d delivered, %d heard of", s.cloud->n_delivered, (int)flow.away);
  braid_edge_stop(&flow.edge);
  for (int i = 0; i < PLANS; i++) braid_plan_destroy(&plan[i]);
  scene_end(&s);
}

/* ---------------------------------------------------------------------------------------------- refusals */

static void no_consumer(uint64_t seed) {
  rig_case("a cloud without a consumer says what is to be done", 60);
  struct scene s;
  scene_start(&s, "inproc", seed, NULL);
  struct braid_plan *plan = for_cloud(rig_plan_all(s.graph, BRAID_CLOUD));
  struct braid_edge_opts opts = rig_edge_opts(s.cloud, plan, 1);
  struct braid_edge *edge;
  CHECK(braid_edge_start(s.graph, &opts, &edge) == BRAID_ECLOSED, "it is taken");
  CHECK(strstr(braid_error(), "--results") && strstr(braid_error(), "--deliver edge"), "%s", braid_error());
  braid_plan_destroy(&plan);
  scene_end(&s);
}

static void raw_plan(struct braid_link *link, const struct scene *s, const struct braid_plan *plan) {
  char *json;
  MUST(braid_plan_to_json(plan, s->graph, NULL, -1, &json));
  rig_raw_plan(link, 1, 1, json);
  braid_free(json);
}

/* An edge that does not say which run it is, one that makes a path of it, one that says DELIVERED itself. */
static void strangers(uint64_t seed) {
  rig_case("edges that lie about results are refused", 60);
  struct scene s;
  scene_start(&s, "inproc", seed, &(struct braid_cloud_opts){.result = rig_deliver});
  struct braid_plan *plan = for_cloud(rig_plan_all(s.graph, BRAID_CLOUD));
  struct braid_link *link = rig_raw_connect(s.cloud->address);
  rig_raw_hello(link, s.graph);
  raw_plan(link, &s, plan);
  rig_raw_expect_refusal(link, "run");
  braid_link_close(&link);
  char hash[65], text[256];
  braid_graph_hash_text(s.graph, hash);
  static const char *const run[] = {"../../etc/passwd", "0123456789ABCDEF", "0123", "0123456789abcdef0"};
  for (size_t i = 0; i < sizeof run / sizeof *run; i++) {
    link = rig_raw_connect(s.cloud->address);
    snprintf(text, sizeof text, "{\"version\":%d,\"model\":\"net\",\"hash\":\"%s\",\"threads\":1,\"run\":\"%s\"}",
             BRAID_WIRE_VERSION, hash, run[i]);
    rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, text, strlen(text));
    rig_raw_expect_refusal(link, "hexadecimal");
    braid_link_close(&link);
  }
  link = rig_raw_connect(s.cloud->address);
  rig_raw_hello(link, s.graph);
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_DELIVERED, .epoch = 1, .frame = 1}, NULL, 0);
  rig_raw_expect_refusal(link, "unexpected");
  braid_link_close(&link);
  braid_plan_destroy(&plan);
  scene_end(&s);
}

static void frame_numbers(uint64_t seed) {
  rig_case("numbers that no name can carry are refused", 60);
  struct scene s;
  scene_start(&s, "inproc", seed, &(struct braid_cloud_opts){.result = rig_deliver});
  struct braid_plan *plan = for_cloud(rig_plan_all(s.graph, BRAID_CLOUD));
  struct rig_flow flow = flow_start(&s, plan, 1, BRAID_FALLBACK_OFF);
  CHECK(braid_edge_submit(flow.edge, UINT64_MAX, s.sample[0]->in, s.sample[0]->n_in) == BRAID_EINVAL, "it is taken");
  char id[BRAID_RESULT_ID_BYTES];
  braid_result_id(braid_edge_run(flow.edge), UINT64_MAX, id);
  CHECK(strlen(id) == BRAID_RUN_CHARS + 21 && strcmp(id + BRAID_RUN_CHARS, "-18446744073709551615") == 0, "%s", id);
  rig_flow_step(&flow);
  rig_flow_end(&flow);
  braid_edge_stop(&flow.edge);
  braid_plan_destroy(&plan);
  scene_end(&s);
}

/* --------------------------------------------------------------------------------------- consumers that hang */

/* Opened by the test; how many results wait at it. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  bool open;
  int waiting;
} door = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, true, 0};

static void door_set(bool open) {
  pthread_mutex_lock(&door.mutex);
  door.open = open;
  pthread_cond_broadcast(&door.changed);
  pthread_mutex_unlock(&door.mutex);
}

static void door_await(void) {
  pthread_mutex_lock(&door.mutex);
  while (door.waiting == 0) pthread_cond_wait(&door.changed, &door.mutex);
  pthread_mutex_unlock(&door.mutex);
}

static enum braid_status deliver_through_door(void *ctx, const struct braid_result *result) {
  pthread_mutex_lock(&door.mutex);
  door.waiting++;
  pthread_cond_broadcast(&door.changed);
  while (!door.open) pthread_cond_wait(&door.changed, &door.mutex);
  door.waiting--;
  pthread_mutex_unlock(&door.mutex);
  return rig_deliver(ctx, result);
}

/* While the consumer has a frame and does not come back, heartbeats go on and another edge is served. */
static void slow_consumer(uint64_t seed) {
  rig_case("a consumer that takes its time holds up nobody else", 60);
  struct scene s;
  scene_start(&s, "inproc", seed, &(struct braid_cloud_opts){.result = deliver_through_door});
  struct braid_plan *away = for_cloud(rig_plan_all(s.graph, BRAID_CLOUD));
  struct braid_plan *home = rig_plan_all(s.graph, BRAID_CLOUD);
  struct rig_flow flow = flow_start(&s, away, 3, BRAID_FALLBACK_OFF);
  door_set(false);
  for (int i = 0; i < 3; i++) rig_flow_step(&flow);
  door_await();
  struct braid_answer *answer;
  CHECK(braid_edge_wait(flow.edge, 0, &answer) == BRAID_ETIMEDOUT, "an answer before its results are there");
  struct rig_flow other = flow_start(&s, home, 2, BRAID_FALLBACK_OFF);
  struct braid_cloud_stats before, after;
  braid_cloud_stats(s.cloud->cloud, &before);
  while (other.submitted < 20) rig_flow_step(&other);
  rig_flow_end(&other);
  braid_cloud_stats(s.cloud->cloud, &after);
  CHECK(after.turns > before.turns && after.delivered == 0, "turns %d to %d", (int)before.turns, (int)after.turns);
  braid_edge_stop(&other.edge);
  door_set(true);
  rig_flow_end(&flow);
  CHECK(flow.away == 3, "%d of 3", (int)flow.away);
  braid_edge_stop(&flow.edge);
  braid_plan_destroy(&away);
  braid_plan_destroy(&home);
  scene_end(&s);
}

/* Its arenas are not freed before the consumer has let go of them, whoever ends first: the session or the cloud. */
static void edge_goes_meanwhile(uint64_t seed) {
  rig_case("an edge goes while the consumer has a frame of it", 60);
  struct scene s;
  scene_start(&s, "inproc", seed, &(struct braid_cloud_opts){.result = deliver_through_door});
  struct braid_plan *plan = for_cloud(rig_plan_all(s.graph, BRAID_CLOUD));
  for (int round = 0; round < 3; round++) {
    struct rig_flow flow = flow_start(&s, plan, 3, BRAID_FALLBACK_OFF);
    door_set(false);
    for (int i = 0; i < 3; i++) rig_flow_step(&flow);
    door_await();
    braid_edge_stop(&flow.edge); /* frames in flight go with it */
    char left[32];
    snprintf(left, sizeof left, "edge %d", round + 1);
    rig_cloud_await(s.cloud, "left", left);
    door_set(true);
    pthread_mutex_lock(&s.cloud->mutex);
    while (s.cloud->n_delivered == 0) pthread_cond_wait(&s.cloud->changed, &s.cloud->mutex);
    CHECK(s.cloud->n_delivered == 1, "%d: what waited was to be dropped", s.cloud->n_delivered);
    forget_delivered(s.cloud);
    pthread_mutex_unlock(&s.cloud->mutex);
  }
  braid_plan_destroy(&plan);
  scene_end(&s);
}

/* ---------------------------------------------------------------------------------------- consumers that fail */

static atomic_int fails_at;

static enum braid_status deliver_some(void *ctx, const struct braid_result *result) {
  if (atomic_fetch_sub(&fails_at, 1) == 1) return braid_fail(BRAID_EIO, "no space left on the device");
  return rig_deliver(ctx, result);
}

/* The session ends for that reason; the edge finishes what the consumer has not got, and comes back. */
static void failing_consumer(uint64_t seed) {
  rig_case("a consumer fails: the edge keeps the frames", 60);
  struct scene s;
  scene_start(&s, "inproc", seed, &(struct braid_cloud_opts){.result = deliver_some});
  struct braid_plan *plan = for_cloud(rig_plan(s.graph, seed * 7919, false));
  atomic_store(&fails_at, 5);
  struct rig_flow flow = flow_start(&s, plan, 4, BRAID_FALLBACK_AUTO);
  struct braid_edge_stats stats = {0};
  for (uint64_t away = 0; stats.reconnects == 0 || flow.away == away;) {
    rig_flow_step(&flow);
    braid_edge_stats(flow.edge, &stats);
    if (stats.reconnects == 0) away = flow.away;
  }
  rig_cloud_await(s.cloud, "refused", "no space left on the device");
  rig_flow_end(&flow);
  CHECK(flow.away > 4 && flow.away < flow.submitted, "%d of %d are in the cloud", (int)flow.away, (int)flow.submitted);
  CHECK(s.cloud->n_delivered >= (int)flow.away, "%d delivered", s.cloud->n_delivered);
  braid_edge_stop(&flow.edge);
  braid_plan_destroy(&plan);
  scene_end(&s);
}

/* In one process, so that the thread sanitizer can look on; "tcp" with what a link could change. */
int main(int argc, char **argv) {
  uint64_t seed = random_graph_seed(1);
  const char *scheme = argc > 1 ? argv[1] : "inproc";
  for (uint64_t i = 0; i < 12; i++) every_plan(scheme, seed + i);
  if (strcmp(scheme, "tcp") == 0) {
    rig_done();
    return 0;
  }
  no_consumer(seed);
  strangers(seed);
  frame_numbers(seed);
  slow_consumer(seed);
  edge_goes_meanwhile(seed);
  failing_consumer(seed);
  policy_decides(seed);
  for (uint64_t i = 0; i < 3; i++) change_plans(seed + i);
  rig_done();
  return 0;
}
